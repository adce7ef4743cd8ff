/** Ending a tree: how long until all are dead and that is proven, and who survives. Everything runs in pid namespaces of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { contest } from '../lib/contest.mjs';
import { makeRow } from '../lib/rows.mjs';

const PEERS = ['node', 'python', 'psutil', 'pidtree', 'zx', 'tree-kill', 'fkill', 'execa', 'tinyexec', 'bun'];
const CORRAL = ['corral-stop', 'corral-killTree'];
const FIRST_GOAL = { text: '≤ 1.5 × limit', atMost: 1.5 };
const FINAL_GOAL = { text: '≤ 1.15 × limit (final goal)', atMost: 1.15 };
const SETTLE_MS = 300;
const BUDGET_MS = 2000;
const DEADLINE_MS = 12_000;
const FLAT_TRIALS = { 10: 10, 100: 5, 1000: 2 };
const SHAPES = [
  { shape: 'setsid', members: 30, what: 'children in sessions of their own' },
  { shape: 'daemons', members: 30, what: 'daemons (double fork, setsid)' },
  { shape: 'mixed', members: 30, what: 'in group, sessions, daemons mixed' },
  { shape: 'hydra', members: 49, what: 'members that fork a new child for each that dies' },
  { shape: 'hop', members: 20, what: 'hopping pids in the group while killed' },
  { shape: 'hopsid', members: 20, what: 'hopping pids and sessions while killed' },
];
const QUICK_SHAPES = new Set(['daemons', 'hopsid']);

/** Done means: the method says so, and it is so. A method that leaves someone alive has no time. */
const TIME = {
  unit: 'µs',
  metric: ({ doneUs, deadUs, survivors }) => (survivors?.high > 0 || !doneUs ? undefined : doneUs.value >= deadUs.value ? doneUs : deadUs),
  note: ({ doneUs, deadUs }) =>
    doneUs.value < TOO_EARLY * deadUs.value ? `says done after ${Math.round((doneUs.value / deadUs.value) * 100)} % of that` : undefined,
  without: ({ survivors }) => (survivors?.high > 0 ? `${survivors.high} survive` : undefined),
};
/** The worst round counts. */
const SURVIVORS = { unit: 'survivors', metric: ({ survivors }) => survivors && { ...survivors, value: survivors.high } };
const TOO_EARLY = 0.9;

export async function run({ cast, quick, say }) {
  const rows = [];
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-bench-kill-'));
  // FIFOs are per run of a worker; it lives in a namespace of its own, but not in a file system of its own.
  const inDirectory = (entry) => ({
    ...entry,
    command: entry.command && ['sh', '-c', 'cd "$0" && rm -f ready alive && exec "$@"', directory, ...entry.command],
  });
  const entries = (limitMode, shape, members, trials) =>
    [
      cast.limit(
        'limit',
        limitMode === 'group' ? 'C, kill(-pgid), ECHILD' : 'C, subreaper sweep, ECHILD',
        'kill',
        [limitMode, shape, members, trials, cast.tools.limit.herd, directory],
        { isolate: true },
      ),
      ...[...CORRAL, ...PEERS].map((id) =>
        cast.worker('kill', id, { shape, members, trials, settleMs: SETTLE_MS, budgetMs: BUDGET_MS, directory }, { isolate: true }),
      ),
    ].map(inDirectory);
  const makeRows = (results, ...specs) =>
    specs.map((spec) => makeRow({ suite: 'kill', results, ids: ['limit', ...CORRAL, ...PEERS], ...spec }));

  for (const members of quick ? [10, 100] : [10, 100, 1000]) {
    say(`end a tree of ${members}`);
    const results = await contest(entries('group', 'flat', members, FLAT_TRIALS[members]), {
      rounds: quick ? 2 : 5,
      budgetMs: 25_000,
      deadlineMs: DEADLINE_MS,
    });
    rows.push(
      ...makeRows(results, {
        ...TIME,
        id: `kill-flat-${members}`,
        title: `end a tree of ${members} in one group: all dead and known`,
        goals: [{ ...(members === 100 ? FIRST_GOAL : FINAL_GOAL), subjects: ['corral-stop'], of: 'limit' }],
      }),
    );
  }

  for (const { shape, members, what } of SHAPES.filter(({ shape }) => !quick || QUICK_SHAPES.has(shape))) {
    say(`end a tree: ${shape}`);
    const results = await contest(entries('sweep', shape, members, 3), {
      rounds: quick ? 1 : 3,
      budgetMs: 15_000,
      deadlineMs: DEADLINE_MS,
    });
    rows.push(
      ...makeRows(
        results,
        {
          ...SURVIVORS,
          id: `kill-${shape}-survivors`,
          title: `end a tree, ${members} ${what}: survivors`,
          goals: [{ text: '0 survivors', subjects: ['corral-stop'], of: 0, atMost: 1 }],
        },
        { ...TIME, id: `kill-${shape}`, title: `end a tree, ${members} ${what}: all dead and known` },
      ),
    );
  }
  rmSync(directory, { recursive: true, force: true });
  return rows;
}
