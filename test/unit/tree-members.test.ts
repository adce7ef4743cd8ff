import { describe, expect, it } from 'vitest';
import type { Self } from '../../src/tree/identity.js';
import { type Claim, type ClaimOptions, claimOf, selectMembers } from '../../src/tree/members.js';
import { type ProcessRow, ProcessTable } from '../../src/tree/table.js';

/** pid, ppid, pgid, sid; starts in the order of pids unless said otherwise. */
type Row = [pid: number, ppid: number, pgid: number, sid: number, more?: Partial<ProcessRow>];

const start = (pid: number) => BigInt(pid * 10);
const look = (...rows: Row[]) =>
  ProcessTable.from(
    rows.map(([pid, ppid, pgid, sid, more]) => ({
      pid,
      ppid,
      pgid,
      sid,
      startTicks: start(pid),
      bootId: 'b',
      state: 'S',
      threads: 1,
      ...more,
    })),
    { nowTicks: 1_000_000n, nowMs: 0 },
  );

/** We are 50, child of 40, in the group and session of 40. */
const ourselves: Self = { pid: 50, pgid: 40, sid: 40, ancestors: new Set([40, 1]), keepers: new Set([59]) };
const us: Row[] = [
  [1, 0, 1, 1],
  [40, 1, 40, 40],
  [50, 40, 40, 40],
];
const root = { pid: 100, startTicks: start(100) };

const select = (rows: Row[], claim: Claim = claimOf(root)) => selectMembers(look(...us, ...rows), claim, ourselves);
const pidsOf = (rows: Row[], options?: ClaimOptions) => select(rows, claimOf(root, options)).members.map(({ pid }) => pid);

describe('rule 1, 2: the root and its descendants', () => {
  it('wherever they are, parents before children', () => {
    const rows: Row[] = [
      [100, 50, 40, 40],
      [101, 100, 40, 40],
      [102, 101, 102, 40],
      [103, 101, 103, 103],
      [104, 100, 40, 40],
      [200, 50, 40, 40], // a sibling
      [201, 200, 40, 40],
    ];
    expect(pidsOf(rows)).toEqual([100, 101, 104, 102, 103]);
  });

  it('nobody when the root is gone', () => {
    expect(pidsOf([[101, 1, 100, 100]])).toEqual([]);
  });

  it('nobody when its number belongs to another now', () => {
    const rows: Row[] = [
      [100, 1, 100, 100, { startTicks: 5_000n }],
      [300, 100, 100, 100, { startTicks: 6_000n }],
    ];
    expect(pidsOf(rows)).toEqual([]);
    expect(pidsOf(rows, { leader: true, mark: 'm' })).toEqual([]);
  });

  it('what was found once stays, and leads on, when its parent is gone', () => {
    const first = select([
      [100, 50, 40, 40],
      [101, 100, 40, 40],
    ]);
    const second = select(
      [
        [101, 1, 40, 40],
        [102, 101, 40, 40],
      ],
      first.claim,
    );
    expect(second.members.map(({ pid }) => pid)).toEqual([101, 102]);
  });

  it('but not when its number belongs to another now', () => {
    const { claim } = select([
      [100, 50, 40, 40],
      [101, 100, 40, 40],
    ]);
    const rows: Row[] = [
      [100, 50, 40, 40],
      [101, 1, 40, 40, { startTicks: 9_000n }],
      [102, 101, 40, 40, { startTicks: 9_001n }],
    ];
    expect(select(rows, claim).members.map(({ pid }) => pid)).toEqual([100]);
  });
});

describe('rule 3: process groups', () => {
  it('that the root leads, with those that lost their parent', () => {
    const rows: Row[] = [
      [100, 50, 100, 40],
      [105, 1, 100, 40],
    ];
    expect(pidsOf(rows)).toEqual([100, 105]);
  });

  it('that a descendant leads', () => {
    const rows: Row[] = [
      [100, 50, 40, 40],
      [101, 100, 101, 40],
      [105, 1, 101, 40],
    ];
    expect(pidsOf(rows)).toEqual([100, 101, 105]);
  });

  it('that a zombie leads', () => {
    const rows: Row[] = [
      [100, 50, 100, 100, { state: 'Z' }],
      [105, 1, 100, 100],
    ];
    expect(pidsOf(rows)).toEqual([105]);
  });

  it('that a member led, after its death; and children of what is found so', () => {
    const { claim } = select([
      [100, 50, 40, 40],
      [101, 100, 101, 40],
    ]);
    const rows: Row[] = [
      [105, 1, 101, 40],
      [106, 105, 106, 40],
      [107, 1, 106, 40],
    ];
    expect(select(rows, claim).members.map(({ pid }) => pid)).toEqual([105, 106, 107]);
  });

  it('but not one that a member merely belongs to', () => {
    const rows: Row[] = [
      [90, 40, 90, 40],
      [100, 90, 90, 40],
      [105, 90, 90, 40],
      [106, 1, 90, 40],
    ];
    expect(pidsOf(rows)).toEqual([100]);
  });
});

