/** With the mark of a tree, what has left its session and lost its parent is found as well; without it, nobody else is. */
import { expect, it } from 'vitest';
import { identityOf } from '../../src/tree/identity.js';
import { killTree } from '../../src/tree/kill-tree.js';
import { selectTree } from '../../src/tree/select.js';
import { terminate } from '../../src/tree/terminate.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { isAlive, readStat } from '../helpers/proc.js';

async function escaped(mark: string) {
  const { pid, ready } = await startFixture('family.sh', ['wait'], { detached: true, env: { ...process.env, CORRAL_TREE: mark } });
  const members = ready.map(Number);
  const orphan = members.at(-1) as number;
  await eventually(() => readStat(orphan)?.sid === orphan && readStat(orphan)?.name === 'sleep');
  return { pid, orphan, members, root: identityOf(pid)! };
}

it('finds the orphan of this tree, and only of this', async () => {
  const ours = await escaped('ours');
  const other = await escaped('other');
  const report = await terminate(selectTree(ours.root, { leader: true, mark: 'ours' }), { forceKillAfterDelay: 300 });
  expect(report.survivors).toEqual([]);
  expect(report.terminated.map(({ pid }) => pid)).toEqual(expect.arrayContaining([ours.pid, ...ours.members]));
  expect([other.pid, ...other.members].filter((pid) => !isAlive(pid))).toEqual([]);

  // Found by pid a tree has no mark, even if its environment shows one.
  await killTree(other.root, { forceKillAfterDelay: 300 });
  expect(isAlive(other.orphan)).toBe(true);
  await killTree(other.orphan);
});

it('works on when the leader is gone', async () => {
  const { pid, members, root } = await escaped('headless');
  process.kill(pid, 'SIGKILL');
  await eventually(() => !isAlive(pid));
  const report = await terminate(selectTree(root, { leader: true, mark: 'headless' }), { forceKillAfterDelay: 300 });
  expect(report).toMatchObject({ survivors: [], escalated: true });
  expect(members.filter((member) => isAlive(member))).toEqual([]);
});
