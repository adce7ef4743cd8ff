/** Somebody kills the keeper, or stops it: the tree is ended all the same, by session, descent and mark. */
import { expect, it } from 'vitest';
import type { SpawnedChild } from '../../src/process/child.js';
import { run } from '../../src/process/run.js';
import { spawn } from '../../src/process/spawn.js';
import { keepTidy, readyPids } from '../fixtures/process-ready.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses, isAlive, readStat, signalIfAlive } from '../helpers/proc.js';

/** The keeper of a child is its parent. */
function keeperOf(pid: number): number {
  const keeper = readStat(pid)?.ppid ?? 0;
  expect(readStat(keeper)?.name).toBe('corral-keeper');
  return keeper;
}
const killKeeper = (pid: number) => process.kill(keeperOf(pid), 'SIGKILL');

const sleepers = () => allProcesses().filter(({ name, state }) => name === 'sleep' && state !== 'Z');

it('whoever was in the tree is gone, members with sessions of their own too', async () => {
  const script = 'sleep 300 & a=$!; setsid sh -c "trap \\"\\" TERM; sleep 300; sleep 300" & echo READY $a $!; wait';
  const child = keepTidy(await spawn('sh', ['-c', script], { forceKillAfterDelay: 200 }));
  const pids = [child.pid, ...(await readyPids(child))];
  await eventually(() => sleepers().length === 2, 5000, 'the tree is complete');
  killKeeper(child.pid);
  expect(await child.empty).toMatchObject({ survivors: [], proof: 'scan' });
  expect(pids.filter((pid) => isAlive(pid))).toEqual([]);
  expect(sleepers()).toEqual([]);
  expect(await child.exited).toMatchObject({ exitCode: null, signal: null });
  expect((await child.stop()).survivors).toEqual([]);
});

it.each(['stop', 'killAll'] as const)('a keeper that was stopped is woken by %s()', async (call) => {
  const child = keepTidy(await spawn('sh', ['-c', 'sleep 300 & echo READY; wait'])) as SpawnedChild;
  await readyPids(child);
  const keeper = keeperOf(child.pid);
  process.kill(keeper, 'SIGSTOP');
  await eventually(() => readStat(keeper)?.state === 'T', 5000, 'the keeper stands still');
  expect(await child[call]()).toMatchObject({ survivors: [], proof: 'echild' });
  expect(sleepers()).toEqual([]);
});

it('a daemon with a cleared environment is found by its limit', async () => {
  const child = keepTidy(await spawn('sh', ['-c', '(env -i setsid sleep 300 <&- >&- 2>&- &); echo READY; sleep 300']));
  await readyPids(child);
  await eventually(() => sleepers().filter(({ pid, sid }) => pid === sid).length === 1, 5000, 'the daemon runs');
  killKeeper(child.pid);
  expect(await child.empty).toMatchObject({ survivors: [], proof: 'scan' });
  expect(sleepers()).toEqual([]);
});

it('during a stop() that waits: the stop still ends with nothing left', async () => {
  const child = keepTidy(
    await spawn('sh', ['-c', '(trap "" TERM; echo READY; while :; do sleep 1; done) & wait'], { forceKillAfterDelay: 5000 }),
  );
  await readyPids(child);
  const stop = child.stop();
  await eventually(() => readStat(child.pid) === undefined || readStat(child.pid)?.state === 'Z', 5000, 'the leader has ended');
  for (const { pid, name } of allProcesses()) if (name === 'corral-keeper') signalIfAlive(pid);
  expect((await stop).survivors).toEqual([]);
  expect(sleepers()).toEqual([]);
});

it('before it could say that the leader runs: the start fails, or the child is lost, and nothing is left either way', async () => {
  const attempts = Array.from({ length: 20 }, async () => {
    const child = await spawn('sh', ['-c', 'kill -KILL $PPID; sleep 300'], { stdout: 'ignore', stderr: 'ignore' });
    await child.empty;
  });
  for (const { reason } of (await Promise.allSettled(attempts)).filter((one) => one.status === 'rejected')) {
    expect(reason).toMatchObject({ code: 'EPIPE', stage: 'keeper' });
  }
  expect(sleepers()).toEqual([]);
});

it('run() says so', async () => {
  const error = run('sh', ['-c', 'read line; kill -KILL $PPID; sleep 300'], { input: '\n' }).catch((caught) => caught);
  expect(await error).toMatchObject({
    name: 'RunError',
    code: 'ERR_KEEPER_LOST',
    shortMessage: expect.stringContaining('Command lost its keeper, which somebody killed, and was ended: sh -c'),
    exitCode: null,
    signal: null,
    failed: true,
  });
});
