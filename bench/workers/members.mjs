/**
 * wallUs: finding the members of one group of `members`, among `processes` others. Each method starts the group itself.
 */
import { execFile, spawn as spawnChild } from 'node:child_process';
import { promisify } from 'node:util';
import { makeFifos, untilReady } from '../lib/fifo.mjs';
import { answer, corral, monotonicNs, peer, sleep, task } from './harness.mjs';

const [ready] = makeFifos(task.directory, 'ready');
const herd = ['flat', String(task.members), ready, '-'];
const IGNORE = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' };
const nodeChild = () => spawnChild(task.herd, herd, { stdio: 'ignore', detached: true });

/** Each starts the group and gives its id and a function that says how many members it has. */
const methods = {
  async pidtree() {
    const { default: pidtree } = await peer('pidtree');
    const { pid } = nodeChild();
    return { pid, list: async () => (await pidtree(pid, { root: true })).length };
  },
  async pgrep() {
    const run = promisify(execFile);
    const { pid } = nodeChild();
    return { pid, list: async () => (await run('pgrep', ['-g', String(pid)])).stdout.trim().split('\n').length };
  },
  async 'corral-members'() {
    const { spawn } = await corral();
    const child = await spawn(task.herd, herd, { ...IGNORE, containment: 'group' });
    return { pid: child.pid, list: async () => (await child.members()).length };
  },
  async 'corral-snapshot'() {
    const { snapshot } = await corral();
    const { pid } = nodeChild();
    return { pid, list: async () => (await snapshot({ fields: ['pgid'] })).group(pid).length };
  },
};

const isReady = untilReady(ready);
const { pid, list } = await methods[task.method]();
await isReady;

const wallUs = [];
for (let i = -2; i < task.count; i++) {
  await sleep(task.gapMs);
  const from = monotonicNs();
  const found = await list();
  const took = (monotonicNs() - from) / 1e3;
  if (found !== task.members) throw new Error(`${task.method} found ${found} of ${task.members} members`);
  if (i >= 0) wallUs.push(took);
}
process.kill(-pid, 'SIGKILL');
answer({ wallUs });
