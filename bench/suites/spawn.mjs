/** What it costs to start a process: the thread blocked, the way to the exit, many at once, what the parent pays afterwards. */
import { freemem } from 'node:os';
import { contest } from '../lib/contest.mjs';
import { figure, makeRow } from '../lib/rows.mjs';

const PEERS = ['node', 'bun', 'python', 'execa', 'tinyexec', 'nano-spawn', 'zx'];
const CORRAL = ['corral-group', 'corral-tree'];
const LIMITS = {
  thread: 'C, vfork on a thread of its own',
  clone: 'C, clone(VM|VFORK) and waitid',
  two: 'C, two vfork + exec',
  posix_spawn: 'C, posix_spawn',
};
/** Spawns per round; fewer in a JavaScript program that does not get so far in the time. */
const COUNT = 100;
const BUDGET_MS = 1500;
/** The C program that forks has no clock to look at: MB of touched heap → spawns per round. A fork of 4 GB takes a tenth of a second. */
const FORKS = { 0: 100, 1000: 12, 4000: 5 };
const BATCH = 64;
const GB = 1 << 30;

export async function run({ cast, quick, say }) {
  const heaps = quick ? [0, 1000] : [0, 1000, 4000];
  const rows = [];
  let nodeEmpty;
  let empty;
  for (const heapMb of heaps) {
    if (heapMb === 4000 && freemem() < 12 * GB) {
      say('spawn, heap 4 GB: not run, less than 12 GB of memory are free');
      continue;
    }
    say(`spawn, heap ${heapMb} MB`);
    const task = { heapMb, count: COUNT, budgetMs: quick ? BUDGET_MS / 3 : BUDGET_MS, batch: heapMb === 0 ? BATCH : 0 };
    const limits = heapMb === 0 ? Object.keys(LIMITS) : ['thread', 'clone'];
    const peers = heapMb === 4000 || (quick && heapMb > 0) ? ['node', 'bun', 'python', 'execa'] : PEERS;
    const limitArguments = (mode) => [mode, heapMb, mode === 'fork' ? FORKS[heapMb] : COUNT, task.batch, cast.tools.limit.child];
    const results = await contest(
      [
        ...limits.map((mode) => cast.limit(`limit-${mode}`, LIMITS[mode], 'spawn', limitArguments(mode))),
        { ...cast.limit('reference-fork', '', 'spawn', limitArguments('fork')), label: 'C, fork + exec: what libuv does' },
        ...CORRAL.map((id) => cast.worker('spawn', id, task)),
        ...peers.map((id) => cast.worker('spawn', id, task)),
      ],
      // To fill a heap of 4 GB takes a slow machine half a minute.
      { rounds: quick ? 2 : 5, budgetMs: 60_000, deadlineMs: 60_000 },
    );
    const row = (spec) => makeRow({ suite: 'spawn', unit: 'µs', results, ...spec });
    const heapText = heapMb < 1000 ? `${heapMb} MB` : `${heapMb / 1000} GB`;

    // nano-spawn puts the work off to a later tick; its call says nothing, the row "loop busy" does.
    const block = (goals) =>
      row({
        id: `spawn-block-${heapMb}`,
        title: `spawn: JavaScript thread blocked by the call, heap ${heapText}`,
        ids: ['limit-thread', ...CORRAL, ...peers.filter((id) => id !== 'nano-spawn'), 'reference-fork'],
        metric: 'blockUs',
        goals,
      });
    nodeEmpty ??= figure(block([]), 'node');
    rows.push(block(nodeEmpty ? [{ text: '≤ 1/20 of Node with an empty heap', subjects: CORRAL, of: nodeEmpty, atMost: 1 / 20 }] : []));

    if (heapMb === 0) {
      rows.push(
        row({
          id: 'spawn-busy',
          title: 'spawn: event loop busy per spawn, exit seen (what was put off included)',
          ids: [...CORRAL, ...PEERS],
          metric: 'busyUs',
        }),
      );
    }
    if (heapMb === 0 || heapMb === 1000) {
      // "Never slower with a big heap" needs the figure without one.
      const flat = (id) =>
        heapMb === 0 ? [] : empty[id] ? [{ text: '≤ 1.2 × itself with an empty heap', subjects: [id], of: empty[id], atMost: 1.2 }] : [];
      const group = row({
        id: `spawn-group-${heapMb}`,
        title: `spawn → exit seen, group, heap ${heapText}`,
        ids: ['limit-clone', 'corral-group', ...peers],
        metric: 'totalUs',
        goals: [{ text: 'faster than Node', subjects: ['corral-group'], of: 'node', atMost: 1 }, ...flat('corral-group')],
      });
      const tree = row({
        id: `spawn-tree-${heapMb}`,
        title: `spawn → exit seen, tree (with keeper), heap ${heapText}`,
        ids: [...(heapMb === 0 ? ['limit-two'] : []), 'corral-tree', ...peers],
        metric: 'totalUs',
        goals: [{ text: '≤ 1.0 × Node', subjects: ['corral-tree'], of: 'node', atMost: 1 }, ...flat('corral-tree')],
      });
      empty ??= { 'corral-group': figure(group, 'corral-group'), 'corral-tree': figure(tree, 'corral-tree') };
      rows.push(group, tree);
    }
    if (heapMb === 0) {
      const ids = ['limit-posix_spawn', 'limit-clone', ...CORRAL, ...PEERS];
      rows.push(
        row({
          id: 'spawn-64',
          title: `${BATCH} spawns at once: per child, until all have exited`,
          ids,
          metric: 'batchPerChildUs',
          goals: [{ text: '≥ 2 × the throughput of Node', subjects: ['corral-group'], of: 'node', atMost: 1 / 2 }],
        }),
        row({
          id: 'spawn-64-block',
          title: `${BATCH} spawns at once: thread blocked, whole batch`,
          ids: ['limit-thread', ...ids.slice(2).filter((id) => id !== 'nano-spawn')],
          metric: 'batchBlockUs',
        }),
      );
    }
    if (heapMb === 1000) {
      const ids = [...CORRAL, 'node', 'bun', 'execa'];
      rows.push(
        row({
          id: 'spawn-faults',
          title: 'after a spawn: the parent writes every page of 1 GB, against before',
          unit: '× before',
          ids,
          // A ratio by itself: page faults that the fork left behind.
          metric: ({ touchAfterUs, touchBeforeUs }) =>
            touchAfterUs && {
              value: touchAfterUs.value / touchBeforeUs.value,
              low: touchAfterUs.low / touchBeforeUs.value,
              high: touchAfterUs.high / touchBeforeUs.value,
              rounds: touchAfterUs.rounds.map((after, i) => after / touchBeforeUs.rounds[i]),
            },
        }),
      );
    }
  }
  return rows;
}
