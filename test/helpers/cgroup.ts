/**
 * The cgroups of a test run, seen without the product: scripts/contained.mjs runs the tests in a cgroup v2 directory of their own where the
 * machine allows one; what tests and product make is below it.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { onTestFinished, type TestContext } from 'vitest';
import { eventually } from './eventually.js';
import { signalIfAlive } from './proc.js';

/** '' where there is none. */
const run = process.env.CORRAL_TEST_CGROUP ?? '';
let made = 0;

/** The directory this run is in; skips the test where there is none. */
export function requireCgroup(context: TestContext): string {
  if (run === '') context.skip('needs a cgroup v2 directory in which cgroups can be made');
  return run;
}

/** Every cgroup below a directory, deepest first. */
export function cgroupsBelow(directory = run): string[] {
  if (directory === '') return [];
  const below = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return below.flatMap(({ name }) => [...cgroupsBelow(path.join(directory, name)), path.join(directory, name)]);
}

/** Ends and removes everything at and below these, deepest first. */
export async function removeCgroups(directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    await eventually(() => {
      try {
        rmdirSync(directory);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
        for (const pid of processesIn(directory)) signalIfAlive(pid);
        throw error;
      }
      return true;
    });
  }
}

/** A cgroup of this test's own, below the run's (or `parent`); gone with the test, and whoever is in it. */
export function tempCgroup(parent = run): string {
  const directory = path.join(parent, `temp-${process.pid}-${++made}`);
  mkdirSync(directory);
  onTestFinished(() => removeCgroups([...cgroupsBelow(directory), directory]));
  return directory;
}

/** Runs the rest of the test, and what it starts, in that cgroup. */
export function enter(directory: string): void {
  if (run === '') throw new Error('this run has no cgroup of its own to come back to');
  writeFileSync(path.join(directory, 'cgroup.procs'), '0');
  onTestFinished(() => writeFileSync(path.join(run, 'cgroup.procs'), '0'));
}

export function processesIn(directory: string): number[] {
  return readFileSync(path.join(directory, 'cgroup.procs'), 'utf8').trim().split('\n').filter(Boolean).map(Number);
}

/** The v2 path of a process, as /proc says it. */
export function cgroupOf(pid: number): string | undefined {
  try {
    return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
