/**
 * Reaping of adopted orphans in a program that is PID 1 or a child subreaper, where nobody else does: libuv waits for its own children
 * only. Opt-in. Must never take the exit status of a child that somebody in this program waits for; when that is not certain, a zombie
 * stays one.
 *
 * Whose is a zombie among our children?
 *  - A child of another thread (a worker, a pool, corral's watch thread) is not even seen: the kernel keeps the children of each
 *    thread apart and gives what is adopted to the first. (A terminated worker's children are adopted, too.)
 *  - A child of libuv on this thread is reaped by its handler of SIGCHLD. So: send ourselves a SIGCHLD, and when it has arrived here, the
 *    handler has run as well. Two of them, since the first one's way through the event loop may be cut in two; libuv takes signals
 *    one after the other. Whoever is a zombie before the first and still after the second is no child of libuv.
 *  - A child that native code has forked on this very thread looks like an adopted one. It is left for `graceMs`; who waits later
 *    than that names it in `keep`.
 */
import { constants } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { invalidArgument, ProcessError } from '../errors.js';
import { type Member, native } from '../native.js';
import { endOf } from '../signals.js';
import { bootId } from '../tree/identity.js';
import { checkDelay, checkOptions } from '../tree/options.js';
import { keyOf } from '../tree/row.js';
import type { OrphanReaper, ReapedOrphan, ReapOrphansOptions } from '../types.js';

const DEFAULT_GRACE_MS = 1000;
const SIGNALS_NEEDED = 2;
const { EINVAL } = constants.errno;

/** A zombie among our children, and since when: on the monotonic clock, and in SIGCHLDs that have arrived. */
export interface Zombie {
  readonly child: Member;
  readonly sinceMs: number;
  readonly sinceSignals: number;
}

/** What a look has brought. Pure. */
export interface Judgement {
  /** Nobody waits for these. */
  readonly adopted: readonly Member[];
  /** To be looked at again. */
  readonly waiting: ReadonlyMap<string, Zombie>;
  /** Some have not been through enough SIGCHLDs. */
  readonly needsSignal: boolean;
  /** When the next of the others is due; undefined: none is. */
  readonly dueMs: number | undefined;
}

export function judge(
  ended: readonly Member[],
  before: ReadonlyMap<string, Zombie>,
  { nowMs, signals, graceMs }: { nowMs: number; signals: number; graceMs: number },
): Judgement {
  const adopted: Member[] = [];
  const waiting = new Map<string, Zombie>();
  let needsSignal = false;
  let dueMs: number | undefined;
  for (const child of ended) {
    const key = keyOf(child);
    const zombie = before.get(key) ?? { child, sinceMs: nowMs, sinceSignals: signals };
    const isSettled = signals - zombie.sinceSignals >= SIGNALS_NEEDED;
    const isOld = nowMs - zombie.sinceMs >= graceMs;
    if (isSettled && isOld) {
      adopted.push(child);
      continue;
    }
    waiting.set(key, zombie);
    if (!isSettled) needsSignal = true;
    if (!isOld) dueMs = Math.min(dueMs ?? Number.POSITIVE_INFINITY, zombie.sinceMs + graceMs);
  }
  return { adopted, waiting, needsSignal, dueMs };
}

let current: Reaper | undefined;

/**
 * Reaps the orphans that this program adopts, as PID 1 of a container or as a child subreaper, until stop() or disposal. Without it Node
 * keeps each as a zombie for as long as it runs.
 *
 * Guaranteed: no child of `child_process`, of a worker, or of corral is ever reaped by it. Children that native addons fork on the main
 * thread without libuv must be waited for by them within `graceMs`, or be named by `keep`. The event loop is not kept alive. Each orphan
 * stays a zombie for `graceMs`; a blocked event loop makes it longer. The program gets SIGCHLDs that it has sent itself.
 *
 * @param options.subreaper become a child subreaper, so that orphaned descendants come to this program instead of PID 1 (default true; as
 *   PID 1 it makes no difference). stop() takes it back.
 * @param options.graceMs default 1000.
 * @param options.keep asked before each; true: somebody else waits for it. It is asked again as long as it is a zombie.
 * @param options.onReap told of each.
 * @throws ProcessError ERR_INVALID_ARGUMENT; ERR_ALREADY_RUNNING when there is one already; ERR_UNSUPPORTED_PLATFORM in a worker, in Bun and Deno (what
 *   is said of libuv above holds in Node only), and before Linux 4.7. prctl(2) PR_SET_CHILD_SUBREAPER (Linux 3.4), waitid(2) __WNOTHREAD (4.7).
 */
