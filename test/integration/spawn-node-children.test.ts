/** Children of node:child_process in the same program are not ours to reap: their exit events come. */
import { spawn as nodeSpawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { spawn } from '../../src/process/spawn.js';

const ROUNDS = 40;

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('beside ours, in every order', async () => {
    const exits = Array.from({ length: ROUNDS }, async (_, i) => {
      const theirs = nodeSpawn('sh', ['-c', `exit ${i}`], { stdio: 'ignore' });
      const theirExit = new Promise((resolve) => theirs.once('exit', (code) => resolve(code)));
      const ours = await spawn('sh', ['-c', `exit ${i}`], { containment, stdout: 'ignore', stderr: 'ignore' });
      const ourExit = await ours.exited;
      await ours.empty;
      return [await theirExit, ourExit.exitCode];
    });
    expect(await Promise.all(exits)).toEqual(Array.from({ length: ROUNDS }, (_, i) => [i, i]));
  });
});
