/** A thousand spawns leave no process, no zombie, no descriptor and no thread. */
import { setTimeout as delay } from 'node:timers/promises';
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

const census = () => ({ processes: allProcesses().length, files: openFiles().size, threads: threads().size });

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it(`${SPAWNS} spawns`, { timeout: 120_000 }, async () => {
    await spawnMany(containment, 4 * AT_ONCE); // what is made once and stays
    await delay(50);
    const before = census();
    await spawnMany(containment, SPAWNS);
    await eventually(() => {
      expect(census()).toEqual(before);
      return true;
    });
  });
});