export function reapOrphans(options: ReapOrphansOptions = {}): OrphanReaper {
  checkOptions('reapOrphans', options, ['subreaper', 'graceMs', 'keep', 'onReap']);
  const { subreaper = true, graceMs = DEFAULT_GRACE_MS, keep = () => false, onReap = () => {} } = options;
  if (typeof subreaper !== 'boolean') throw invalidArgument('subreaper', 'a boolean', subreaper);
  checkDelay(graceMs, 'graceMs');
  if (typeof keep !== 'function') throw invalidArgument('keep', 'a function', keep);
  if (typeof onReap !== 'function') throw invalidArgument('onReap', 'a function', onReap);
  if (!isMainThread || 'bun' in process.versions || 'deno' in process.versions) {
    throw new ProcessError(
      'ERR_UNSUPPORTED_PLATFORM',
      "reapOrphans works on Node's main thread: only there own children are told from adopted ones",
    );
  }
  if (current !== undefined) throw new ProcessError('ERR_ALREADY_RUNNING', 'reapOrphans: this program reaps its orphans already');
  const probe = native().endedChildren();
  if (typeof probe === 'number') {
    const why = probe === -EINVAL ? 'waitid(2) does not know __WNOTHREAD (Linux 4.7)' : 'its children can not be listed';
    throw new ProcessError('ERR_UNSUPPORTED_PLATFORM', `reapOrphans: ${why}`, { errno: probe, syscall: 'waitid' });
  }
  current = new Reaper(subreaper, graceMs, keep, onReap);
  return current;
}

class Reaper implements OrphanReaper {
  reaped = 0;
  #isStopped = false;
  #signals = 0;
  #zombies: ReadonlyMap<string, Zombie> = new Map();
  #look: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #wasSubreaper: boolean;

  constructor(
    private readonly isSubreaper: boolean,
    private readonly graceMs: number,
    private readonly keep: (orphan: ReapedOrphan) => boolean,
    private readonly onReap: (orphan: ReapedOrphan) => void,
  ) {
    this.#wasSubreaper = isSubreaper && native().setSubreaper(true) === 1;
    process.on('SIGCHLD', this.#onSignal); // does not keep the event loop alive
    this.#lookSoon(); // for those that had ended before
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    current = undefined;
    process.off('SIGCHLD', this.#onSignal);
    clearImmediate(this.#look);
    clearTimeout(this.#timer);
    if (this.isSubreaper && !this.#wasSubreaper) native().setSubreaper(false);
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  readonly #onSignal = () => {
    this.#signals++;
    this.#lookSoon();
  };

  /** After all that the event loop has to do with the signal: libuv reaps what is its own first. */
  #lookSoon(): void {
    this.#look ??= setImmediate(() => {
      this.#look = undefined;
      this.#lookNow();
    }).unref();
  }

  #lookNow(): void {
    const nowMs = performance.now();
    const ended = native().endedChildren();
    if (typeof ended === 'number') {
      this.#lookIn(this.graceMs); // no descriptor is free, or the like
      return;
    }
    const { adopted, waiting, needsSignal, dueMs } = judge(ended, this.#zombies, { nowMs, signals: this.#signals, graceMs: this.graceMs });
    const orphans = adopted.map(({ pid, startTicks, name, detail }) => ({ pid, startTicks, bootId: bootId(), name, ...endOf(detail) }));
    const kept = orphans.filter((orphan) => this.keep(orphan));
    this.#zombies = waiting;
    if (needsSignal) process.kill(process.pid, 'SIGCHLD');
    if (dueMs !== undefined || kept.length > 0) this.#lookIn(Math.min(dueMs ?? Number.POSITIVE_INFINITY, nowMs + this.graceMs) - nowMs);
    for (const orphan of orphans) {
      if (kept.includes(orphan) || native().reapAdopted(orphan.pid) !== 0) continue;
      this.reaped++;
      this.onReap(orphan);
    }
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lookSoon(), Math.max(1, Math.ceil(ms))).unref();
  }
}
