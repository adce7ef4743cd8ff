/** From a child's last act to the JavaScript callback, with more and more other children alive. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { contest } from '../lib/contest.mjs';
import { figure, makeRow } from '../lib/rows.mjs';

const PEERS = ['node', 'bun'];
const CORRAL = ['corral-group', 'corral-tree'];

export async function run({ cast, quick, say }) {
  const counts = quick ? [0, 500] : [0, 500, 2000];
  say(`reap, ${counts.join(', ')} live children`);
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-bench-reap-'));
  // All in one contest: each is compared with itself, and the machine may be slower a minute later.
  const results = await contest(
    counts.flatMap((live) => {
      const task = { live, count: quick ? 60 : 100, directory };
      const limit = [live, task.count, cast.tools.limit.child, path.join(directory, 'stamp')];
      return [
        cast.limit('limit', 'C, pidfd in epoll', 'reap', limit, { isolate: true }),
        ...[...CORRAL, ...PEERS].map((id) => cast.worker('reap', id, task, { isolate: true })),
      ].map((entry) => ({ ...entry, id: `${entry.id}, ${live}` }));
    }),
    { rounds: quick ? 2 : 8, budgetMs: quick ? 30_000 : 420_000 },
  );
  rmSync(directory, { recursive: true, force: true });
  const ids = ['limit', ...CORRAL, ...PEERS];
  const rows = [];
  for (const live of counts) {
    const alone = (id) => (live === 0 ? undefined : figure(rows[0], id));
    rows.push(
      makeRow({
        id: `reap-${live}`,
        suite: 'reap',
        title: `reap: exit → callback, ${live} other live children`,
        unit: 'µs',
        results: new Map(ids.map((id) => [id, results.get(`${id}, ${live}`)])),
        ids,
        metric: 'latencyUs',
        goals: CORRAL.filter(alone).map((id) => ({
          text: 'flat: ≤ 1.2 × itself with no other child',
          subjects: [id],
          of: alone(id),
          atMost: 1.2,
        })),
      }),
    );
  }
  return rows;
}
