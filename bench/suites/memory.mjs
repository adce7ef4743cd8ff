/** Memory per process that is held: in the JavaScript process, and for `tree` its keeper. */
import { contest } from '../lib/contest.mjs';
import { makeRow } from '../lib/rows.mjs';

const PEERS = ['node', 'bun'];
const CORRAL = ['corral-group', 'corral-tree'];

export async function run({ cast, quick, say }) {
  say('memory per held process');
  const ids = [...CORRAL, ...PEERS];
  const results = await contest(
    ids.map((id) => cast.worker('memory', id, { count: quick ? 300 : 1000 }, { isolate: true, nodeFlags: ['--expose-gc'] })),
    { rounds: quick ? 1 : 3 },
  );
  return [
    makeRow({
      id: 'memory',
      suite: 'memory',
      title: 'memory per held process, in the JavaScript process',
      unit: 'kB',
      results,
      ids,
      metric: 'rssKb',
      goals: [{ text: "≤ Node's", subjects: CORRAL, of: 'node', atMost: 1 }],
    }),
    makeRow({
      id: 'memory-keeper',
      suite: 'memory',
      title: 'memory of one keeper (resident, shared pages in full)',
      unit: 'kB',
      results,
      ids: ['corral-tree'],
      metric: 'keeperRssKb',
      goals: [{ text: '≤ 200 kB', subjects: ['corral-tree'], of: 200, atMost: 1 }],
    }),
  ];
}
