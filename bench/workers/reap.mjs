/**
 * latencyUs: a child's last act to the callback that says so, the loop idle, with `live` other children held by the same method.
 */
import { spawn as spawnChild } from 'node:child_process';
import { ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import path from 'node:path';
import { answer, corral, monotonicNs, task } from './harness.mjs';

const CHILD_LIFE_MS = '3';
const stampFile = path.join(task.directory, 'stamp');
const IGNORE = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' };

/** start(args) resolves when the child runs; exited(child, seen) calls back as soon as the method can know. */
const methods = {
  async node() {
    return {
      start: (args) => spawnChild(task.child, args, { stdio: 'ignore', detached: true }),
      exited: (child, seen) => child.once('exit', seen),
    };
  },
  async bun() {
    return {
      start: (args) => Bun.spawn([task.child, ...args], { stdio: ['ignore', 'ignore', 'ignore'] }),
      exited: (child, seen) => child.exited.then(seen),
    };
  },
  'corral-group': () => ours('group'),
  'corral-tree': () => ours('tree'),
};

async function ours(containment) {
  const { spawn } = await corral();
  return {
    start: (args) => spawn(task.child, args, { ...IGNORE, containment }),
    exited: (child, seen) => child.exited.then(seen),
  };
}

const { start, exited } = await methods[task.method]();
const stamp = openSync(stampFile, 'w+');
ftruncateSync(stamp, 8);
const cell = new BigInt64Array(1);

const held = [];
for (let i = 0; i < task.live; i++) held.push(await start(['pause']));

const latencyUs = [];
for (let i = -40; i < task.count; i++) {
  const child = await start(['stamp', stampFile, CHILD_LIFE_MS]);
  const seen = await new Promise((resolve) => exited(child, () => resolve(monotonicNs())));
  readSync(stamp, cell, 0, 8, 0);
  if (cell[0] === 0n) throw new Error('the child left no stamp');
  if (i >= 0) latencyUs.push((seen - Number(cell[0])) / 1e3);
  cell[0] = 0n;
  writeSync(stamp, cell, 0, 8, 0);
}
answer({ latencyUs });
