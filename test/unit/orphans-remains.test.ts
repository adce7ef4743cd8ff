/** Who belongs to the rest of an abandoned tree, look by look: what `terminate` is told, and what is remembered. */
import { describe, expect, it } from 'vitest';
import { classify } from '../../src/orphans/classify.js';
import { defaultPolicy } from '../../src/orphans/policy.js';
import { Remains, type RemainsOptions } from '../../src/orphans/remains.js';
import { markOf } from '../../src/tree/mark.js';
import { FACTS, type Row, table } from '../helpers/orphan-world.js';

const TREE = markOf({ pid: 40, namespace: 0, ticks: 1, tree: 1 });
const OTHER_TREE = markOf({ pid: 41, namespace: 0, ticks: 1, tree: 1 });
const policy = { ...defaultPolicy('guarded'), minAgeSeconds: 0 };
const member = (pid: number, row: Partial<Row> = {}): Row => ({ pid, name: 'x', args: ['x'], ageSeconds: 1, treeMark: TREE, ...row });

/** What a look finds: the rows, who of them is gone when he is to be held, and whether somebody could not be asked. */
interface Turn {
  rows: Row[];
  gone?: number[];
  unsteady?: boolean;
}

/** `condemned` are those of the first rows that are condemned; then the turns follow, and the last again and again. */
function remainsOf(first: Row[], turns: Turn[], options: Partial<RemainsOptions> = {}) {
  const verdicts = classify(table(...first), policy, FACTS);
  const condemned = verdicts.filter(({ action }) => action === 'terminate');
  const seen: number[] = [];
  let looks = 0;
  let gone: number[] = [];
  const remains = new Remains({
    verdicts,
    condemned,
    policy,
    limit: 100,
    untilMs: Number.POSITIVE_INFINITY,
    lookAgain: async ({ onMarked }) => {
      const turn = turns[Math.min(looks++, turns.length - 1)]!;
      gone = turn.gone ?? [];
      const now = table(...turn.rows);
      for (const row of now) if (row.treeMark !== undefined) onMarked(row, { table: now, facts: FACTS });
      return { table: Object.assign(now, {}), flat: () => now, facts: FACTS, isSteady: turn.unsteady !== true };
    },
    ...options,
  });
  return {
    remains,
    seen,
    looks: () => looks,
    pids: async () => {
      const rows = await remains.select(undefined, ({ pid }) => {
        seen.push(pid);
        return gone.includes(pid) ? 'gone' : undefined;
      });
      return rows.map(({ pid }) => pid);
    },
    known: () => [...remains.known.values()].map(({ process }) => process.pid),
  };
}

