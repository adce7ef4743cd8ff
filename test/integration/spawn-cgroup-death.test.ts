/** Containment `cgroup` when owner, keeper or both are killed: who is ended, and who removes the cgroup. */
import { spawn as nodeSpawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { spawn } from '../../src/process/spawn.js';
import { keepTidy, readyPids } from '../fixtures/process-ready.js';
import { cgroupsBelow, processesIn, removeCgroups, requireCgroup } from '../helpers/cgroup.js';
import { runCorral } from '../helpers/command.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, isAlive, readStat, signalIfAlive } from '../helpers/proc.js';

beforeEach(requireCgroup);

const SOON_MS = 10_000;
const left = () => allProcesses().filter(({ name, state }) => state !== 'Z' && (name === 'sleep' || name === 'corral-keeper'));
const sleepers = () => left().filter(({ name }) => name === 'sleep');
const runAnother = () => runCorral(['run', '--containment', 'cgroup', '--', 'true']);

function killKeeper(pid: number): void {
  const keeper = readStat(pid)?.ppid ?? 0;
  expect(readStat(keeper)?.name).toBe('corral-keeper');
  process.kill(keeper, 'SIGKILL');
}

it.each(['SIGKILL', 'SIGTERM', 'SIGABRT', 'exit', 'throw'] as const)(
  'the owner, by %s: the keeper ends the tree and removes the cgroup',
  async (ending) => {
    const owner = await startFixture('process-owner.mjs', ['cgroup', ending], { stdin: 'pipe' });
    const pids = owner.ready.map(Number);
    await eventually(() => sleepers().length >= 5, SOON_MS, 'the tree is complete');
    expect(cgroupsBelow()).toHaveLength(1);
    if (ending === 'exit' || ending === 'throw') owner.child.stdin?.write('now\n');
    else owner.child.kill(ending);
    await owner.exited;
    await eventually(() => left().length === 0, SOON_MS, 'nothing is left');
    expect(pids.filter((pid) => isAlive(pid))).toEqual([]);
    expect(cgroupsBelow()).toEqual([]);
  },
);

it('the keeper: the owner finds by the cgroup whom it can not find otherwise, and removes it', async () => {
  // No mark, no parent, no session of the tree: only the cgroup says whose these are.
  const daemon = 'env -i setsid sh -c "(setsid sleep 300 &)"';
  const child = keepTidy(
    await spawn('sh', ['-c', `${daemon}; ${daemon}; echo READY; exec sleep 300`], { containment: 'cgroup', forceKillAfterDelay: 200 }),
  );
  await readyPids(child);
  await eventually(() => sleepers().length === 3);
  const [leaf = ''] = cgroupsBelow();
  killKeeper(child.pid);
  expect(await child.empty).toMatchObject({ survivors: [], proof: 'scan' });
  expect(sleepers()).toEqual([]);
  await eventually(() => !existsSync(leaf));
});

it('the keeper, before it could say that the leader runs', async () => {
  const attempts = Array.from({ length: 10 }, async () => {
    const child = await spawn('sh', ['-c', 'kill -KILL $PPID; sleep 300'], { containment: 'cgroup', stdout: 'ignore', stderr: 'ignore' });
    await child.empty;
  });
  await Promise.allSettled(attempts);
  expect(sleepers()).toEqual([]);
  await eventually(() => cgroupsBelow().length === 0);
});

it('both: the cgroup is removed by the next program that makes one there, once nobody is in it', async () => {
  const owner = await startFixture('process-owner.mjs', ['cgroup', 'wait'], { stdin: 'pipe' });
  const [leader = 0] = owner.ready.map(Number);
  await eventually(() => sleepers().length >= 5, SOON_MS, 'the tree is complete');
  const [leaf = ''] = cgroupsBelow();
  const keeper = readStat(leader)?.ppid ?? 0;
  owner.child.kill('SIGSTOP'); // so that it can not notice
  process.kill(keeper, 'SIGKILL');
  owner.child.kill('SIGKILL');
  await owner.exited;
  await eventually(() => !isAlive(leader), SOON_MS);

  expect(processesIn(leaf)).not.toEqual([]);
  expect(await runAnother()).toMatchObject({ code: 0 });
  expect(existsSync(leaf)).toBe(true);

  for (const pid of processesIn(leaf)) signalIfAlive(pid);
  await eventually(() => processesIn(leaf).length === 0);
  expect(await runAnother()).toMatchObject({ code: 0 });
  expect(existsSync(leaf)).toBe(false);
});

it('nothing is removed that somebody holds, or that is not ours', async (context) => {
  const run = requireCgroup(context);
  const held = path.join(run, `corral-${'0'.repeat(32)}.1`);
  const free = path.join(run, `corral-${'0'.repeat(32)}.2`);
  const other = path.join(run, 'corral-of-somebody-else');
  for (const directory of [held, free, other]) mkdirSync(directory);
  onTestFinished(() => removeCgroups([held, free, other]));
  // Says a word when it has the lock, and holds it until its stdin ends.
  const holder = nodeSpawn('flock', [held, 'sh', '-c', 'echo locked; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(holder, 'exit');
  await once(holder.stdout, 'data');
  expect(await runAnother()).toMatchObject({ code: 0 });
  expect([held, free, other].map((directory) => existsSync(directory))).toEqual([true, false, true]);
  holder.stdin.end();
  await exited;
  expect(await runAnother()).toMatchObject({ code: 0 });
  expect([held, other].map((directory) => existsSync(directory))).toEqual([false, true]);
  writeFileSync(path.join(other, 'cgroup.procs'), ''); // still a cgroup
});
