/** A thousand spawns leave no process, no zombie, no descriptor and no thread. */
import { describe, expect, it } from 'vitest';
import { spawn } from '../../src/process/spawn.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses, openFiles, threads } from '../helpers/proc.js';

const SPAWNS = 1000;
const AT_ONCE = 16;

async function spawnMany(containment: 'group' | 'tree', count: number): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      // Every kind of end in turn.
      const kind = left % 4;
      const command = kind === 0 ? 'no-such-command' : kind === 1 ? 'sleep' : 'true';
      const child = await spawn(command, kind === 1 ? ['300'] : [], { containment, stdout: kind === 2 ? 'pipe' : 'ignore' }).catch(
        () => undefined,
      );
      if (kind === 1) await child?.stop();
      else await child?.empty;
      child?.stdout?.resume();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Keepers and what they hold for us take a moment to go; another worker of the test runner that is about to exit does not count. */
const ours = () => allProcesses().filter(({ ppid, name }) => ppid === process.pid || name === 'corral-keeper');
const census = () => ({ processes: ours().length, files: openFiles().size, threads: threads().size });

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it(`${SPAWNS} spawns`, { timeout: 600_000 }, async () => {
    await spawnMany(containment, 4 * AT_ONCE); // what is made once and stays
    let before = census();
    await eventually(
      () => {
        const earlier = before;
        before = census();
        return before.processes === 0 && before.files === earlier.files && before.threads === earlier.threads;
      },
      20_000,
      'nobody is left of the first ones',
    );
    await spawnMany(containment, SPAWNS);
    await eventually(() => {
      const { processes, files, threads } = census();
      expect(processes).toBe(0);
      expect(files).toBeLessThanOrEqual(before.files);
      expect(threads).toBeLessThanOrEqual(before.threads);
      return true;
    }, 20_000);
  });
});
