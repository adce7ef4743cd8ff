/** terminateListed ends exactly the processes it is given: not their children, not their groups, not who has their number now. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { killTree } from '../../src/tree/kill-tree.js';
import { listProcesses } from '../../src/tree/scan.js';
import { terminateListed } from '../../src/tree/terminate.js';
import type { ProcessInfo } from '../../src/types.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { isAlive, readStat } from '../helpers/proc.js';

const times = { graceMs: 3000, killWaitMs: 10_000 };
const rowOf = async (pid: number): Promise<ProcessInfo> => (await listProcesses({ pids: [pid] }))[0]!;

it('one asked, one forced, one stopped; their children and groups live on', async () => {
  const shell = (script: string) => spawn('sh', ['-c', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const children = [
    shell('sleep 300 & echo $!; wait'),
    shell("trap '' TERM; sleep 300 & echo $!; while :; do wait; done"),
    shell('sleep 300 & echo $!; kill -STOP $$; wait'),
  ];
  const below = await Promise.all(children.map(async ({ stdout }) => Number((await once(stdout, 'data'))[0])));
  const pids = children.map(({ pid }) => pid as number);
  await eventually(() => readStat(pids[2]!)?.state === 'T');

  const targets = await listProcesses({ pids });
  const results = await terminateListed(targets, times);
  expect(results).toEqual([
    { process: targets[0], outcome: 'terminated', signal: 'SIGTERM' },
    { process: targets[1], outcome: 'terminated', signal: 'SIGKILL' },
    { process: targets[2], outcome: 'terminated', signal: 'SIGTERM' },
  ]);
  expect(pids.map((pid) => isAlive(pid))).toEqual([false, false, false]);
  expect(below.map((pid) => isAlive(pid))).toEqual([true, true, true]);
  for (const pid of below) await killTree(pid, { killSignal: 'SIGKILL' });
});

it('gone, recycled and changed are left alone', async () => {
  const gone = await startFixture('ready.sh');
  const recycled = await startFixture('ready.sh');
  const changed = await startFixture('ready.sh');
  await eventually(() => readStat(changed.pid)?.name === 'sleep');
  const targets = await Promise.all([gone, recycled, changed].map(({ pid }) => rowOf(pid)));
  targets[1] = { ...targets[1]!, startTicks: targets[1]!.startTicks - 5n };
  gone.child.kill('SIGKILL');
  await gone.exited;

  const seen: ProcessInfo[] = [];
  const recheck = (fresh: ProcessInfo) => {
    seen.push(fresh);
    return false;
  };
  const results = await terminateListed(targets, { ...times, recheck });
  expect(results.map(({ outcome, signal }) => [outcome, signal])).toEqual([
    ['already-gone', null],
    ['recycled', null],
    ['changed', null],
  ]);
  expect(seen).toMatchObject([{ pid: changed.pid, args: ['sleep', '300'], ppid: process.pid }]);
  expect([recycled, changed].map(({ pid }) => isAlive(pid))).toEqual([true, true]);
});
