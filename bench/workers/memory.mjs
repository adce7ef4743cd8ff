/**
 * Holds `count` children. rssKb: growth of this process per child, garbage collected (run with --expose-gc).
 * keeperKb: resident memory of one corral keeper, shared pages counted by share; keeperRssKb: counted in full.
 */
import { spawn as spawnChild } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { answer, corral, sleep, task } from './harness.mjs';

const IGNORE = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' };
const methods = {
  node: async () => () => spawnChild(task.child, ['pause'], { stdio: 'ignore', detached: true }),
  bun: async () => () => Bun.spawn([task.child, 'pause'], { stdio: ['ignore', 'ignore', 'ignore'] }),
  'corral-group': () => ours('group'),
  'corral-tree': () => ours('tree'),
};

async function ours(containment) {
  const { spawn } = await corral();
  return () => spawn(task.child, ['pause'], { ...IGNORE, containment });
}

async function settledRssKb() {
  const collect = globalThis.gc ?? (() => Bun.gc(true));
  for (let i = 0; i < 4; i++) {
    collect();
    await sleep(20);
  }
  return Number(/^Rss:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'latin1'))[1]);
}

function keepers() {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      if (!/^\d+$/.test(pid) || !readFileSync(`/proc/${pid}/comm`, 'latin1').startsWith('corral-keeper')) return [];
      const memory = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
      return [{ pss: Number(/^Pss:\s+(\d+)/m.exec(memory)[1]), rss: Number(/^Rss:\s+(\d+)/m.exec(memory)[1]) }];
    } catch {
      return []; // ended while we looked
    }
  });
}

const start = await methods[task.method]();
const held = [];
for (let i = 0; i < 200; i++) held.push(await start()); // what grows only once has grown
const before = await settledRssKb();
for (let i = 0; i < task.count; i++) held.push(await start());
const after = await settledRssKb();
const found = keepers();
answer({ rssKb: [(after - before) / task.count], keeperKb: found.map(({ pss }) => pss), keeperRssKb: found.map(({ rss }) => rss) });
