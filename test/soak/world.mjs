/**
 * What the soak looks at, read by itself: the product under test must not be its own witness. Processes of the namespace, what our own
 * process holds, and bystanders that nobody may touch.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** pid, parent, state and start of every process there is; of zombies too. */
export function processes() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const text = readFileSync(`/proc/${name}/stat`, 'latin1');
        const close = text.lastIndexOf(')');
        const fields = text.slice(close + 2).split(' ');
        const [letter, ppid, pgid, sid] = fields;
        // A process whose first thread has ended while others run looks like a zombie.
        const state = letter === 'Z' && Number(fields[17]) > 1 ? 'S' : letter;
        return [
          { pid: Number(name), name: text.slice(text.indexOf('(') + 1, close), state, ppid: Number(ppid), pgid, sid, start: fields[19] },
        ];
      } catch {
        return []; // ended while we looked
      }
    });
}

function describe({ pid, name, state, ppid, pgid, sid }) {
  let args = '';
  try {
    const tid = readdirSync(`/proc/${pid}/task`).at(-1); // the first thread may have ended
    args = readFileSync(`/proc/${pid}/task/${tid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
  } catch {
    // Gone by now.
  }
  return `process ${pid} (${name}, state ${state}, parent ${ppid}, group ${pgid}, session ${sid}): ${args}`;
}

/** Counts the numbers given out, by looking often enough that they do not come round twice between two looks. */
export class NumberCounter {
  given = 0;
  #last = lastPid();
  #range;
  #timer;

  constructor(pidMax) {
    this.#range = pidMax - 300; // the kernel keeps the first for itself once they have come round
    this.#timer = setInterval(() => this.look(), 10).unref();
  }

  look() {
    const last = lastPid();
    this.given += last >= this.#last ? last - this.#last : last - this.#last + this.#range;
    this.#last = last;
  }

  end() {
    this.look();
    clearInterval(this.#timer);
  }
}

/** The newest number of our pid namespace, proc(5). */
const lastPid = () => Number(readFileSync('/proc/loadavg', 'latin1').trim().split(' ').at(-1));

/** Descriptors by number; those that come once and stay, epoll and the like, apart from those that belong to something. */
function descriptors() {
  const permanent = /^(anon_inode:\[(eventpoll|eventfd|io_uring)\]|\/memfd:corral-keeper \(deleted\))$/;
  const open = new Map();
  let lasting = 0;
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (permanent.test(target)) lasting++;
      else open.set(Number(fd), target);
    } catch {
      // That of this very listing.
    }
  }
  return { open, lasting };
}

const threads = () =>
  readdirSync('/proc/self/task').flatMap((tid) => {
    try {
      return [`${readFileSync(`/proc/self/task/${tid}/comm`, 'utf8').trim()} ${tid}`];
    } catch {
      return [];
    }
  });

/** Some more may come with use: the pool of the event loop, the watch thread. Per round they do not. */
const LASTING_MORE = 6;
const THREADS_MORE = 6;

/** How things are when nothing goes on; what is more later is a leak. */
export class Baseline {
  #pids = new Set(processes().map(({ pid, start }) => `${pid}/${start}`));
  #descriptors = descriptors();
  #threads = threads().length;

  leaks() {
    const { open, lasting } = descriptors();
    const held = [...open].filter(([fd, target]) => this.#descriptors.open.get(fd) !== target);
    const running = threads();
    return [
      ...processes()
        .filter(({ pid, start }) => !this.#pids.has(`${pid}/${start}`))
        .map((one) => ({ kind: one.state === 'Z' ? 'zombies' : 'processes', text: describe(one), pid: one.pid })),
      ...held.map(([fd, target]) => ({ kind: 'descriptors', text: `descriptor ${fd}: ${target}` })),
      ...(lasting > this.#descriptors.lasting + LASTING_MORE
        ? [{ kind: 'descriptors', text: `${lasting} descriptors of event loops; there were ${this.#descriptors.lasting}` }]
        : []),
      ...(running.length > this.#threads + THREADS_MORE
        ? [{ kind: 'threads', text: `${running.length} threads; there were ${this.#threads}: ${running.join(', ')}` }]
        : []),
    ];
  }

  /** Leaks that are still there when everything has had its time to end. */
  async settled(patienceMs) {
    const deadline = performance.now() + patienceMs;
    while (this.leaks().length > 0 && performance.now() < deadline) await delay(10);
    return this.leaks();
  }
}

/** Processes that nothing here has any business with: they say so when a signal reaches them, or are gone. */
export class Bystanders {
  #children = [];
  #complaints = [];

  async start(program, count) {
    for (let i = 0; i < count; i++) {
      const child = spawn(program, ['bystander'], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
      child.stdout.setEncoding('utf8');
      await once(child.stdout, 'data');
      child.stdout.on('data', (text) => this.#complaints.push(`bystander ${child.pid} got ${text.trim()}`));
      child.on('exit', (code, signal) => this.#complaints.push(`bystander ${child.pid} has ended: ${signal ?? code}`));
      this.#children.push(child);
    }
  }

  /** What happened to them since the last call. */
  complaints() {
    return this.#complaints.splice(0);
  }

  async end() {
    for (const child of this.#children) {
      child.removeAllListeners('exit');
      child.stdout.removeAllListeners('data');
      const over = once(child, 'exit');
      child.stdin.end(); // which is the only thing that ends one
      await over;
    }
  }
}
