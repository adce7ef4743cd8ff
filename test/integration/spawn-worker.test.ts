/** A worker thread that spawned is terminated: no crash, no zombie, and its trees end. */
import { describe, expect, it } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, signalIfAlive } from '../helpers/proc.js';

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it.each(['starting', 'running', 'stopping'])('terminated while its children are %s', async (when) => {
    const program = await startFixture('process-worker.mjs', [containment, when], { stdin: 'pipe' });
    expect(program.ready).toEqual(['3']);
    await eventually(() => allProcesses().every(({ ppid }) => ppid !== program.pid), 10_000, 'it has neither children nor zombies');
    if (containment === 'tree')
      await eventually(() => allProcesses().every(({ name }) => name !== 'sleep'), 10_000, 'the trees have ended');
    program.child.stdin?.write('\n');
    expect(await program.exited).toEqual({ code: 0, signal: null });
    // What containment group can not promise: members of a leader that was ended with its worker.
    for (const { pid, name } of allProcesses()) if (name === 'sleep') signalIfAlive(pid);
  });
});