describe('a look', () => {
  it('shows the condemned and the newcomers of their tree, each told of when he is seen', async () => {
    const { pids, seen } = remainsOf([member(50), member(51)], [{ rows: [member(50), member(51), member(52, { ppid: 51 })] }]);
    expect(await pids()).toEqual([50, 51, 52]);
    expect(seen).toEqual([50, 51, 52]);
  });

  it.each<[string, Row[], Row[], number[]]>([
    ['of another tree', [member(50)], [member(50), member(60, { treeMark: OTHER_TREE })], [50]],
    ['of nobody', [member(50)], [member(50), { pid: 60, name: 'x' }], [50]],
    ['of another user', [member(50)], [member(50), member(60, { uid: 0 })], [50]],
    ['whose parent was spared', [member(50), member(51, { tty: 5 })], [member(50), member(51, { tty: 5 }), member(60, { ppid: 51 })], [50]],
    ['at a terminal', [member(50)], [member(50), member(60, { tty: 5 })], [50]],
    ['a zombie', [member(50)], [member(50), member(60, { state: 'Z' })], [50]],
    ['under the number of a condemned', [member(50)], [{ pid: 50, name: 'x', ageSeconds: 0.5 }], []],
  ])('spares a newcomer %s', async (_, first, rows, expected) => {
    expect(await remainsOf(first, [{ rows }]).pids()).toEqual(expected);
  });

  it('does not show who was gone when he was to be held, and looks again', async () => {
    const { pids, looks, known } = remainsOf(
      [member(50)],
      [{ rows: [member(50), member(51)], gone: [51] }, { rows: [member(50), member(52)], gone: [52] }, { rows: [member(50)] }],
    );
    expect(await pids()).toEqual([50]);
    expect(looks()).toBe(1); // 50 is news, so it will be looked again in any case
    expect(await pids()).toEqual([50]);
    expect(looks()).toBe(3);
    expect(known()).toEqual([50]);
  });

  it('in which a condemned was gone does not say that nobody is left', async () => {
    const { pids, looks, known } = remainsOf([member(50)], [{ rows: [member(50)], gone: [50] }, { rows: [member(51)] }]);
    expect(await pids()).toEqual([51]);
    expect(looks()).toBe(2);
    expect(known()).toEqual([50, 51]); // what became of the condemned is to be told
  });

  it('in which somebody could not be asked does not either', async () => {
    const { pids, looks } = remainsOf([member(50)], [{ rows: [], unsteady: true }, { rows: [], unsteady: true }, { rows: [] }]);
    expect(await pids()).toEqual([]);
    expect(looks()).toBe(3);
  });

  it('fails when that goes on until the time is over', async () => {
    const { pids } = remainsOf([member(50)], [{ rows: [], unsteady: true }], { untilMs: performance.now() + 50 });
    await expect(pids()).rejects.toMatchObject({ code: 'ERR_SCAN' });
  });

  it('is enough after some more when there is somebody to end', async () => {
    const { pids, looks } = remainsOf([member(50)], [{ rows: [member(50)], unsteady: true }]);
    expect(await pids()).toEqual([50]);
    expect(await pids()).toEqual([50]);
    expect(looks()).toBe(9);
  });

  it('is enough at once when the time is over', async () => {
    const { pids, looks } = remainsOf([member(50)], [{ rows: [member(50)], unsteady: true }], { untilMs: 0 });
    expect(await pids()).toEqual([50]);
    expect(await pids()).toEqual([50]);
    expect(looks()).toBe(2);
  });
});

describe('the limit', () => {
  const rows = [member(50), member(51), member(52)];

  it('has room for so many, and says how many are beyond it', async () => {
    const { pids, remains, seen } = remainsOf([member(50)], [{ rows }], { limit: 2 });
    expect(await pids()).toEqual([50, 51]);
    expect(remains.beyondLimit).toBe(1);
    expect(seen).toEqual([50, 51]);
  });

  it('is kept for the condemned until it was seen who of them is left', async () => {
    const { pids, remains } = remainsOf([member(51), member(52)], [{ rows: [member(50), member(51)] }], { limit: 2 });
    expect(await pids()).toEqual([51]);
    expect(remains.beyondLimit).toBe(1);
    expect(await pids()).toEqual([51, 50]);
    expect(remains.beyondLimit).toBe(0);
  });

  it('does not count those that end by themselves', async () => {
    const turns = [51, 52, 53, 54].map((pid): Turn => ({ rows: [member(50), member(pid)], gone: [pid] }));
    const { pids, remains } = remainsOf([member(50)], [...turns, { rows: [member(50), member(55)] }], { limit: 2 });
    expect(await pids()).toEqual([50]);
    expect(await pids()).toEqual([50, 55]);
    expect(remains.beyondLimit).toBe(0);
  });

  it('does not make a look wait for those it has no room for', async () => {
    const { pids, remains, looks } = remainsOf([member(50)], [{ rows: [member(50)] }, { rows: [member(51)], unsteady: true }], {
      limit: 1,
    });
    await pids();
    expect(await pids()).toEqual([]);
    expect(remains.beyondLimit).toBe(1);
    expect(looks()).toBe(2);
  });
});
