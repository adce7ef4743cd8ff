/**
 * Lists all processes, `count` times with pauses between, or until `budgetMs` are over. wallUs: one listing. delayMs: the longest the loop was away from a
 * 1 ms timer meanwhile; idleMs: the same without a listing.
 */
import { execFile } from 'node:child_process';
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { answer, corral, monotonicNs, peer, sleep, task } from './harness.mjs';

const FIELDS = ['ppid', 'pgid', 'sid', 'state', 'startTime', 'name', 'args'];
const pids = () => readdirSync('/proc').filter((name) => name >= '1' && name < ':');

/** Each gives a function that lists and says how many it found. */
const methods = {
  async 'plain-js'() {
    const buffer = Buffer.alloc(1 << 16);
    const read = (file) => {
      const fd = openSync(file, 'r');
      const text = buffer.latin1Slice(0, readSync(fd, buffer, 0, buffer.length, 0));
      closeSync(fd);
      return text;
    };
    return () => {
      const rows = [];
      for (const pid of pids()) {
        try {
          const stat = read(`/proc/${pid}/stat`);
          const close = stat.lastIndexOf(')');
          const [state, ppid, pgid, sid, ...rest] = stat.slice(close + 2).split(' ', 20);
          const args = read(`/proc/${pid}/cmdline`).split('\0');
          const name = stat.slice(stat.indexOf('(') + 1, close);
          rows.push({ pid: +pid, ppid: +ppid, pgid: +pgid, sid: +sid, state, name, args, start: rest[15] });
        } catch {
          // Ended while we looked.
        }
      }
      return rows.length;
    };
  },
  async ps() {
    const run = promisify(execFile);
    return async () => {
      const columns = 'pid=,ppid=,pgid=,sid=,stat=,lstart=,comm=,args=';
      const { stdout } = await run('ps', ['-eo', columns], { maxBuffer: 1 << 26 });
      return stdout.split('\n').map((line) => line.trim().split(/\s+/)).length - 1;
    };
  },
  async 'ps-list'() {
    const { default: psList } = await peer('ps-list');
    return async () => (await psList()).length;
  },
  async 'find-process'() {
    const { default: find } = await peer('find-process');
    return async () => (await find('name', '', { skipSelf: false })).length;
  },
  async systeminformation() {
    const { default: si } = await peer('systeminformation');
    return async () => (await si.processes()).list.length;
  },
  async pidusage() {
    const { default: pidusage } = await peer('pidusage');
    return async () => Object.keys(await pidusage(pids())).length;
  },
  async 'corral-snapshot'() {
    const { snapshot } = await corral();
    return async () => (await snapshot({ fields: FIELDS })).size;
  },
  async 'corral-listProcesses'() {
    const { listProcesses } = await corral();
    return async () => (await listProcesses({ fields: FIELDS })).length;
  },
};

const list = await methods[task.method]();

async function once() {
  await sleep(task.gapMs);
  const from = monotonicNs();
  const found = await list();
  const took = (monotonicNs() - from) / 1e3;
  if (found < task.processes) throw new Error(`${task.method} found ${found} of at least ${task.processes} processes`);
  return took;
}

/** The longest gap between two ticks of a timer that wants to run every millisecond. */
async function longestDelay(during) {
  let longest = 0;
  let last = monotonicNs();
  const timer = setInterval(() => {
    const now = monotonicNs();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  await sleep(task.gapMs);
  longest = 0;
  last = monotonicNs();
  await during();
  longest = Math.max(longest, monotonicNs() - last);
  clearInterval(timer);
  return longest / 1e6;
}

const budgetEnd = performance.now() + task.budgetMs;
const inBudget = (samples) => samples.length === 0 || (samples.length < task.count && performance.now() < budgetEnd);
await once();
const wallUs = [];
const cpuBefore = process.cpuUsage();
while (inBudget(wallUs)) wallUs.push(await once());
const cpu = process.cpuUsage(cpuBefore);
const cpuUs = [(cpu.user + cpu.system) / wallUs.length];

const delayMs = [];
const idleMs = [];
while (inBudget(delayMs)) {
  delayMs.push(await longestDelay(list));
  idleMs.push(await longestDelay(() => sleep(20)));
}
answer({ wallUs, cpuUs, delayMs, idleMs });
