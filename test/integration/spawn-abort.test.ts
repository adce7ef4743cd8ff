/** An AbortSignal before the start spawns nothing; later it ends the tree, gracefully first. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { spawn } from '../../src/process/spawn.js';
import { readyPids } from '../fixtures/process-ready.js';
import { allProcesses, isAlive } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('aborted before: nothing is spawned', async () => {
    const trace = path.join(tempDirectory(), 'trace');
    const before = allProcesses().length;
    const promise = spawn('touch', [trace], { containment, signal: AbortSignal.abort('never') });
    expect(allProcesses().length).toBe(before);
    await expect(promise).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'never' });
    expect(existsSync(trace)).toBe(false);
  });

  it('aborted right after the call: rejects, and what had started is gone by then', async () => {
    const controller = new AbortController();
    const promise = spawn('sleep', ['300'], { containment, signal: controller.signal });
    controller.abort('changed my mind');
    await expect(promise).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'changed my mind' });
    expect(allProcesses().filter(({ name, state }) => name === 'sleep' && state !== 'Z')).toEqual([]);
  });

  it('aborted while running: the whole tree is ended', async () => {
    const controller = new AbortController();
    const child = await spawn('sh', ['-c', 'sleep 300 & echo READY $!; wait'], { containment, signal: controller.signal });
    const [grandchild = 0] = await readyPids(child);
    controller.abort();
    expect(await child.exited).toMatchObject({ signal: 'SIGTERM', isCanceled: true, isForcefullyTerminated: false, timedOut: false });
    expect((await child.empty).survivors).toEqual([]);
    expect(isAlive(grandchild)).toBe(false);
  });

  it('aborted while running, SIGTERM ignored: ended by force', async () => {
    const controller = new AbortController();
    const child = await spawn('sh', ['-c', 'trap "" TERM; echo READY; while :; do sleep 1; done'], {
      ...{ containment, signal: controller.signal, forceKillAfterDelay: 100 },
    });
    await readyPids(child);
    controller.abort();
    expect(await child.exited).toMatchObject({ signal: 'SIGKILL', isCanceled: true, isForcefullyTerminated: true });
    expect(await child.empty).toMatchObject({ escalated: true, survivors: [] });
  });
});
