/** The leader exits by itself and members live on: ended (default), waited for, or left, as onLeaderExit says. */
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native.js';
import { spawn } from '../../src/process/spawn.js';
import type { Child } from '../../src/types.js';
import { keepTidy, readyPids } from '../fixtures/process-ready.js';
import { eventually } from '../helpers/eventually.js';
import { isAlive, readStat } from '../helpers/proc.js';

/** Lives until stdin of the child ends (a background job of a shell has none of its own). */
const PATIENT = 'exec cat <&3 >/dev/null';
const DEFIANT = 'trap "" TERM; exec cat <&3 >/dev/null';
const isSettled = async (promise: Promise<unknown>): Promise<boolean> =>
  (await Promise.race([promise, Promise.resolve(isSettled)])) !== isSettled;

/** A leader with one member; when both are as they should be the leader exits with 5. */
async function start(member: string, options: object): Promise<{ child: Child; pid: number }> {
  const script = `exec 3<&0; (${member}) & trap "exit 5" USR1; echo READY $!; wait`;
  const child = keepTidy(await spawn('sh', ['-c', script], { stdin: 'pipe', ...options }));
  const [pid = 0] = await readyPids(child);
  await eventually(() => readStat(pid)?.name === 'cat', 5000, 'the member runs');
  expect(child.kill('SIGUSR1')).toBe(true);
  expect(await child.exited).toMatchObject({ exitCode: 5, signal: null, timedOut: false, isForcefullyTerminated: false });
  return { child, pid };
}

describe.each([
  ['group', 'scan'],
  ['tree', 'echild'],
] as const)('containment %s', (containment, proof) => {
  it('stop (default): the rest is ended', async () => {
    const { child, pid } = await start(PATIENT, { containment });
    expect(await child.empty).toMatchObject({ terminated: [{ pid, name: 'cat' }], survivors: [], escalated: false, proof });
    expect(isAlive(pid)).toBe(false);
  });

  it('stop: those who ignore SIGTERM are ended by force after the delay', async () => {
    const { child, pid } = await start(DEFIANT, { containment, forceKillAfterDelay: 200 });
    const report = await child.empty;
    expect(report).toMatchObject({ terminated: [{ pid, signal: 'SIGKILL' }], survivors: [], escalated: true, proof });
    expect(report.durationMs).toBeGreaterThanOrEqual(195);
  });

  it('wait: empty comes when the rest has ended by itself', async () => {
    const { child, pid } = await start(PATIENT, { containment, onLeaderExit: 'wait' });
    expect((await child.members()).map((member) => member.pid)).toEqual([pid]);
    expect(await isSettled(child.empty)).toBe(false);
    expect(isAlive(pid)).toBe(true);
    child.stdin?.end();
    expect(await child.empty).toMatchObject({ terminated: [], survivors: [], proof });
    expect(await child.members()).toEqual([]);
  });

  it('wait: stop() ends the rest', async () => {
    const { child, pid } = await start(PATIENT, { containment, onLeaderExit: 'wait' });
    const report = await child.stop();
    expect(report).toMatchObject({ terminated: [{ pid }], proof });
    expect(await child.empty).toBe(report);
  });

  it('wait: the timeout of the run ends the rest', async () => {
    const { child, pid } = await start(PATIENT, { containment, onLeaderExit: 'wait', timeout: 5000 });
    expect(await child.empty).toMatchObject({ terminated: [{ pid }], survivors: [] });
  });

  it('leave: the rest stays, is named, and can still be ended by the handle', async () => {
    const { child, pid } = await start('exec cat /dev/zero >/dev/null', { containment, onLeaderExit: 'leave' });
    expect((await child.empty).survivors).toMatchObject([{ pid, name: 'cat', reason: 'not-forced' }]);
    expect(isAlive(pid)).toBe(true);
    expect((await child.stop()).terminated).toMatchObject([{ pid }]);
    expect(isAlive(pid)).toBe(false);
  });

  it('leave: a stop() as soon as that is known is the only one who signals', async () => {
    const { child, pid } = await start('exec cat /dev/zero >/dev/null', { containment, onLeaderExit: 'leave' });
    await child.empty;
    const { terminated } = await child.stop({ killSignal: 'SIGHUP' });
    // Before Linux 6.15 the kernel does not tell how a stranger ended.
    expect(terminated).toMatchObject([{ pid, signal: native().tryKernel().pidfdExitInfo ? 'SIGHUP' : null }]);
  });
});
