/** reapOrphans(): what is adopted is reaped, and never a child that somebody in the program waits for. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ProcessError } from '../../src/errors.js';
import { native } from '../../src/native.js';
import { reapOrphans } from '../../src/process/reap-orphans.js';
import type { ReapedOrphan } from '../../src/types.js';
import { eventually } from '../helpers/eventually.js';
import { fixtureCommand, startFixture } from '../helpers/fixture.js';
import { isZombie, readStat } from '../helpers/proc.js';

/** Forking a program that a sanitizer watches is slow. */
const CHILDREN = process.env.CORRAL_TEST_SANITIZED === '1' ? 200 : 1000;
const ORPHANS = 1000;
const DEADLINE_MS = 100_000;

const expected = {
  right: CHILDREN,
  workerRight: 20,
  ours: 20,
  reaped: ORPHANS + 5,
  codes: 200,
  zombies: 0,
};

describe(`${ORPHANS} orphans beside ${CHILDREN} children that run at the same time`, () => {
  it('as a child subreaper', { timeout: DEADLINE_MS + 20_000 }, async () => {
    const program = await startFixture('reap-orphans.mjs', [String(CHILDREN), String(ORPHANS)], { deadlineMs: DEADLINE_MS });
    expect(JSON.parse(program.ready.join(' '))).toEqual({ ...expected, pid: program.pid });
    expect(await program.exited).toEqual({ code: 0, signal: null });
  });

  it('as PID 1', { timeout: DEADLINE_MS + 20_000 }, async () => {
    const user = process.getuid?.() === 0 ? [] : ['--user', '--map-current-user'];
    const command = ['unshare', ...user, '--pid', '--fork', '--mount-proc', '--kill-child', '--'];
    const program = spawn(
      command[0] as string,
      [...command.slice(1), ...fixtureCommand('reap-orphans.mjs', [String(CHILDREN), String(ORPHANS)])],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    onTestFinished(() => void program.kill('SIGKILL'));
    expect(JSON.parse(await lineOf(program))).toEqual({ ...expected, pid: 1 });
    expect(await exitOf(program)).toBe(0);
  });
});

async function lineOf(program: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of program.stdout!) text += chunk;
  return text.replace(/^READY /, '');
}

const exitOf = async (program: ChildProcess) => program.exitCode ?? (await once(program, 'exit'))[0];

/** Adopted by this program: its parent has ended. */
async function adopted(): Promise<{ pid: number; end(): void }> {
  const shell = spawn('sh', ['-c', 'sleep 300 >/dev/null & echo $!'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = Number(String((await once(shell.stdout, 'data'))[0]));
  await eventually(() => readStat(pid)?.ppid === process.pid && readStat(pid)?.name === 'sleep');
  return { pid, end: () => process.kill(pid, 'SIGTERM') };
}

const refusal = (act: () => unknown) => {
  try {
    act();
  } catch (error) {
    return (error as ProcessError).code;
  }
  return undefined;
};

it('tells of each who it was and how it ended; keep() leaves it alone; stop() ends it all', async () => {
  const reaped: ReapedOrphan[] = [];
  const kept = new Set<number>();
  const reaper = reapOrphans({ graceMs: 10, keep: ({ pid }) => kept.has(pid), onReap: (orphan) => reaped.push(orphan) });
  try {
    const [left, taken] = [await adopted(), await adopted()];
    kept.add(left.pid);
    const { startTicks } = readStat(taken.pid)!;
    left.end();
    taken.end();
    await eventually(() => reaper.reaped === 1);
    expect(reaped).toEqual([
      { pid: taken.pid, startTicks, bootId: native().kernel().bootId, name: 'sleep', exitCode: null, signal: 'SIGTERM' },
    ]);
    await eventually(() => isZombie(left.pid));
    kept.clear();
    await eventually(() => reaper.reaped === 2 && readStat(left.pid) === undefined);
    expect(refusal(() => reapOrphans())).toBe('ERR_ALREADY_RUNNING');
  } finally {
    reaper.stop();
    reaper[Symbol.dispose]();
  }
  expect(native().setSubreaper(false)).toBe(0); // stop() has taken it back
});

it('leaves a zombie of the main thread alone until it is due', async () => {
  const late = reapOrphans({ graceMs: 2 ** 31 - 1 });
  const one = await adopted();
  one.end();
  await eventually(() => isZombie(one.pid));
  // Another one that ends makes it look again.
  const exits = Array.from({ length: 5 }, async () => once(spawn('true', { stdio: 'ignore' }), 'exit'));
  await Promise.all(exits);
  expect(isZombie(one.pid)).toBe(true);
  expect(late.reaped).toBe(0);
  late.stop();
  const soon = reapOrphans({ graceMs: 0 });
  await eventually(() => readStat(one.pid) === undefined);
  expect(soon.reaped).toBe(1);
  soon.stop();
});

it('refuses what it can not do', async () => {
  expect(refusal(() => reapOrphans({ graceMs: -1 }))).toBe('ERR_INVALID_ARGUMENT');
  expect(refusal(() => reapOrphans({ keep: 1 as never }))).toBe('ERR_INVALID_ARGUMENT');
  expect(refusal(() => reapOrphans({ what: 1 } as never))).toBe('ERR_INVALID_ARGUMENT');
  const index = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
  const worker = new Worker(
    `import(${JSON.stringify(index)}).then(({ reapOrphans }) => reapOrphans()).catch(({ code }) => require('node:worker_threads').parentPort.postMessage(code));`,
    { eval: true },
  );
  expect((await once(worker, 'message'))[0]).toBe('ERR_UNSUPPORTED_PLATFORM');
  await worker.terminate();
});
