/** What the sweep leaves alone on a real machine: each of these would be ended but for one thing. */
import { spawn } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { spawn as spawnContained } from '../../src/process/spawn.js';
import { requireRoot } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { eagerProject } from '../helpers/leftovers.js';
import { allProcesses, isAlive, readStat } from '../helpers/proc.js';
import { leave, named, olderThan, RIPGREP, stuckRipgrep, sweepIn, verdictOn } from '../helpers/sweeping.js';

async function expectSpared(pid: number, protectedBy: string, config: object = {}): Promise<void> {
  await named(pid, 'rg');
  await olderThan(pid, 0.01);
  const report = await sweepIn(eagerProject(config));
  expect(verdictOn(report, pid)).toMatchObject({ action: 'spare', protectedBy, evidence: expect.arrayContaining([expect.any(String)]) });
  expect(report.totalCleaned).toBe(0);
  expect(isAlive(pid)).toBe(true);
}
const waitingRipgrep = `${RIPGREP} corral-needle <&3 >/dev/null 2>&1 &`;

describe('spared', () => {
  it.each([
    ['claude', 'agent-tree'],
    ['codex', 'agent-tree'],
    ['pytest', 'protected:pytest'],
    ['alembic', 'protected:alembic'],
    ['docker-compose', 'protected:docker-compose'],
    ['nvim', 'protected:nvim'],
  ])('what runs below %s', async (name, protectedBy) => {
    const [pid] = (await leave(`sh -c '${waitingRipgrep} echo $!; wait'; exit`, { name })) as [number];
    await expectSpared(pid, protectedBy);
  });

  it('what a live agent put into the background', async () => {
    const [agent] = (await leave('echo $$; read -r _ <&3', { name: 'claude' })) as [number];
    await named(agent, 'claude');
    const pid = await stuckRipgrep('x', { CLAUDE_PID: String(agent) });
    await expectSpared(pid, 'agent-session');
  });

  it('what is younger than the least age', async () => {
    await expectSpared(await stuckRipgrep(), 'min-age', { min_age_seconds: 60 });
  });

  it('what shares our process group', async () => {
    const child = spawn(RIPGREP, ['x'], { stdio: ['pipe', 'ignore', 'ignore'] });
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await eventually(() => child.exitCode !== null || child.signalCode !== null);
    });
    await expectSpared(child.pid as number, 'own-group');
  });

  it('what corral holds', async () => {
    const child = await spawnContained('sh', ['-c', `exec 3<&0; (setsid ${RIPGREP} x <&3 >/dev/null &); exec sleep 300`], {
      stdin: 'pipe',
    });
    onTestFinished(async () => void (await child.stop()));
    const pid = await eventually(() => allProcesses().find(({ name }) => name === 'rg')?.pid);
    await expectSpared(pid, 'corral');
  });

  it('what another user runs', async (context) => {
    requireRoot(context, 'to start a process of another user');
    const [pid] = (await leave(`setsid setpriv --reuid 65534 --clear-groups ${RIPGREP} x <&3 >/dev/null 2>&1 & echo $!`)) as [number];
    await expectSpared(pid, 'other-user');
  });

  it('what runs in another pid namespace', async (context) => {
    requireRoot(context, 'to make a pid namespace');
    const [unshare] = (await leave(`setsid unshare --pid --fork ${RIPGREP} x <&3 >/dev/null 2>&1 & echo $!`)) as [number];
    const pid = await eventually(() => allProcesses().find(({ ppid }) => ppid === unshare)?.pid);
    await expectSpared(pid, 'pid-namespace');
    process.kill(pid, 'SIGKILL');
    await eventually(() => readStat(pid) === undefined);
  });

  it('what the user protects by directory', async () => {
    const [pid] = (await leave(`cd /usr/lib && setsid ${waitingRipgrep} echo $!`)) as [number];
    await expectSpared(pid, 'protected:/usr', { protect: [{ cwd: '/usr', scope: 'self' }] });
  });

  it('and without any of it the same is ended', async () => {
    const pid = await stuckRipgrep();
    expect((await sweepIn(eagerProject())).cleaned).toMatchObject([{ pid }]);
  });
});
