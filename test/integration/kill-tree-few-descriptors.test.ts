/** A tree larger than the number of descriptors that are left: it ends all the same, and the program keeps some for itself. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { killTree } from '../../src/tree/kill-tree.js';
import { listProcesses } from '../../src/tree/scan.js';
import { terminateListed } from '../../src/tree/terminate.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, openFiles } from '../helpers/proc.js';

const MEMBERS = 60;
const FREE = 24;

/** Leaves this process FREE descriptors, until the test ends. */
function limitDescriptors(): void {
  const set = (limit: string) => {
    const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), `--nofile=${limit}:`], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  const { stdout } = spawnSync('prlimit', ['--pid', String(process.pid), '--nofile', '--noheadings', '--output', 'SOFT'], {
    encoding: 'utf8',
  });
  // The last descriptors of the test close a moment later, and starting a program takes some.
  onTestFinished(async () => {
    await eventually(() => {
      set(stdout.trim());
      return true;
    });
  });
  // The limit is on the number of a descriptor, not on how many there are.
  const taken = openFiles();
  let below = 0;
  for (let free = 0; free < FREE; below++) if (!taken.has(below)) free++;
  set(String(below));
}

const pidfds = () => [...openFiles().values()].filter((target) => target.includes('pidfd')).length;
const leftOf = (sid: number) => allProcesses().filter((stat) => stat.sid === sid && stat.state !== 'Z');

it('killTree', async () => {
  const { child, pid } = await startFixture('tree-many.sh', [String(MEMBERS)], { detached: true });
  await listProcesses();
  limitDescriptors();
  let free = true;
  let most = 0;
  const probe = setInterval(() => {
    most = Math.max(most, pidfds());
    try {
      closeSync(openSync('/dev/null', 'r'));
    } catch {
      free = false;
    }
  }, 5);
  const report = await killTree(child, { forceKillAfterDelay: 300 });
  clearInterval(probe);
  expect(leftOf(pid)).toEqual([]);
  expect(report).toMatchObject({ survivors: [], escalated: true });
  expect(report.terminated).toHaveLength(MEMBERS + 1);
  expect(free).toBe(true);
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(FREE);
});

it('terminateListed', async () => {
  const { pid } = await startFixture('tree-many.sh', [String(MEMBERS)], { detached: true });
  const targets = (await listProcesses()).filter(({ sid }) => sid === pid);
  limitDescriptors();
  const results = await terminateListed(targets, { graceMs: 100, killWaitMs: 10_000 });
  expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(['terminated']));
  expect(results).toHaveLength(MEMBERS + 1);
  expect(leftOf(pid)).toEqual([]);
});
