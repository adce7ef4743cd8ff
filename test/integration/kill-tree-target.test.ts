/** Whom killTree takes as its target, and that nobody is signalled when it is not that one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { identityOf } from '../../src/tree/identity.js';
import { killTree } from '../../src/tree/kill-tree.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, isAlive, isZombie, readStat } from '../helpers/proc.js';

const nothing = { terminated: [], survivors: [], escalated: false, durationMs: expect.any(Number), proof: 'scan' };

it('a child that could not be started', async () => {
  const child = spawn('/nonexistent/program', { stdio: 'ignore' });
  await once(child, 'error');
  expect(await killTree(child)).toEqual(nothing);
});

it('a child that has ended, even when its group lives on: its number proves nothing any more', async () => {
  const child = spawn('sh', ['-c', 'sleep 300 & echo $!'], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
  if (child.exitCode === null) await once(child, 'exit');
  const left = Number(chunk);
  expect(await killTree(child)).toEqual(nothing);
  expect(await killTree(child.pid as number)).toEqual(nothing);
  expect(readStat(left)).toMatchObject({ pgid: child.pid });
  await killTree(left);
});

it('a child right after spawn()', async () => {
  const child = spawn('sleep', ['300'], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  expect(await killTree(child)).toMatchObject({ survivors: [], terminated: [{ pid: child.pid }] });
  expect(await exited).toEqual([null, 'SIGTERM']);
});

it('a zombie: nothing to end, but the group it led', async () => {
  // The child exits; its parent has become a program that does not wait for it.
  const parent = spawn('sh', ['-c', 'setsid sh -c "sleep 300 & echo \\$\\$ \\$!" & exec sleep 300'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(async () => {
    await killTree(parent);
  });
  const [chunk] = (await once(parent.stdout, 'data')) as [Buffer];
  const [zombie, orphan] = String(chunk).split(' ').map(Number) as [number, number];
  await eventually(() => isZombie(zombie) && readStat(orphan)?.sid === zombie);
  const report = await killTree(zombie);
  expect(report).toMatchObject({ survivors: [], terminated: [{ pid: orphan }] });
  expect(isAlive(orphan)).toBe(false);
});

it('an identity: that process and no other that has its number now', async () => {
  const { pid } = await startFixture('ready.sh');
  const identity = identityOf(pid)!;
  expect(identity.startTicks).toBe(readStat(pid)?.startTicks);
  expect(await killTree({ ...identity, startTicks: identity.startTicks - 1n })).toEqual(nothing);
  expect(await killTree({ ...identity, startTicks: identity.startTicks + 1n })).toEqual(nothing);
  expect(await killTree({ ...identity, bootId: '00000000-0000-0000-0000-000000000000' })).toEqual(nothing);
  expect(isAlive(pid, identity.startTicks)).toBe(true);
  expect(await killTree(identity)).toMatchObject({
    terminated: [{ ...identity, name: expect.any(String), signal: 'SIGTERM' }],
    survivors: [],
  });
});

it('a number that nobody has', async () => {
  expect(await killTree(4_194_304)).toEqual(nothing); // PID_MAX_LIMIT: never given to anybody
});

it('refused: we ourselves, our ancestors, PID 1', async () => {
  const before = allProcesses().length;
  for (const pid of [process.pid, process.ppid, 1, 0, -1]) {
    await expect(killTree(pid)).rejects.toMatchObject({
      code: 'ERR_REFUSED_TARGET',
      message: expect.stringContaining(`${pid} is refused`),
    });
  }
  const parent = identityOf(process.ppid)!;
  await expect(killTree(parent)).rejects.toMatchObject({ code: 'ERR_REFUSED_TARGET' });
  expect(allProcesses().length).toBe(before);
});
