/** process.exit() in the middle of killTree(): whoever was stopped has been asked to end, and runs on. */
import { expect, it } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, isAlive, signalIfAlive } from '../helpers/proc.js';

it.each([0, 1, 2, 3, 4, 6, 8, 16])('after %s ms', async (ms) => {
  const program = await startFixture('kill-tree-exit.mjs', [String(ms)]);
  const [leader = 0] = program.ready.map(Number);
  expect(await program.exited).toEqual({ code: 0, signal: null });
  const left = () => allProcesses().filter(({ pid, name, state }) => (name === 'sleep' || pid === leader) && state !== 'Z');
  // It may have exited before the first was stopped: then nothing was done.
  await eventually(() => left().length === 0 || left().every(({ state }) => state !== 'T'), 5000, 'nobody stands still');
  await eventually(() => {
    for (const { pid } of left()) signalIfAlive(pid);
    return !isAlive(leader);
  });
});
