/** Timeout and escalation are enforced outside the event loop. */
import { describe, expect, it } from 'vitest';
import { spawn } from '../../src/process/spawn.js';
import { keepTidy, readyPids } from '../fixtures/process-ready.js';
import { isAlive } from '../helpers/proc.js';

const DEFIANT = 'trap "" TERM; sleep 300 & echo READY $!; while :; do sleep 1; done';

/** Blocks the JavaScript thread until the processes are gone; how long that took. */
function blockUntilGone(pids: number[], limitMs: number): number {
  const startedAt = performance.now();
  while (pids.some((pid) => isAlive(pid)) && performance.now() - startedAt < limitMs)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  return performance.now() - startedAt;
}

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('ends the tree at its time', async () => {
    const child = keepTidy(await spawn('sleep', ['300'], { containment, timeout: 200 }));
    const exit = await child.exited;
    expect(exit).toMatchObject({ signal: 'SIGTERM', timedOut: true, isCanceled: false, isForcefullyTerminated: false });
    expect(exit.durationMs).toBeGreaterThanOrEqual(195);
    expect(await child.empty).toMatchObject({
      terminated: [{ pid: child.pid, name: 'sleep', signal: 'SIGTERM' }],
      survivors: [],
      escalated: false,
    });
  });

  it('and SIGKILL after it come while JavaScript is blocked', async () => {
    const child = keepTidy(await spawn('sh', ['-c', DEFIANT], { containment, timeout: 3000, forceKillAfterDelay: 300 }));
    const [member = 0] = await readyPids(child);
    const tookMs = blockUntilGone([child.pid, member], 25_000);
    expect(tookMs).toBeLessThan(15_000);
    expect(await child.exited).toMatchObject({ signal: 'SIGKILL', timedOut: true, isForcefullyTerminated: true });
    expect(await child.empty).toMatchObject({ escalated: true, survivors: [] });
  });

  it('a stop() goes on while JavaScript is blocked', async () => {
    const child = keepTidy(await spawn('sh', ['-c', DEFIANT], { containment }));
    const [member = 0] = await readyPids(child);
    const report = child.stop({ forceKillAfterDelay: 300 });
    expect(blockUntilGone([child.pid, member], 10_000)).toBeLessThan(5000);
    expect((await report).survivors).toEqual([]);
  });

  it('a run that ends in time is not touched', async () => {
    const child = await spawn('sh', ['-c', 'exit 4'], { containment, timeout: 60_000 });
    expect(await child.exited).toMatchObject({ exitCode: 4, timedOut: false });
    await child.empty;
  });
});
