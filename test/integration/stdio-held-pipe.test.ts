/** Somebody keeps our pipe open after the command has gone: nothing is delayed, and what was written is there. */
import { closeSync, openSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { run } from '../../src/process/run.js';
import { spawn } from '../../src/process/spawn.js';
import { keepTidy, readAll, readyPids } from '../fixtures/process-ready.js';
import { eventually } from '../helpers/eventually.js';
import { isAlive, openFiles } from '../helpers/proc.js';

/** Far longer than any of it may take, far shorter than the holder lives. */
const SOON_MS = 5000;

async function within<T>(promise: Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const value = await promise;
  expect(performance.now() - startedAt).toBeLessThan(SOON_MS);
  return value;
}

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('a background grandchild delays neither exited nor empty nor the end of the stream', async () => {
    const child = keepTidy(await spawn('sh', ['-c', 'sleep 300 & echo said $!'], { containment }));
    const output = readAll(child.stdout);
    expect(await within(child.exited)).toMatchObject({ exitCode: 0 });
    await within(child.empty);
    const [, holder] = (await within(output)).toString().trim().split(' ');
    expect(isAlive(Number(holder))).toBe(false);
  });

  it('a background grandchild does not delay run()', async () => {
    const { stdout, exitCode } = await within(run('sh', ['-c', 'echo out; sleep 300 & exit 0'], { containment }));
    expect({ stdout, exitCode }).toEqual({ stdout: 'out', exitCode: 0 });
  });

  it('a stranger who took the pipe and writes on delays nothing, and our end is closed', async () => {
    const child = keepTidy(await spawn('sh', ['-c', 'echo READY; read line'], { containment, stdin: 'pipe' }));
    // What a helper gets that is handed the descriptor: not a member, and nobody we could end.
    const held = openSync(`/proc/${child.pid}/fd/1`, 'w');
    onTestFinished(() => closeSync(held));
    await readyPids(child);
    child.stdin?.end('\n');
    await within(child.exited);
    await within(child.empty);
    const pipe = openFiles().get(held);
    await eventually(
      () => [...openFiles().values()].filter((file) => file === pipe).length === 1,
      SOON_MS,
      'only the stranger has it open',
    );
  });

  it('a daemon that is left alive delays nothing', async () => {
    const child = await spawn('sh', ['-c', 'sleep 300 & echo $!'], { containment, onLeaderExit: 'leave' });
    const output = readAll(child.stdout);
    await within(child.exited);
    const report = await within(child.empty);
    const pid = Number((await within(output)).toString());
    onTestFinished(() => void process.kill(pid, 'SIGKILL'));
    expect(isAlive(pid)).toBe(true);
    expect(report.survivors).toMatchObject([{ pid, reason: 'not-forced' }]);
  });
});

it('containment group: one that left the session keeps the pipe, and delays nothing', async () => {
  const script = 'setsid sh -c "echo READY \\$\\$; exec sleep 300" & read line';
  const child = keepTidy(await spawn('sh', ['-c', script], { containment: 'group', stdin: 'pipe' }));
  const [pid = 0] = await readyPids(child);
  onTestFinished(() => void process.kill(pid, 'SIGKILL'));
  child.stdin?.end('\n');
  await within(child.exited);
  await within(child.empty);
  expect(isAlive(pid)).toBe(true);
});
