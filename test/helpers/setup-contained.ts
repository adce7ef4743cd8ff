/**
 * Setup of every native and integration test file: refuses to run outside the namespace, and fails the test that leaves a process or a
 * cgroup, or the file that leaves descriptors or threads. What was left is named and ended, so that later tests are not disturbed.
 */
import { promises as fs } from 'node:fs';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { cgroupsBelow, removeCgroups } from './cgroup.js';
import { contained } from './contained.js';
import { eventually } from './eventually.js';
import {
  allProcesses,
  commandLine,
  describeProcess,
  isAlive,
  openFiles,
  type ProcStat,
  processOfPidfd,
  signalIfAlive,
  threads,
} from './proc.js';

contained();
// The runtime of a sanitizer is loaded; what is started from here on needs none, and might not bear it (scripts/lib/node-gyp.mjs).
if (process.env.CORRAL_TEST_PRELOAD !== undefined) delete process.env.LD_PRELOAD;

/** How long processes may take to go after a test; a real leak outlives any deadline. */
const SETTLE_MS = Number(process.env.CORRAL_TEST_SETTLE_MS ?? 8000);
/**
 * The same for descriptors and threads after a file. Longer than the default grace period: the ladder of a process group that was closed
 * before anybody saw it empty keeps its pidfd until then.
 */
const FILE_SETTLE_MS = Number(process.env.CORRAL_TEST_SETTLE_MS ?? 20_000);

const key = (stat: ProcStat) => `${stat.pid}/${stat.startTicks}`;

/**
 * Every process of the namespace except ourselves, our ancestors and what belongs to other children of our parent (another
 * worker of vitest that is about to exit). What was adopted by PID 1 counts: nobody but a test can have started it.
 */
function strangers(): ProcStat[] {
  const table = new Map(allProcesses().map((stat) => [stat.pid, stat]));
  const chainOf = (stat: ProcStat): ProcStat[] => {
    const parent = table.get(stat.ppid);
    return parent === undefined ? [stat] : [stat, ...chainOf(parent)];
  };
  const own = table.get(process.pid);
  const ancestors = new Set(own === undefined ? [] : chainOf(own).map((stat) => stat.pid));
  return [...table.values()].filter((stat) => {
    if (ancestors.has(stat.pid)) return false;
    const belongsToSibling = chainOf(stat).some((link) => link.ppid === process.ppid && link.pid !== process.pid);
    return !belongsToSibling;
  });
}

/** Processes that were there when the test began, or that an earlier test was already blamed for (a zombie can not be ended). */
let known = new Set<string>();

async function leftProcesses(): Promise<string[]> {
  const fresh = () => strangers().filter((stat) => !known.has(key(stat)));
  try {
    await eventually(() => fresh().length === 0, SETTLE_MS);
    return [];
  } catch {
    const left = fresh();
    const report = left.map(describeProcess);
    for (const stat of left) {
      known.add(key(stat));
      signalIfAlive(stat.pid, 'SIGKILL', stat.startTicks);
    }
    await eventually(() => left.every((stat) => !isAlive(stat.pid, stat.startTicks)), 5000, 'leftovers end after SIGKILL');
    return report;
  }
}

/** A cgroup is removed by a keeper on its way out. */
async function leftCgroups(before: ReadonlySet<string>): Promise<string[]> {
  const fresh = () => cgroupsBelow().filter((directory) => !before.has(directory));
  try {
    await eventually(() => fresh().length === 0, SETTLE_MS);
    return [];
  } catch {
    const left = fresh();
    await removeCgroups(left);
    return left;
  }
}

beforeEach(({ onTestFinished }) => {
  known = new Set(strangers().map(key));
  const cgroups = new Set(cgroupsBelow());
  // Not afterEach: the helpers clean up in onTestFinished, last registered first, so this comes after all of them.
  onTestFinished(async () => {
    const left = await leftProcesses();
    const made = await leftCgroups(cgroups);
    if (left.length > 0) throw new Error(`the test left ${left.length} process(es):\n  ${left.join('\n  ')}`);
    if (made.length > 0) throw new Error(`the test left ${made.length} cgroup(s):\n  ${made.join('\n  ')}`);
  });
});

/**
 * Descriptors that may appear once and stay: epoll and eventfd of event loops and of the watch thread, and the keeper's program. Pipes,
 * sockets, pidfds, other memfds and files may not.
 */
const PERMANENT_FILES = /^(anon_inode:\[(eventpoll|eventfd|io_uring)\]|\/memfd:corral-keeper \(deleted\))$/;
const PERMANENT_FILES_LIMIT = 5;
/** Threads of corral that live as long as the process, by the names they give themselves. */
const PERMANENT_THREADS = /^corral/;

let files = new Map<number, string>();
let tasks = new Map<number, string>();

beforeAll(async () => {
  // What Node makes on first use is not the file's doing: the signal pipe, the thread pool.
  const ignore = () => {};
  process.once('SIGWINCH', ignore).off('SIGWINCH', ignore);
  await Promise.all(Array.from({ length: 16 }, () => fs.stat('/')));
  files = openFiles();
  tasks = threads();
});

function describeFile([fd, target]: [number, string]): string {
  const pid = processOfPidfd(fd);
  const whose = pid === undefined ? '' : pid === -1 ? ' of a process that is gone' : ` of process ${pid}: ${commandLine(pid)}`;
  return `descriptor ${fd}: ${target}${whose}`;
}

afterAll(async () => {
  const leaks = () => {
    const newFiles = [...openFiles()].filter(([fd, target]) => files.get(fd) !== target);
    const newThreads = [...threads()].filter(([tid, name]) => !tasks.has(tid) && !PERMANENT_THREADS.test(name));
    const passing = newFiles.filter(([, target]) => PERMANENT_FILES.test(target)).length <= PERMANENT_FILES_LIMIT;
    return [
      ...newFiles.filter(([, target]) => !passing || !PERMANENT_FILES.test(target)).map(describeFile),
      ...newThreads.map(([tid, name]) => `thread ${tid}: ${name}`),
    ];
  };
  try {
    await eventually(() => leaks().length === 0, FILE_SETTLE_MS);
  } catch {
    throw new Error(`the test file left open:\n  ${leaks().join('\n  ')}`);
  }
});
