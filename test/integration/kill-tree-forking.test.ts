/** killTree of what is only just starting: a child forked between a look and the signal must not outlive its parent unseen. */
import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { killTree } from '../../src/tree/kill-tree.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses, signalIfAlive } from '../helpers/proc.js';

const sleepers = () => allProcesses().filter(({ name, state }) => name === 'sleep' && state !== 'Z');

/** Ends whatever a failing round lost, so that the next one starts from nothing. */
function expectNoSleeper(round: number): void {
  const left = sleepers();
  for (const { pid } of left) signalIfAlive(pid);
  expect(left, `round ${round}`).toEqual([]);
}

it('directly after child_process.spawn', async () => {
  for (let round = 1; round <= 30; round++) {
    const child = spawn('sh', ['-c', 'sleep 1002 & wait'], { stdio: 'ignore' });
    expect(await killTree(child)).toMatchObject({ survivors: [], escalated: false });
    expectNoSleeper(round);
  }
}, 120_000);

it('a shell in the middle of forking', async () => {
  const forking = 'i=0; while [ $i -lt 150 ]; do sleep 1003 & i=$((i+1)); done; wait';
  for (const [round, forked] of [0, 0, 1, 10, 30].entries()) {
    const child = spawn('sh', ['-c', forking], { stdio: 'ignore' });
    await eventually(() => sleepers().length >= forked);
    expect(await killTree(child)).toMatchObject({ survivors: [], escalated: false });
    expectNoSleeper(round);
  }
}, 120_000);