describe('rule 4: sessions', () => {
  it('that the root leads, whatever the group', () => {
    const rows: Row[] = [
      [100, 50, 100, 100],
      [105, 1, 105, 100],
      [106, 1, 105, 100],
      [300, 1, 300, 300],
    ];
    expect(pidsOf(rows)).toEqual([100, 105, 106]);
  });

  it('that a descendant led', () => {
    const { claim } = select([
      [100, 50, 40, 40],
      [101, 100, 101, 101],
    ]);
    expect(select([[105, 1, 104, 101]], claim).members.map(({ pid }) => pid)).toEqual([105]);
  });

  it('but not one that a member merely belongs to', () => {
    const rows: Row[] = [
      [90, 40, 90, 90],
      [100, 90, 100, 90],
      [105, 90, 105, 90],
    ];
    expect(pidsOf(rows)).toEqual([100]);
  });

  it('that we gave the root, even when it is gone', () => {
    const rows: Row[] = [
      [105, 1, 105, 100],
      [106, 1, 100, 100],
    ];
    expect(pidsOf(rows, { leader: true, heldAt: start(106) })).toEqual([106, 105]);
    expect(pidsOf(rows)).toEqual([]);
  });
});

describe('rule 5: the mark', () => {
  const marked = (value: string, parents?: string) => ({
    env: { CORRAL_TREE: value, ...(parents === undefined ? {} : { CORRAL_TREE_PARENTS: parents }) },
  });
  const rows: Row[] = [
    [105, 1, 105, 105, marked('ours')],
    [106, 1, 106, 106, marked('inner', 'outer:ours')],
    [107, 1, 107, 107, marked('other')],
    [108, 107, 107, 107, { env: {} }],
    [109, 1, 109, 109],
    [110, 105, 110, 110],
    [90, 1, 90, 90, marked('ours')], // older than the tree: the mark can not be its own doing
  ];

  it('finds what carries it, or stands in a tree inside, and what descends from that', () => {
    expect(pidsOf(rows, { mark: 'ours' })).toEqual([105, 106, 110]);
  });

  it('counts only when the caller names it', () => {
    expect(pidsOf([[100, 50, 40, 40, marked('ours')], ...rows])).toEqual([100]);
  });

  it('never leads to a keeper of ours', () => {
    const keeper: Row = [59, 50, 59, 59, { startTicks: 5_000n, ...marked('ours') }];
    expect(pidsOf([keeper], { mark: 'ours' })).toEqual([]);
  });
});

describe('rule 6: the cgroup', () => {
  const inside = (path: string) => ({ cgroup: `1:name=systemd:/x\n0::${path}` });
  const rows: Row[] = [
    [100, 50, 100, 100, inside('/a/corral-1')],
    [90, 1, 90, 90, inside('/a/corral-1/below')], // older than the tree, and leads a session
    [91, 1, 90, 90, inside('/a')],
    [92, 90, 92, 92, inside('/a')],
    [110, 1, 110, 110, inside('/a/corral-12')],
    [111, 1, 111, 111, { cgroup: '7:freezer:/corral-1\n0::/a' }],
  ];

  it('finds who is in it, or below it, whatever its age; and nobody through those', () => {
    expect(pidsOf(rows, { leaf: 'corral-1' })).toEqual([100, 90]);
  });

  it('counts only when the caller names it', () => {
    expect(pidsOf(rows)).toEqual([100]);
  });

  it('never has us or a keeper of ours in it', () => {
    const own: Row[] = [
      [59, 50, 59, 59, inside('/corral-1')],
      [50, 40, 40, 40, inside('/corral-1')],
    ];
    expect(selectMembers(look(...own), claimOf(root, { leaf: 'corral-1' }), ourselves).members).toEqual([]);
  });
});

describe('rule 7: never', () => {
  it.each<[string, Row[], number[]]>([
    [
      'kernel threads',
      [
        [100, 50, 40, 40],
        [101, 100, 0, 0, { kernelThread: true }],
        [102, 101, 0, 0],
      ],
      [100],
    ],
    [
      'ourselves below the root',
      [
        [100, 1, 100, 100],
        [50, 100, 100, 100],
      ],
      [100],
    ],
    [
      'our ancestors in a session of the root',
      [
        [100, 1, 100, 100],
        [40, 100, 40, 100],
      ],
      [100],
    ],
    [
      'our own group, although the root leads it',
      [
        [100, 1, 100, 100],
        [101, 1, 100, 99],
      ],
      [100],
    ],
    [
      'a keeper of ours',
      [
        [100, 1, 100, 100],
        [59, 100, 59, 59, { startTicks: 2_000n }],
      ],
      [100],
    ],
  ])('%s', (what, rows, expected) => {
    const pids = new Set(rows.map(([pid]) => pid));
    const table = look(...us.filter(([pid]) => !pids.has(pid)), ...rows);
    const inGroup = what.startsWith('our own group') ? { ...ourselves, pgid: 100 } : ourselves;
    expect(selectMembers(table, claimOf(root), inGroup).members.map(({ pid }) => pid)).toEqual(expected);
  });

  it('our own session, although the root leads it', () => {
    const table = look(...us, [100, 1, 100, 100], [101, 1, 101, 100]);
    expect(selectMembers(table, claimOf(root, { leader: true }), { ...ourselves, sid: 100 }).members.map(({ pid }) => pid)).toEqual([100]);
  });
});

