/**
 * Starts a child that exits at once, `count` times or until `budgetMs` are over; one method per process.
 *
 * blockUs: how long the call keeps the thread. busyUs: how long the loop was not idle per spawn, exit included (catches what a
 * method puts off). totalUs: call to exit seen. batch*: `batch` spawns at once. touch*: writing every page of the heap once,
 * before and after one spawn.
 */
import { once } from 'node:events';
import { answer, corral, monotonicNs, peer, sleep, task, touchHeap } from './harness.mjs';

const file = task.child;
const args = ['exit'];
const IGNORE = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' };

/** Each gives a function that starts the child and returns a promise of its exit. */
const methods = {
  async node() {
    const { spawn } = await import('node:child_process');
    return () => once(spawn(file, args, { stdio: 'ignore', detached: true }), 'exit');
  },
  async execa() {
    const { execa } = await peer('execa');
    return () => execa(file, args, { stdio: 'ignore' });
  },
  async tinyexec() {
    const { x } = await peer('tinyexec');
    return () => x(file, args, { nodeOptions: { stdio: 'ignore' } });
  },
  async 'nano-spawn'() {
    const { default: spawn } = await peer('nano-spawn');
    return () => spawn(file, args, { stdio: 'ignore' });
  },
  async zx() {
    const { $ } = await peer('zx');
    return () => $({ stdio: 'ignore' })`${file} ${args}`;
  },
  async bun() {
    return () => Bun.spawn([file, ...args], { stdio: ['ignore', 'ignore', 'ignore'] }).exited;
  },
  async 'corral-group'() {
    const { spawn } = await corral();
    return () => spawn(file, args, { ...IGNORE, containment: 'group' }).then((child) => child.exited);
  },
  async 'corral-tree'() {
    const { spawn } = await corral();
    return () => spawn(file, args, { ...IGNORE, containment: 'tree' }).then((child) => child.exited);
  },
};

const start = await methods[task.method]();
const heap = touchHeap(task.heapMb);

const blockUs = [];
const totalUs = [];
async function one(record) {
  const from = monotonicNs();
  const exit = start();
  const called = monotonicNs();
  await exit;
  if (!record) return;
  blockUs.push((called - from) / 1e3);
  totalUs.push((monotonicNs() - from) / 1e3);
}

// Until the compiler has had its chance, or half a second: with a big heap a spawn can take a tenth of it.
const warmUntil = performance.now() + 500;
for (let i = 0; i < 200 && (i < 3 || performance.now() < warmUntil); i++) await one(false);
await sleep(10);
const before = performance.eventLoopUtilization?.();
const budgetEnd = performance.now() + task.budgetMs;
while (blockUs.length < task.count && (blockUs.length < 3 || performance.now() < budgetEnd)) await one(true);
const { active = 0 } = before ? performance.eventLoopUtilization(before) : {};
// Bun has the function but no figures.
const busyUs = active > 0 ? [(active * 1e3) / blockUs.length] : [];

const batchBlockUs = [];
const batchPerChildUs = [];
for (let i = 0; task.batch > 0 && i < 5; i++) {
  const from = monotonicNs();
  const exits = Array.from({ length: task.batch }, start);
  const called = monotonicNs();
  await Promise.all(exits);
  batchBlockUs.push((called - from) / 1e3);
  batchPerChildUs.push((monotonicNs() - from) / 1e3 / task.batch);
  await sleep(10);
}

function touchUs() {
  const from = monotonicNs();
  for (const chunk of heap) for (let i = 0; i < chunk.length; i += 4096) chunk[i]++;
  return (monotonicNs() - from) / 1e3;
}
let touchBeforeUs = [];
let touchAfterUs = [];
if (task.heapMb >= 1000) {
  touchUs();
  touchBeforeUs = [touchUs()];
  await one(false);
  touchAfterUs = [touchUs()];
}

answer({ blockUs, busyUs, totalUs, batchBlockUs, batchPerChildUs, touchBeforeUs, touchAfterUs });
