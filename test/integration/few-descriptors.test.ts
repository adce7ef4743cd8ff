/**
 * With n descriptors left, for n from none to enough: what can not be done is refused with EMFILE and leaves nothing, and who could not be looked
 * at is never taken for gone. The ladder of a tree needs none of ours.
 */
import { spawn as nodeSpawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ProcessError } from '../../src/errors.js';
import { spawn } from '../../src/process/spawn.js';
import { attach } from '../../src/tree/attach.js';
import { killTree } from '../../src/tree/kill-tree.js';
import { listProcesses } from '../../src/tree/scan.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { isAlive, openFiles } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

// The soft limit may be a million: far fewer do.
const LIMIT = 400;

/** Does something while only so many descriptors are free. */
async function withFree<T>(free: number, what: () => Promise<T>): Promise<{ value: T } | { error: ProcessError }> {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    // Full.
  }
  for (const fd of taken.splice(0, free)) closeSync(fd);
  try {
    return { value: await what() };
  } catch (error) {
    return { error: error as ProcessError };
  } finally {
    for (const fd of taken) closeSync(fd);
  }
}

const pidfds = () => [...openFiles().values()].filter((target) => target.includes('pidfd')).length;

describe('with few descriptors', () => {
  beforeAll(async () => {
    // What stays once it was made.
    await (await spawn('true')).empty;
    expect(spawnSync('prlimit', ['--pid', String(process.pid), `--nofile=${LIMIT}:`]).status).toBe(0);
  });

  it.each(['tree', 'group'] as const)('spawn, containment %s', async (containment) => {
    const outcomes: string[] = [];
    for (let free = 0; free <= 16; free++) {
      const before = openFiles().size;
      const outcome = await withFree(free, () => spawn('sleep', ['1000'], { containment, stdin: 'pipe' }));
      if ('value' in outcome) {
        const { pid } = outcome.value;
        expect((await outcome.value.stop({ killSignal: 'SIGKILL' })).survivors).toEqual([]);
        expect(isAlive(pid)).toBe(false);
      } else {
        expect(outcome.error).toMatchObject({ name: 'ProcessError', code: 'EMFILE' });
      }
      outcomes.push('value' in outcome ? 'started' : 'refused');
      await eventually(() => openFiles().size <= before && pidfds() === 0);
    }
    // Refused first, from some number on always started.
    expect(outcomes).toEqual(
      [...outcomes]
        .sort()
        .toReversed()
        .reverse()
        .sort((a, b) => (a === b ? 0 : a === 'refused' ? -1 : 1)),
    );
    expect(new Set(outcomes)).toEqual(new Set(['refused', 'started']));
  });

  it('stop needs none', async () => {
    const child = await spawn('sh', ['-c', 'setsid sleep 1000 & echo up; wait']);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    expect(await withFree(0, () => child.stop())).toMatchObject({ value: { survivors: [], proof: 'echild' } });
  });

  it('killTree ends all of it or says why not', async () => {
    for (let free = 0; free <= 8; free++) {
      const { pid, child, exited } = await startFixture('tree-family.sh', [tempDirectory()], { detached: true });
      const outcome = await withFree(free, () => killTree(pid, { forceKillAfterDelay: 100 }));
      if ('value' in outcome && outcome.value.survivors.length === 0) {
        expect(outcome.value.terminated.length).toBeGreaterThan(0);
        expect(isAlive(pid)).toBe(false);
      } else {
        if ('error' in outcome) expect(outcome.error.code).toMatch(/^(EMFILE|ERR_SCAN)$/);
        await killTree(child, { forceKillAfterDelay: 100 });
      }
      await exited;
    }
  });

  it('attach and listProcesses', async () => {
    const sleeper = nodeSpawn('sleep', ['1000'], { stdio: 'ignore' });
    const pid = sleeper.pid as number;
    for (let free = 0; free <= 6; free++) {
      const held = await withFree(free, () => attach(pid));
      if ('value' in held) held.value[Symbol.dispose]();
      else expect(held.error.code).toBe('EMFILE');
      const rows = await withFree(free, () => listProcesses());
      if ('value' in rows) expect(rows.value.map((row) => row.pid)).toContain(pid);
      else expect(rows.error.code).toBe('EMFILE');
      expect(isAlive(pid)).toBe(true);
    }
    sleeper.kill('SIGKILL');
    await new Promise((resolve) => sleeper.once('exit', resolve));
  });
});
