/** Containment `cgroup`: the tree has a cgroup of its own, whoever is in there is ended, and it is gone afterwards. */
import { spawn as nodeSpawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ProcessManager } from '../../src/process/manager.js';
import { run } from '../../src/process/run.js';
import { spawn } from '../../src/process/spawn.js';
import type { SpawnOptions } from '../../src/types.js';
import { keepTidy, readyPids } from '../fixtures/process-ready.js';
import { cgroupOf, cgroupsBelow, enter, processesIn, requireCgroup, tempCgroup } from '../helpers/cgroup.js';
import { runCorral } from '../helpers/command.js';
import { requireRoot } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses, isAlive, readStat } from '../helpers/proc.js';

beforeEach(requireCgroup);

const start = async (script: string, options: SpawnOptions = {}) =>
  keepTidy(await spawn('sh', ['-c', script], { containment: 'cgroup', forceKillAfterDelay: 200, ...options }));
const sleepers = () => allProcesses().filter(({ name, state }) => name === 'sleep' && state !== 'Z');
/** The directory of a running child's cgroup. */
const leafOf = (pid: number) => cgroupsBelow().find((directory) => processesIn(directory).includes(pid));

it('the command is in a cgroup named after its tree, and its keeper is not', async () => {
  const child = await start('echo READY; exec sleep 300', { env: { PATH: process.env.PATH } });
  await readyPids(child);
  expect([child.containment, child.containmentReason]).toEqual(['cgroup', null]);
  const tree = /CORRAL_TREE=([^\0]+)/.exec(readFileSync(`/proc/${child.pid}/environ`, 'utf8'))?.[1];
  expect(cgroupOf(child.pid)).toBe(path.join(cgroupOf(process.pid) ?? '', `corral-${tree}`));
  expect(cgroupOf(readStat(child.pid)?.ppid ?? 0)).toBe(cgroupOf(process.pid));
  expect(await child.stop()).toMatchObject({ survivors: [], proof: 'cgroup' });
  expect(cgroupsBelow()).toEqual([]);
});

describe('ended by stop(), and proven', () => {
  it.each([
    ['same group', 'sleep 300 & wait'],
    ['another group of the session', 'set -m; sleep 300 & wait'],
    ['double fork', '(sleep 300 &) ; sleep 300'],
    ['SIGTERM ignored', 'trap "" TERM; sleep 300; sleep 300'],
    ['own session', 'setsid sleep 300 & wait'],
    ['double fork and own session', '(setsid sleep 300 &) ; sleep 300'],
    ['daemon with a cleared environment and closed streams', '(env -i setsid sleep 300 <&- >&- 2>&- &) ; sleep 300'],
  ])('%s', async (_, script) => {
    const child = await start(script);
    const count = script.includes('trap') ? 1 : script.split('sleep').length - 1;
    await eventually(() => sleepers().length === count);
    const expected = sleepers().map(({ pid }) => pid);
    expect((await child.members()).map(({ pid }) => pid)).toEqual(expect.arrayContaining([child.pid, ...expected]));
    expect(await child.stop()).toMatchObject({ survivors: [], proof: 'cgroup' });
    expect(sleepers()).toEqual([]);
    expect(cgroupsBelow()).toEqual([]);
  });
});

describe('gone with its cgroup', () => {
  it('at the end of the command, with the daemon it leaves', async () => {
    const child = await start('(setsid sh -c "trap \\"\\" TERM; while :; do sleep 300; done" &) ; exit 3', {
      stdout: 'ignore',
      stderr: 'ignore',
    });
    expect(await child.exited).toMatchObject({ exitCode: 3 });
    expect(await child.empty).toMatchObject({ survivors: [], proof: 'cgroup' });
    expect([sleepers(), cgroupsBelow()]).toEqual([[], []]);
  });

  it('when there was nothing to end', async () => {
    const child = await start('exit 0');
    expect(await child.empty).toMatchObject({ terminated: [], proof: 'cgroup', durationMs: 0 });
    expect(cgroupsBelow()).toEqual([]);
  });

  it('when the command could not be executed', async () => {
    await expect(spawn('/no/such/command', [], { containment: 'cgroup' })).rejects.toMatchObject({ code: 'ENOENT', stage: 'exec' });
    expect(cgroupsBelow()).toEqual([]);
  });

  it('at the timeout', async () => {
    const child = await start('trap "" TERM; setsid sleep 300 & while :; do sleep 300; done', { timeout: 3000 });
    expect(await child.empty).toMatchObject({ survivors: [], proof: 'cgroup', escalated: true });
    expect([sleepers(), cgroupsBelow()]).toEqual([[], []]);
  });

  it('and with what members have made in it', async () => {
    const child = await start('echo READY; read directory; cd "$directory"; mkdir -p a/b c; echo $$ > a/b/cgroup.procs; sleep 300', {
      stdin: 'pipe',
    });
    await readyPids(child);
    const leaf = leafOf(child.pid) as string;
    child.stdin?.write(`${leaf}\n`);
    await eventually(() => sleepers().length === 1);
    expect(processesIn(path.join(leaf, 'a/b'))).toContain(child.pid);
    expect((await child.members()).map(({ pid }) => pid)).toEqual(expect.arrayContaining([child.pid, sleepers()[0]?.pid]));
    expect(await child.stop()).toMatchObject({ survivors: [], proof: 'cgroup' });
    expect(existsSync(leaf)).toBe(false);
  });
});