describe('rule 8: older than what it was found through', () => {
  it.each<[string, Row]>([
    ['a child', [101, 100, 40, 40, { startTicks: 999n }]],
    ['a member of the group', [101, 1, 100, 40, { startTicks: 999n }]],
    ['a member of the session', [101, 1, 101, 100, { startTicks: 999n }]],
  ])('%s', (_, row) => {
    expect(pidsOf([[100, 50, 100, 100], row])).toEqual([100]);
  });

  it('the same tick is not older', () => {
    expect(
      pidsOf([
        [100, 50, 40, 40],
        [101, 100, 40, 40, { startTicks: start(100) }],
      ]),
    ).toEqual([100, 101]);
  });
});

describe('rule 9: a number that was used again', () => {
  const before = select([
    [100, 50, 40, 40],
    [101, 100, 101, 101],
  ]).claim;

  it('by a new leader', () => {
    const rows: Row[] = [
      [101, 1, 101, 101, { startTicks: 9_000n }],
      [500, 101, 101, 101, { startTicks: 9_001n }],
    ];
    expect(select(rows, before).members).toEqual([]);
  });

  it('a claim ends with the look that finds nobody in it', () => {
    const between = select([], before).claim;
    expect(between.groups.size + between.sessions.size).toBe(0);
    expect(select([[500, 1, 101, 101, { startTicks: 9_001n }]], between).members).toEqual([]);
  });

  it('a zombie still holds it', () => {
    const between = select([[102, 1, 101, 101, { state: 'Z' }]], before);
    expect(between.members).toEqual([]);
    expect([...between.claim.groups.keys()]).toEqual([101]);
  });
});

it('a process whose first thread has ended is live', () => {
  expect(pidsOf([[100, 50, 40, 40, { state: 'Z', threads: 3 }]])).toEqual([100]);
});

describe('rule 10: the number of a leader that is gone may be used again', () => {
  /** The root led a group and a session; both have been seen. */
  const { claim } = select([
    [100, 50, 100, 100],
    [101, 100, 100, 100],
  ]);
  const now = 1_000_000n; // of the look above
  const younger = { startTicks: now + 1n };
  const heir = (group: number): Row => [300, 1, group, 100, younger];
  const isLed = ({ pid }: { pid: number }) => pid === 100;
  const next = (rows: Row[], proof?: typeof isLed) =>
    selectMembers(look(...us, ...rows), claim, ourselves, { isLed: proof }).members.map(({ pid }) => pid);

  it.each<[string, number]>([
    ['group', 100],
    ['session', 299],
  ])('who has come into its %s since is a stranger, or may be', (_, group) => {
    expect(next([heir(group)])).toEqual([]);
  });

  it.each<[string, Row, number[]]>([
    ['its zombie', [100, 50, 100, 100, { state: 'Z' }], [300]],
    ['one we know', [101, 1, 100, 100], [101, 300]],
    ['one that was there before', [102, 1, 100, 100, { startTicks: now }], [102]],
  ])('but not when %s is in it', (_, witness, expected) => {
    expect(next([witness, heir(100)])).toEqual(expected);
  });

  it('nor when the kernel says that the group is its own', () => {
    expect(next([heir(100)], isLed)).toEqual([300]);
    expect(next([heir(299)], isLed)).toEqual([300]);
  });

  it('whoever is found so shows it in the next look', () => {
    const second = selectMembers(look(...us, [102, 1, 100, 100], heir(100)), claim, ourselves);
    expect(second.members.map(({ pid }) => pid)).toEqual([102]);
    const third = selectMembers(look(...us, [102, 1, 100, 100], heir(100)), second.claim, ourselves);
    expect(third.members.map(({ pid }) => pid)).toEqual([102, 300]);
  });

  it('a root that we started, gone before the first look: only what is as old as the news of it', () => {
    const rows: Row[] = [
      [105, 1, 100, 100],
      [106, 1, 100, 100],
    ];
    expect(pidsOf(rows, { leader: true, heldAt: start(105) })).toEqual([105]);
    expect(pidsOf(rows, { leader: true })).toEqual([]);
  });
});
