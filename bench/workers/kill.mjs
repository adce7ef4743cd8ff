/**
 * Starts a herd and ends it with one method, `trials` times after one that does not count, or until `budgetMs` are over.
 *
 * doneUs: call to the method's own word that it is done. deadUs: call to the death of the last member, seen from outside.
 * survivors: members alive `settleMs` after the word; then this process stops, and its pid namespace takes them along.
 */
import { spawn as spawnChild } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { makeFifos, untilReady } from '../lib/fifo.mjs';
import { answer, corral, monotonicNs, peer, sleep, task } from './harness.mjs';

const [ready, alive] = makeFifos(task.directory, 'ready', 'alive');
const args = [task.shape, String(task.members), ready, alive];
const IGNORE = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' };

const nodeChild = () => spawnChild(task.herd, args, { stdio: 'ignore', detached: true });

/** For what takes a pid: done when it says so and the leader, a child of ours, has exited. */
function byPid(end) {
  return {
    start: nodeChild,
    end: async (child) => {
      const exit = once(child, 'exit');
      await end(child.pid);
      await exit;
    },
  };
}

/** Each starts the herd (a handle, never a thenable: it would be waited for) and ends it. */
const methods = {
  node: async () => byPid((pid) => process.kill(-pid, 'SIGKILL')),
  async 'tree-kill'() {
    const { default: treeKill } = await peer('tree-kill');
    return byPid((pid) => new Promise((resolve, reject) => treeKill(pid, 'SIGKILL', (error) => (error ? reject(error) : resolve()))));
  },
  async pidtree() {
    const { default: pidtree } = await peer('pidtree');
    return byPid(async (pid) => {
      for (const member of await pidtree(pid, { root: true })) {
        try {
          process.kill(member, 'SIGKILL');
        } catch (error) {
          if (error.code !== 'ESRCH') throw error;
        }
      }
    });
  },
  async fkill() {
    const { default: fkill } = await peer('fkill');
    return byPid((pid) => fkill(pid, { force: true }));
  },
  async execa() {
    const { execa } = await peer('execa');
    return {
      start: () => ({ child: execa(task.herd, args, { stdio: 'ignore', reject: false }) }),
      end: async ({ child }) => {
        child.kill('SIGKILL');
        await child;
      },
    };
  },
  async tinyexec() {
    const { x } = await peer('tinyexec');
    return {
      start: () => ({ child: x(task.herd, args, { nodeOptions: { stdio: 'ignore' } }) }),
      end: async ({ child }) => {
        child.kill('SIGKILL');
        await child;
      },
    };
  },
  async zx() {
    const { $ } = await peer('zx');
    return {
      start: () => ({ child: $({ stdio: 'ignore', nothrow: true })`exec ${task.herd} ${args}` }),
      end: async ({ child }) => {
        await child.kill('SIGKILL');
        await child;
      },
    };
  },
  async bun() {
    return {
      start: () => Bun.spawn([task.herd, ...args], { stdio: ['ignore', 'ignore', 'ignore'] }),
      end: async (child) => {
        child.kill('SIGKILL');
        await child.exited;
      },
    };
  },
  async 'corral-stop'() {
    const { spawn } = await corral();
    return {
      start: () => spawn(task.herd, args, { ...IGNORE, containment: 'tree', killSignal: 'SIGKILL' }),
      end: (child) => child.stop(),
    };
  },
  async 'corral-killTree'() {
    const { killTree } = await corral();
    return { start: nodeChild, end: (child) => killTree(child, { killSignal: 'SIGKILL' }) };
  },
};

/**
 * Stops everybody in this pid namespace but ourselves in one atomic step (hoppers could not be counted otherwise), and counts the
 * members of the herd. A zombie has died, whoever has not reaped it.
 */
function stopAndCountHerd() {
  if (process.ppid !== 1 || !readFileSync('/proc/1/cmdline', 'latin1').includes('bench-init'))
    throw new Error('not in a pid namespace of our own');
  process.kill(-1, 'SIGSTOP');
  let count = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      if (stat.includes('(herd)') && !'ZX'.includes(stat[stat.lastIndexOf(')') + 2])) count++;
    } catch {
      // Ended while we looked.
    }
  }
  return count;
}

const observer = spawnChild(task.observe, [alive], { stdio: ['ignore', 'pipe', 'inherit'] });
const moments = createInterface({ input: observer.stdout })[Symbol.asyncIterator]();

const { start, end } = await methods[task.method]();
const doneUs = [];
const deadUs = [];
const survivors = [];
const budgetEnd = performance.now() + task.budgetMs;
for (let trial = -1; trial < task.trials && (doneUs.length === 0 || performance.now() < budgetEnd); trial++) {
  const isReady = untilReady(ready);
  const herd = await start();
  await isReady;
  const from = monotonicNs();
  await end(herd);
  const done = monotonicNs();
  const moment = await Promise.race([moments.next(), sleep(task.settleMs)]);
  if (moment === undefined) {
    survivors.splice(0, survivors.length, stopAndCountHerd());
    break;
  }
  // Who needs the whole budget for the first trial is slow enough for it not to matter that it was the first.
  if (trial < 0 && performance.now() < budgetEnd) continue;
  doneUs.push((done - from) / 1e3);
  deadUs.push((Number(moment.value) - from) / 1e3);
  survivors.push(0);
}
answer({ doneUs, deadUs, survivors });
