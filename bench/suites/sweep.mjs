/** The sweep: judging a big table, and what a look every five minutes costs. Nobody else does this; the goals are absolute. */
import { contest } from '../lib/contest.mjs';
import { withHerd } from '../lib/herd.mjs';
import { makeRow } from '../lib/rows.mjs';

const TABLE = 20_000;
const WATCHED = 1000;
const INTERVAL_MS = 5 * 60 * 1000;

export async function run({ cast, quick, say }) {
  say('sweep');
  const count = quick ? 5 : 10;
  const judged = (method, label, processes) => ({
    ...cast.worker('sweep', method, { processes, count }, { label }),
    id: `corral-${method}`,
    missing: cast.tools.missing.corral,
  });
  const results = await withHerd(cast.tools, WATCHED, () =>
    contest([judged('classify', 'corral classify()', TABLE), judged('look', 'corral watch', WATCHED)], {
      rounds: quick ? 2 : 5,
      budgetMs: 15_000,
    }),
  );
  const row = (id, spec) => makeRow({ suite: 'sweep', results, ids: [id], ...spec });
  return [
    row('corral-classify', {
      id: 'classify',
      title: `judge ${TABLE.toLocaleString('en-US')} processes: columns of a scan → verdicts`,
      unit: 'ms',
      metric: 'judgeUs',
      divide: 1000,
      goals: [{ text: '≤ 50 ms', subjects: ['corral-classify'], of: 50, atMost: 1 }],
    }),
    row('corral-look', {
      id: 'watch',
      title: `watch: processor time of a look at ${WATCHED} processes, as a share of 5 minutes`,
      unit: '%',
      metric: 'cpuUs',
      divide: INTERVAL_MS * 10, // microseconds to percent
      goals: [{ text: '≤ 0.1 % of a core', subjects: ['corral-look'], of: 0.1, atMost: 1 }],
    }),
  ];
}
