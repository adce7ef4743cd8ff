/** From a child's last act to the JavaScript callback, with more and more other children alive. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { contest } from '../lib/contest.mjs';
import { figure, makeRow } from '../lib/rows.mjs';

const PEERS = ['node', 'bun'];
const CORRAL = ['corral-group', 'corral-tree'];

export async function run({ cast, quick, say }) {
  const rows = [];
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-bench-reap-'));
  let alone;
  for (const live of quick ? [0, 500] : [0, 500, 2000]) {
    say(`reap, ${live} live children`);
    const task = { live, count: quick ? 60 : 150, directory };
    const results = await contest(
      [
        cast.limit('limit', 'C, pidfd in epoll', 'reap', [live, task.count, cast.tools.limit.child, path.join(directory, 'stamp')], {
          isolate: true,
        }),
        ...[...CORRAL, ...PEERS].map((id) => cast.worker('reap', id, task, { isolate: true })),
      ],
      { rounds: quick ? 2 : 5, budgetMs: 15_000 },
    );
    const flat = (id) => ({ text: `flat: ≤ 1.2 × itself with no other child`, subjects: [id], of: alone?.[id], atMost: 1.2 });
    const row = makeRow({
      id: `reap-${live}`,
      suite: 'reap',
      title: `reap: exit → callback, ${live} other live children`,
      unit: 'µs',
      results,
      ids: ['limit', ...CORRAL, ...PEERS],
      metric: 'latencyUs',
      goals: alone ? CORRAL.filter((id) => alone[id] !== undefined).map(flat) : [],
    });
    alone ??= Object.fromEntries(CORRAL.map((id) => [id, figure(row, id)]));
    rows.push(row);
  }
  rmSync(directory, { recursive: true, force: true });
  return rows;
}
