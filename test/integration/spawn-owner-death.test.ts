/** The program that spawned dies, in whatever way: its tree ends without it. */
import { describe, expect, it } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, isAlive, signalIfAlive } from '../helpers/proc.js';

/** The ladder of the fixture takes 300 ms; a survivor would be there for minutes. */
const SOON_MS = 10_000;

/** What the tree consists of, and the keeper. */
const left = () => allProcesses().filter(({ name, state }) => state !== 'Z' && (name === 'sleep' || name === 'corral-keeper'));

describe('containment tree', () => {
  it.each(['SIGKILL', 'SIGTERM', 'SIGABRT', 'exit', 'throw'] as const)('by %s', async (ending) => {
    const owner = await startFixture('process-owner.mjs', ['tree', ending], { stdin: 'pipe' });
    const pids = owner.ready.map(Number);
    expect(pids.every((pid) => isAlive(pid))).toBe(true);
    await eventually(() => left().filter(({ name }) => name === 'sleep').length >= 5, SOON_MS, 'the tree is complete');
    if (ending === 'exit' || ending === 'throw') owner.child.stdin?.write('now\n');
    else owner.child.kill(ending);
    await owner.exited;
    await eventually(() => left().length === 0, SOON_MS, 'nothing is left');
    expect(pids.filter((pid) => isAlive(pid))).toEqual([]);
  });
});

describe('containment group', () => {
  it('the leader dies with its owner (no more is promised without a keeper)', async () => {
    const owner = await startFixture('process-owner.mjs', ['group', 'wait']);
    const [leader = 0, ...members] = owner.ready.map(Number);
    owner.child.kill('SIGKILL');
    await owner.exited;
    await eventually(() => !isAlive(leader), SOON_MS, 'the leader is gone');
    for (const pid of members) signalIfAlive(pid);
    await eventually(() => {
      for (const { pid, name } of left()) if (name === 'sleep') signalIfAlive(pid);
      return left().length === 0;
    }, SOON_MS);
  });

  it.each([0, 1, 2, 4, 8, 16])('%s ms after stop(), by process.exit(): nobody of the group stays stopped', async (ms) => {
    const owner = await startFixture('process-owner.mjs', ['group', 'stop', String(ms)], { stdin: 'pipe' });
    const [leader = 0] = owner.ready.map(Number);
    owner.child.stdin?.write('now\n');
    await owner.exited;
    const group = () => allProcesses().filter(({ pgid, state }) => pgid === leader && state !== 'Z');
    await eventually(() => group().every(({ state }) => state !== 'T'), SOON_MS, 'nobody is stopped');
    await eventually(() => {
      for (const { pid, sid } of allProcesses()) if (sid === leader) signalIfAlive(pid);
      return left().length === 0;
    }, SOON_MS);
  });
});