it('who is put into the cgroup is a member, whoever his parent is', async () => {
  const child = await start('echo READY; exec sleep 300');
  await readyPids(child);
  const guest = nodeSpawn('sleep', ['300'], { stdio: 'ignore', detached: true });
  const exited = once(guest, 'exit');
  onTestFinished(async () => {
    guest.kill('SIGKILL');
    await exited;
  });
  writeFileSync(path.join(leafOf(child.pid) as string, 'cgroup.procs'), String(guest.pid));
  expect((await child.members()).map(({ pid }) => pid)).toContain(guest.pid);
  const report = await child.stop();
  expect(report).toMatchObject({ survivors: [], proof: 'cgroup' });
  expect(report.terminated.map(({ pid }) => pid)).toContain(guest.pid);
  expect(await exited).toEqual([null, 'SIGTERM']);
});

describe('also by', () => {
  it('run()', async () => {
    const result = await run('sh', ['-c', '(setsid sleep 300 >&- 2>&- &) ; grep ^0: /proc/self/cgroup'], { containment: 'cgroup' });
    expect(result.stdout).toMatch(/\/corral-[0-9a-f]{32}\.\d+$/);
    expect(result.report.proof).toBe('cgroup');
    expect(cgroupsBelow()).toEqual([]);
  });

  it('ProcessManager', async () => {
    const manager = new ProcessManager();
    await manager.start({ command: 'sh', args: ['-c', 'setsid sleep 300 & wait'], containment: 'cgroup' });
    await eventually(() => sleepers().length === 1);
    expect(leafOf(manager.pid ?? 0)).toBeDefined();
    expect(await manager.stop()).toMatchObject({ survivors: [], proof: 'cgroup' });
    await manager.start({ command: 'sleep', args: ['300'], containment: 'cgroup' });
    expect(await manager.kill()).toMatchObject({ survivors: [], proof: 'cgroup' });
    expect(cgroupsBelow()).toEqual([]);
  });

  it('corral run', async () => {
    const script = '(setsid sleep 300 >&- 2>&- &) ; grep ^0: /proc/self/cgroup';
    const result = await runCorral(['run', '--containment', 'cgroup', '--json', '--', 'sh', '-c', script]);
    expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(/\/corral-[0-9a-f]{32}\.\d+\n$/) });
    expect(JSON.parse(result.stderr)).toMatchObject({ containment: 'cgroup', containmentReason: null, report: { proof: 'cgroup' } });
    expect(cgroupsBelow()).toEqual([]);
  });

  it('many at the same time, each in its own', async () => {
    const children = await Promise.all(Array.from({ length: 30 }, () => start('setsid sleep 300 & echo READY; wait')));
    await Promise.all(children.map(readyPids));
    expect(new Set(children.map(({ pid }) => cgroupOf(pid))).size).toBe(30);
    const reports = await Promise.all(children.map((child) => child.stop()));
    expect(reports.every(({ proof, survivors }) => proof === 'cgroup' && survivors.length === 0)).toBe(true);
    expect([sleepers(), cgroupsBelow()]).toEqual([[], []]);
  });
});

it('beside our own cgroup where only threads could be put below that', async () => {
  const parent = tempCgroup();
  const own = path.join(parent, 'own');
  mkdirSync(path.join(own, 'threads'), { recursive: true });
  writeFileSync(path.join(own, 'threads/cgroup.type'), 'threaded'); // makes `own` a threaded domain
  enter(own);
  const child = await start('echo READY; exec sleep 300');
  await readyPids(child);
  expect(child.containment).toBe('cgroup');
  expect(path.dirname(leafOf(child.pid) ?? '')).toBe(parent);
  expect((await child.stop()).proof).toBe('cgroup');
  expect(cgroupsBelow(parent)).toEqual([path.join(own, 'threads'), own]);
});

it('policy leave: who stays keeps the cgroup', async () => {
  const child = await start('setsid sleep 300 & exit 0', { onLeaderExit: 'leave', stdout: 'ignore', stderr: 'ignore' });
  const report = await child.empty;
  const [left = { pid: 0 }] = report.survivors;
  expect(report).toMatchObject({ survivors: [{ reason: 'not-forced' }], proof: 'scan' });
  const leaf = leafOf(left.pid) as string;
  expect(processesIn(leaf)).toEqual([left.pid]);
  process.kill(left.pid, 'SIGKILL');
  await eventually(() => !isAlive(left.pid));
  // Nobody's any more: the next program that makes one here tidies up.
  expect(await runCorral(['run', '--containment', 'cgroup', '--', 'true'])).toMatchObject({ code: 0, stderr: '' });
  expect(existsSync(leaf)).toBe(false);
});

it('policy leave, and stop() all the same: nothing is left, the cgroup neither', async () => {
  const child = await start('setsid sleep 300 & exit 0', { onLeaderExit: 'leave', stdout: 'ignore', stderr: 'ignore' });
  expect((await child.empty).survivors).toHaveLength(1);
  expect((await child.stop()).survivors).toEqual([]);
  await eventually(() => cgroupsBelow().length === 0);
});

it('a command under another uid is in it as well, though that uid may not go there', async (context) => {
  requireRoot(context, 'changes the uid');
  const child = await start('echo READY; exec sleep 300', { user: 65534, group: 65534 });
  await readyPids(child);
  expect(leafOf(child.pid)).toMatch(/\/corral-[^/]+$/);
  expect(await child.stop()).toMatchObject({ survivors: [], proof: 'cgroup' });
});
