/** killTree ends what child_process started: every descendant, stopped, stubborn or in another session, and nobody else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { killTree } from '../../src/tree/kill-tree.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, isAlive, readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

async function family(detached: boolean) {
  const fixture = await startFixture('tree-family.sh', [tempDirectory()], { detached });
  const members = fixture.ready.map(Number);
  const [, stubborn, grandchild, session, , job, stopped] = members as [number, number, number, number, number, number, number];
  await eventually(() => readStat(session)?.sid === session && readStat(job)?.pgid === job && readStat(stopped)?.state === 'T');
  return { ...fixture, stubborn, grandchild, all: [fixture.pid, ...members] };
}

it.each([false, true])('all kinds of descendants (detached: %s)', async (detached) => {
  const sibling = await startFixture('ready.sh');
  const { child, exited, all, stubborn, grandchild } = await family(detached);
  const report = await killTree(child, { forceKillAfterDelay: 400 });

  expect(all.filter((pid) => isAlive(pid))).toEqual([]);
  expect(report).toMatchObject({ survivors: [], escalated: true, proof: 'scan' });
  expect(report.terminated.map(({ pid }) => pid).sort()).toEqual([...all].sort());
  const forced = report.terminated.filter(({ signal }) => signal === 'SIGKILL').map(({ pid }) => pid);
  expect(forced.sort()).toEqual([stubborn, grandchild].sort());
  expect(report.terminated.find(({ pid }) => pid === child.pid)).toMatchObject({
    name: 'sh',
    startTicks: expect.any(BigInt),
    bootId: expect.any(String),
  });
  expect(report.durationMs).toBeGreaterThanOrEqual(400);

  // Node's own handle still learns how its child ended, and the sibling in our group was left alone.
  expect(await exited).toEqual({ code: null, signal: 'SIGTERM' });
  expect(isAlive(sibling.pid)).toBe(true);
});

it('a stopped tree gets SIGTERM and the chance to act on it', async () => {
  const directory = tempDirectory();
  const child = spawn('sh', ['-c', `trap 'echo asked > "${directory}/asked"; exit 3' TERM; echo READY; kill -STOP $$; sleep 300`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  await eventually(() => readStat(child.pid as number)?.state === 'T');
  const exited = once(child, 'exit');
  const report = await killTree(child);
  expect(report).toMatchObject({ survivors: [], escalated: false });
  expect(readFileSync(path.join(directory, 'asked'), 'utf8')).toBe('asked\n');
  expect(await exited).toEqual([3, null]);
});

it('orphans of a group that the target leads', async () => {
  const { child } = await startFixture('tree-respawner.sh', [], { detached: true });
  const before = allProcesses().filter(({ sid }) => sid === child.pid).length;
  const report = await killTree(child.pid as number, { forceKillAfterDelay: 5000 });
  expect(report.survivors).toEqual([]);
  expect(report.terminated.length).toBeGreaterThanOrEqual(before + 2); // those it started when it was asked to end
  expect(allProcesses().filter(({ sid, state }) => sid === child.pid && state !== 'Z')).toEqual([]);
});

it('members that fork all the time', async () => {
  const { child } = await startFixture('tree-forker.sh', [], { detached: true });
  await eventually(() => allProcesses().filter(({ sid }) => sid === child.pid).length >= 8);
  const report = await killTree(child, { forceKillAfterDelay: 150 });
  expect(report).toMatchObject({ survivors: [], escalated: true });
  expect(report.terminated.length).toBeGreaterThan(5);
  expect(allProcesses().filter(({ sid, state }) => sid === child.pid && state !== 'Z')).toEqual([]);
});

it('at once with SIGKILL', async () => {
  const { child, all } = await family(true);
  const report = await killTree(child, { killSignal: 'SIGKILL', forceKillAfterDelay: 60_000 });
  expect(all.filter((pid) => isAlive(pid))).toEqual([]);
  expect(new Set(report.terminated.map(({ signal }) => signal))).toEqual(new Set(['SIGKILL']));
});

it('at once when the AbortSignal fires', async () => {
  const { child, all } = await family(false);
  const controller = new AbortController();
  const killed = killTree(child, { forceKillAfterDelay: 60_000, signal: controller.signal });
  await once(child, 'exit'); // of SIGTERM: the stubborn ones are left
  controller.abort();
  expect(await killed).toMatchObject({ survivors: [], escalated: true });
  expect(all.filter((pid) => isAlive(pid))).toEqual([]);
});

it('a target in the middle of many: only what is below it', async () => {
  const child = spawn('sh', ['-c', 'sleep 300 & a=$!; sh -c "sleep 300 & echo \\$\\$ \\$!; wait" & echo $a; wait'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(async () => {
    await killTree(child);
  });
  const words: string[] = [];
  for await (const chunk of child.stdout.setEncoding('utf8')) if (words.push(...chunk.split(/\s+/).filter(Boolean)) >= 3) break;
  const isOther = (word: string) => readStat(Number(word))?.ppid === child.pid && readStat(Number(word))?.name === 'sleep';
  const other = Number(await eventually(() => words.find(isOther)));
  const [target, below] = words.map(Number).filter((pid) => pid !== other) as [number, number];
  const report = await killTree(target);
  expect(report.terminated.map(({ pid }) => pid)).toEqual([target, below]);
  expect([child.pid as number, other].map((pid) => isAlive(pid))).toEqual([true, true]);
});

it('when it is not to be forced, those that stay are named', async () => {
  const directory = tempDirectory();
  writeFileSync(path.join(directory, 'go'), '');
  const child = spawn('sh', ['-c', "trap '' TERM; echo READY; while :; do sleep 300; done"], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  const report = await killTree(child, { forceKillAfterDelay: false });
  expect(report).toMatchObject({
    escalated: false,
    survivors: expect.arrayContaining([expect.objectContaining({ pid: child.pid, name: 'sh', reason: 'not-forced' })]),
  });
  await killTree(child, { killSignal: 'SIGKILL' });
});
