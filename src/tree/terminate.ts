/**
 * Ends processes that nobody holds for us: the driver of the ladder, and the plainer way of the sweep.
 *
 * Every process is held by a pidfd, verified against its start time, before the first signal; all signals go through it. The
 * ladder lives on the event loop: a program that blocks its loop delays it (what corral itself spawned is ended natively).
 * Decides nothing: what belongs together is the caller's to select, when to do what is ladder.ts.
 */
import { constants } from 'node:os';
import { ProcessError } from '../errors.js';
import { endOf, signalName } from '../signals.js';
import type { ProcessField, ProcessInfo, TerminationOptions, TerminationReport } from '../types.js';
import { type Held, type Hold, hold, keepAlive } from './hold.js';
import { refuse, type Self, self } from './identity.js';
import { beginLadder, type Key, type LadderAction, type LadderEvent, type LadderState, type LadderStep, stepLadder } from './ladder.js';
import type { IsLed } from './members.js';
import { checkDelay, terminationSettings } from './options.js';
import { keyOf, PROCESS_FIELDS } from './row.js';
import { scan } from './scan.js';
import type { ProcessTable } from './table.js';

/**
 * One complete look: the live processes that shall end. Rows show at least name and state. `isLed` may be asked, after the look, for
 * the groups led by those who were found before and have ended. `onSight` may be told of a row as soon as it is known to be among them: a
 * process that lives for a millisecond is gone when the look is complete. It answers whether it is gone by now.
 */
export type Select = (isLed?: IsLed, onSight?: (process: ProcessInfo) => 'gone' | undefined) => Promise<readonly ProcessInfo[]>;

export interface TerminateOptions extends TerminationOptions {
  /**
   * From SIGKILL until what is left counts as survivor; default 5000 (a process that gives back much memory needs seconds to die). With
   * `forceKillAfterDelay: false` from killSignal; default 2000.
   */
  killWaitMs?: number;
  /** When it is over in any case (performance.now()): what is left then counts as survivor. Default: never. */
  endMs?: number;
}

/** What is asked of the machine; tests put a scripted one in its place. */
export interface System {
  hold: Hold;
  keepAlive(): () => void;
  nowMs(): number;
  scan(options: { pids: number[]; fields: ProcessField[] }): Promise<ProcessTable>;
}

const linux: System = { hold, keepAlive, nowMs: () => performance.now(), scan };

const DEFAULT_KILL_WAIT_MS = 5000;
const DEFAULT_UNFORCED_WAIT_MS = 2000;
const { ESRCH, ESTALE, EPERM, EMFILE, ENFILE, ENOMEM, ENOSPC, ENOSYS } = constants.errno;
const { SIGTERM, SIGKILL, SIGCONT, SIGSTOP } = constants.signals;

/**
 * Ends everything `select` finds, newcomers included, until two looks in a row find nothing.
 *
 * SIGSTOP until nobody new turns up, killSignal to all, SIGCONT to all; after `forceKillAfterDelay` SIGSTOP again, then SIGKILL. Nobody is
 * left stopped, whether this succeeds or fails. An AbortSignal shortens the grace period to nothing: SIGKILL at once, or, when that is never to be sent, an answer at once. With or without it the
 * promise settles only with the truth. `forceKillAfterDelay: false` waits `killWaitMs` and reports who is left as `not-forced`.
 *
 * @returns who ended, and who is left and why; `signal` is null for what ended by itself, and where the kernel does not tell.
 * @throws ProcessError ERR_INVALID_ARGUMENT; ERR_SCAN when a look fails: the first (nothing was signalled), or the last (`report` says what
 *   is known); ERR_UNSUPPORTED_PLATFORM before the first signal where there are no pidfds.
 */
export async function terminate(select: Select, options: TerminateOptions = {}, system: System = linux): Promise<TerminationReport> {
  const { killSignal, graceMs, abort } = terminationSettings(options);
  const waitMs = graceMs === null ? DEFAULT_UNFORCED_WAIT_MS : DEFAULT_KILL_WAIT_MS;
  const killWaitMs = checkDelay(options.killWaitMs ?? waitMs, 'killWaitMs');
  const { endMs = Number.POSITIVE_INFINITY } = options;
  return new Termination(select, system).run({ killSignal, graceMs, killWaitMs, endMs }, abort);
}

interface Target {
  readonly key: Key;
  info: ProcessInfo;
  /** Absent before the first signal, and while there are too few descriptors. */
  held?: Held | undefined;
  /** Signals that it is to get as soon as there is a descriptor to send them through. */
  owed?: readonly number[] | undefined;
  ended: boolean;
  /** Wait status, where the kernel told. */
  status: number | null;
  /** By us, and not yet woken. */
  stopped: boolean;
  killed: boolean;
}

/** Descriptors left to the rest of the program (and to the next look) when they have run out; half of them for turns. */
const RESERVE = 16;
const UNHELD_TURN_MS = 5;
/** A descriptor that was given back is closed on another thread. */
const SHORTAGE_RETRIES = 200;

/** Held on sight in one look: it needs descriptors itself. */
const ON_SIGHT = 32;

/** Ourselves, where no group is signalled: the leader of our own may then be ended like anybody else. */
const individually = (): Self => ({ ...self(), pgid: 0 });
const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
/** ENOSPC: fs.epoll.max_user_watches. */
const isShortage = (errno: number) => [EMFILE, ENFILE, ENOMEM, ENOSPC].includes(-errno);
/** How many of so many descriptors to give back. */
const roomFrom = (held: number) => Math.min(RESERVE, Math.ceil(held / 2));

/**
 * Those under way. When the program calls process.exit() in the middle of a freeze, whoever stands still would stand for ever; a program that is
 * killed can do nothing about it.
 */
const underWay = new Set<Termination>();
const leaveAll = () => {
  for (const termination of underWay) termination.leave();
};

class Termination {
  readonly #targets = new Map<Key, Target>();
  readonly #events: LadderEvent[] = [];
  #ladder!: LadderState;
  #draining = false;
  #looked = false;
  #lookError: unknown;
  #endedKeys: Key[] = [];
  /** Held on sight by the look under way; undefined: no more of them. */
  #sighted: Target[] | undefined;
  /** Held beyond their end, as their groups are not empty: to tell, in a later look, these groups from others of the same number. */
  readonly #leaders = new Map<Key, Held>();
  #timer: NodeJS.Timeout | undefined;
  #turn: NodeJS.Timeout | undefined;
  /** How many we may hold at once, known when descriptors have run out; and those that wait for a turn. */
  #holdLimit = Number.POSITIVE_INFINITY;
  #holding = 0;
  readonly #unheld = new Set<Target>();
  #settle!: (action: LadderAction & { do: 'settle' }) => void;
  #fail!: (error: unknown) => void;

  constructor(
    private readonly select: Select,
    private readonly system: System,
  ) {}

  async run(settings: Parameters<typeof beginLadder>[0], abort: AbortSignal | undefined): Promise<TerminationReport> {
    const startedMs = this.system.nowMs();
    const release = this.system.keepAlive();
    const hurry = () => this.#post({ type: 'hurry' });
    if (underWay.size === 0) process.on('exit', leaveAll);
    underWay.add(this);
    try {
      const outcome = await new Promise<LadderAction & { do: 'settle' }>((resolve, reject) => {
        this.#settle = resolve;
        this.#fail = reject;
        this.#perform(beginLadder(settings, startedMs));
        if (abort?.aborted) hurry();
        else abort?.addEventListener('abort', hurry, { once: true });
      });
      const report: TerminationReport = {
        terminated: [...this.#targets.values()].filter(({ ended }) => ended).map(describeEnd),
        survivors: outcome.survivors.map(({ key, reason }) => ({ ...identityAndName(this.#targets.get(key)!.info), reason })),
        escalated: this.#ladder.escalated,
        durationMs: this.system.nowMs() - startedMs,
        proof: 'scan',
      };
      if (!outcome.blind) return report;
      throw new ProcessError('ERR_SCAN', 'whether anything is left is not known', { cause: this.#lookError, report });
    } finally {
      abort?.removeEventListener('abort', hurry);
      clearTimeout(this.#timer);
      clearTimeout(this.#turn);
      await this.#wakeStopped();
      for (const target of this.#targets.values()) this.#letGo(target);
      this.#letGoOfLeaders();
      underWay.delete(this);
      if (underWay.size === 0) process.off('exit', leaveAll);
      release();
    }
  }

  /** Does at once what was next for those who stand still. */
  leave(): void {
    const { phase, afterFreezing, settings } = this.#ladder;
    const standing = [...this.#targets.values()].filter(({ stopped, ended, held }) => stopped && !ended && held !== undefined);
    const deliver = (targets: readonly Target[], signal: number) => {
      for (const target of targets) this.#deliver(target, target.held!, [signal]);
    };
    if (phase === 'freezing') deliver(standing, afterFreezing === 'kill' ? SIGKILL : settings.killSignal);
    deliver(standing.reverse(), SIGCONT);
  }

  #post(event: LadderEvent): void {
    this.#events.push(event);
    if (this.#draining) return;
    this.#draining = true;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
      this.#perform(stepLadder(this.#ladder, next, this.system.nowMs()));
    }
    this.#draining = false;
  }

  #perform({ state, actions }: LadderStep): void {
    this.#ladder = state;
    for (const action of actions) {
      switch (action.do) {
        case 'look':
          this.#look().catch(this.#fail);
          break;
        case 'signal':
          this.#signal(action.keys, action.signals);
          break;
        case 'wait':
          clearTimeout(this.#timer);
          this.#timer = setTimeout(() => this.#post({ type: 'time' }), Math.max(0, Math.ceil(action.untilMs - this.system.nowMs())));
          break;
        case 'settle':
          this.#settle(action);
          break;
      }
    }
  }

  async #look(): Promise<void> {
    let rows: readonly ProcessInfo[];
    let ourselves: Self;
    try {
      let seeing: Self | undefined; // most looks tell of nobody before they are complete
      this.#sighted = [];
      const isLed: IsLed = (leader) => this.#leaders.get(keyOf(leader))?.leadsGroup() === true;
      rows = await this.select(isLed, (info) => {
        seeing ??= individually();
        return this.#onSight(info, seeing);
      });
      this.#letGoOfLeaders((leader) => leader.leadsGroup());
      ourselves = individually();
    } catch (error) {
      this.#lookError = error;
      if (this.#looked) this.#post({ type: 'blind' });
      else this.#fail(error);
      return;
    }
    this.#looked = true;
    for (const info of rows) {
      const key = keyOf(info);
      const target = this.#targets.get(key);
      if (target !== undefined) target.info = info;
      else this.#aim(info, ourselves);
    }
    // What has ended since the look began is not seen again.
    const live = rows.filter((info) => !this.#targets.get(keyOf(info))!.ended);
    this.#post({ type: 'looked', members: live.map((info) => ({ key: keyOf(info), state: info.state })) });
  }

  #aim(info: ProcessInfo, ourselves: Self): Target {
    const key = keyOf(info);
    // The last line of defence against a wrong selection.
    refuse(info.pid, 'select', () => ourselves);
    const target: Target = { key, info, ended: false, status: null, stopped: false, killed: false };
    this.#targets.set(key, target);
    return target;
  }

  /** Held now, and where a newcomer is first stopped also that, not when the look is complete. The look will tell the ladder of it. */
  #onSight(info: ProcessInfo, ourselves: Self): 'gone' | undefined {
    let target = this.#targets.get(keyOf(info));
    if (target === undefined) {
      const sighted = this.#sighted;
      if (sighted === undefined || sighted.length === ON_SIGHT || this.#holding >= this.#holdLimit) return undefined;
      target = this.#aim(info, ourselves);
      const errno = this.#tryHold(target);
      if (target.held !== undefined) {
        sighted.push(target);
        const { phase } = this.#ladder;
        const isStopped = phase === 'freezing' || phase === 'killing';
        if (isStopped && this.#deliver(target, target.held, [SIGSTOP]) === 'gone') this.#onEnd(target, null);
      } else if (errno === -ESRCH || errno === -ESTALE) {
        this.#onEnd(target, null);
      } else {
        // Too few descriptors, or it can not be held: that is dealt with when the look is complete, and that needs some.
        this.#sighted = undefined;
        for (const last of sighted.slice(-RESERVE)) this.#letGo(last);
      }
    }
    return target.ended ? 'gone' : undefined;
  }

  /** All are held before the first is signalled: none of their numbers can become another's in between. */
  #signal(keys: readonly Key[], signals: readonly number[]): void {
    const targets = keys.map((key) => this.#targets.get(key)!);
    for (const target of targets) if (target.held === undefined && !target.ended) this.#takeHold(target);
    for (const target of targets) {
      if (target.held === undefined) target.owed = owing(target.owed ?? [], signals);
      else this.#deliver(target, target.held, signals);
    }
    if (this.#unheld.size > 0) this.#serveUnheld();
  }

  /** 0, or why it is not held: a negative errno. */
  #tryHold(target: Target): number {
    const held = this.#holding < this.#holdLimit ? this.system.hold(target.info, (status) => this.#onEnd(target, status)) : -EMFILE;
    if (typeof held === 'number') return held;
    target.held = held;
    this.#holding++;
    return 0;
  }

  #takeHold(target: Target): void {
    const errno = this.#tryHold(target);
    if (errno === 0) {
      this.#unheld.delete(target);
    } else if (errno === -ENOSYS) {
      const why = 'processes can not be held: pidfd_open(2) needs Linux 5.3 and a seccomp filter that allows it';
      this.#fail(new ProcessError('ERR_UNSUPPORTED_PLATFORM', why));
    } else if (isShortage(errno)) {
      this.#unheld.add(target);
      if (this.#holdLimit === Number.POSITIVE_INFINITY) this.#makeRoom();
    } else {
      this.#unheld.delete(target);
      this.#onRefusal(target, errno);
    }
  }

  /** Too few descriptors for all: some are given back, and those that can not be held take turns. */
  #makeRoom(): void {
    this.#letGoOfLeaders();
    const held = [...this.#targets.values()].filter((target) => target.held !== undefined);
    for (const target of held.slice(held.length - roomFrom(held.length))) {
      this.#letGo(target);
      this.#unheld.add(target);
    }
    this.#holdLimit = this.#holding;
  }

  /**
   * Those that are not held get the signals they are owed, and as no news of their end comes are looked after, a few at a time: a
   * descriptor that was given back is free only a little later.
   */
  #serveUnheld(): void {
    const owedFirst = [...this.#unheld].sort((left, right) => Number(right.owed !== undefined) - Number(left.owed !== undefined));
    for (const target of owedFirst.slice(0, RESERVE / 2)) {
      const { owed } = target;
      if (this.#holding < this.#holdLimit) this.#takeHold(target);
      const held = target.held ?? (target.ended ? -ESRCH : this.system.hold(target.info, () => {}));
      if (typeof held === 'number') {
        if (isShortage(held)) break;
        this.#unheld.delete(target);
        this.#onRefusal(target, held);
        continue;
      }
      target.owed = undefined;
      const gone = owed !== undefined && this.#deliver(target, held, owed) === 'gone';
      if (target.held !== undefined) continue;
      held.close();
      this.#unheld.delete(target);
      if (gone) this.#onEnd(target, null);
      else this.#unheld.add(target); // the last in turn
    }
    clearTimeout(this.#turn);
    if (this.#unheld.size > 0) this.#turn = setTimeout(() => this.#serveUnheld(), UNHELD_TURN_MS);
  }

  /** 'gone': it has ended; the news, with the status, comes to those who hold it. */
  #deliver(target: Target, held: Held, signals: readonly number[]): 'gone' | undefined {
    for (const signal of signals) {
      const result = held.signal(signal);
      if (result === -ESRCH) return 'gone';
      if (result < 0) {
        this.#onRefusal(target, result);
        break;
      }
      if (signal === SIGSTOP) target.stopped = true;
      else if (signal === SIGCONT || signal === SIGKILL) target.stopped = false;
      if (signal === SIGKILL) target.killed = true;
    }
    return undefined;
  }

  /** At the end: who still stands where we stopped it, for want of a descriptor or because we failed, gets what it is owed and runs on. */
  async #wakeStopped(): Promise<void> {
    const left = [...this.#targets.values()].filter(({ stopped, ended }) => stopped && !ended);
    const signalsFor = ({ owed }: Target) => (owed?.some((signal) => signal === SIGCONT || signal === SIGKILL) ? owed : [SIGCONT]);
    for (const target of left) if (target.held !== undefined) this.#deliver(target, target.held, signalsFor(target));
    const unheld = left.filter(({ held }) => held === undefined);
    if (unheld.length > 0) for (const target of this.#targets.values()) this.#letGo(target);
    for (let retry = 0; retry <= SHORTAGE_RETRIES; retry++) {
      for (let target = unheld.at(-1); target !== undefined; target = unheld.at(-1)) {
        const held = this.system.hold(target.info, () => {});
        if (typeof held === 'number' && isShortage(held)) break;
        unheld.pop();
        if (typeof held === 'number') continue; // it has ended
        this.#deliver(target, held, signalsFor(target));
        held.close();
      }
      if (unheld.length === 0) return;
      await delay(UNHELD_TURN_MS);
    }
  }

  #onRefusal(target: Target, errno: number): void {
    if (errno === -ESRCH || errno === -ESTALE) this.#onEnd(target, null);
    else this.#post({ type: 'refused', key: target.key, reason: errno === -EPERM ? 'eperm' : 'unknown' });
  }

  #onEnd(target: Target, status: number | null): void {
    target.status ??= status;
    if (target.ended) return;
    target.ended = true;
    if (this.#holdLimit === Number.POSITIVE_INFINITY && target.held?.leadsGroup()) {
      this.#leaders.set(target.key, target.held);
      target.held = undefined;
    } else {
      this.#letGo(target);
    }
    // Ends come in batches; one step of the ladder serves them all.
    if (this.#endedKeys.push(target.key) > 1) return;
    queueMicrotask(() => {
      const keys = this.#endedKeys;
      this.#endedKeys = [];
      this.#post({ type: 'gone', keys });
    });
  }

  #letGoOfLeaders(except: (leader: Held) => boolean = () => false): void {
    for (const [key, leader] of this.#leaders) {
      if (except(leader)) continue;
      leader.close();
      this.#leaders.delete(key);
      this.#holding--;
    }
  }

  #letGo(target: Target): void {
    if (target.held === undefined) return;
    target.held.close();
    target.held = undefined;
    this.#holding--;
  }
}

function identityAndName({ pid, startTicks, bootId, name }: ProcessInfo) {
  return { pid, startTicks, bootId, name: name ?? '' };
}

/** Nothing comes after SIGKILL, and whoever is to be stopped need not be told so twice. */
function owing(owed: readonly number[], signals: readonly number[]): readonly number[] {
  if (signals.includes(SIGKILL)) return signals;
  return signals[0] === SIGSTOP && owed.at(-1) === SIGSTOP ? owed : [...owed, ...signals];
}

/** Nothing runs on after SIGKILL, so that is what ended it even where the kernel does not tell the status of a stranger. */
function describeEnd({ info, status, killed }: Target): TerminationReport['terminated'][number] {
  return { ...identityAndName(info), signal: status === null && killed ? 'SIGKILL' : endOf(status).signal };
}

export type ListedOutcome = 'terminated' | 'already-gone' | 'recycled' | 'changed' | 'eperm' | 'survived';

export interface ListedResult {
  process: ProcessInfo;
  outcome: ListedOutcome;
  /** The last signal it was sent; null = none. */
  signal: NodeJS.Signals | null;
}

export interface ListedOptions {
  /** From SIGTERM to SIGKILL. */
  graceMs: number;
  /** From SIGKILL until those left have survived. */
  killWaitMs: number;
  /**
   * Asked directly before each signal, with the row as it is now and the fields that the listed rows show: false = it is not any more
   * what it was listed for, and is left alone from here on.
   */
  recheck?: (fresh: ProcessInfo) => boolean | Promise<boolean>;
}

/**
 * Ends exactly these processes, never their groups and never what they start meanwhile: SIGTERM to all at once (SIGCONT to the stopped
 * ones), SIGKILL after `graceMs` to those left.
 *
 * - `already-gone`: it had ended before a signal reached it, or only its zombie is left. `recycled`: the number is another's now.
 * - `changed`: `recheck` said no. `eperm`: the kernel said no. `survived`: it still lives, or nothing is known of it.
 *
 * With too few descriptors for all of them the rest follows in further rounds.
 * @returns one result for each, in the same order.
 * @throws ProcessError ERR_REFUSED_TARGET when we ourselves or an ancestor are listed (nothing is signalled then); ERR_SCAN when /proc can
 *   not be read before the first signal; whatever `recheck` throws.
 */
export async function terminateListed(
  targets: readonly ProcessInfo[],
  options: ListedOptions,
  system: System = linux,
): Promise<ListedResult[]> {
  checkDelay(options.graceMs, 'graceMs');
  checkDelay(options.killWaitMs, 'killWaitMs');
  const ourselves = individually();
  for (const { pid } of targets) refuse(pid, 'targets', () => ourselves);
  const release = system.keepAlive();
  try {
    const results: ListedResult[] = [];
    let signalled = false;
    while (results.length < targets.length) {
      const round = await new ListedRound(targets.slice(results.length), options, system).run(signalled);
      signalled ||= round.some(({ signal }) => signal !== null);
      results.push(...round);
    }
    return results;
  } finally {
    release();
  }
}

interface Listed extends ListedResult {
  held?: Held;
  stopped: boolean;
  ended: boolean;
  /** The outcome is final. */
  done: boolean;
}

class ListedRound {
  readonly #all: Listed[];
  /** How many of them this round is about. */
  #taken = 0;
  #onEnd = () => {};

  constructor(
    targets: readonly ProcessInfo[],
    private readonly options: ListedOptions,
    private readonly system: System,
  ) {
    this.#all = targets.map((process) => ({ process, outcome: 'survived', signal: null, stopped: false, ended: false, done: false }));
  }

  /**
   * Results of the first so many that could be held together; at least one.
   * @param signalled somebody was, in an earlier round: a failing look is then an outcome, so that what was done is not lost.
   */
  async run(signalled: boolean): Promise<ListedResult[]> {
    try {
      this.#taken = await this.#holdAll();
      const asked = await this.#signalLeft(SIGTERM, signalled);
      if (asked) await this.#untilEnded(this.options.graceMs);
      if (asked && (await this.#signalLeft(SIGKILL, true))) await this.#untilEnded(this.options.killWaitMs);
      return this.#all.slice(0, this.#taken).map(({ process, outcome, signal }) => ({ process, outcome, signal }));
    } finally {
      for (const { held } of this.#all) held?.close();
    }
  }

  /** Takes hold of as many as descriptors allow; returns how many this round is about. Without a single one the first is left alone. */
  async #holdAll(): Promise<number> {
    for (let retry = 0; retry <= SHORTAGE_RETRIES; retry++) {
      for (const [index, target] of this.#all.entries()) {
        const held = this.system.hold(target.process, () => {
          target.ended = true;
          this.#onEnd();
        });
        if (typeof held !== 'number') target.held = held;
        else if (!isShortage(held)) this.#refuse(target, held);
        else if (index === 0) break;
        else return this.#makeRoom(index);
        if (index === this.#all.length - 1) return this.#all.length;
      }
      await delay(UNHELD_TURN_MS);
    }
    return 1;
  }

  #makeRoom(count: number): number {
    const kept = Math.max(1, count - roomFrom(count));
    for (const target of this.#all.slice(kept)) {
      target.held?.close();
      delete target.held;
    }
    return kept;
  }

  #left(): Listed[] {
    for (const target of this.#all) {
      if (target.ended && !target.done) this.#finish(target, target.signal === null ? 'already-gone' : 'terminated');
    }
    return this.#all.filter(({ held, done }) => held !== undefined && !done);
  }

  /** Those left as they are now. Unknown means no signal: undefined, where the caller can go on with that. */
  async #lookAgain(optional: boolean): Promise<ProcessTable | undefined> {
    for (let retry = 0; ; retry++) {
      const left = this.#left();
      try {
        return await this.system.scan({ pids: left.map(({ process }) => process.pid), fields: fieldsOf(left) });
      } catch (error) {
        const shortage = error instanceof ProcessError && (error.code === 'EMFILE' || error.code === 'ENFILE');
        // All could be held, and then nothing was left to look with: some wait for the next round.
        const isFirstLook = this.#all.every(({ signal }) => signal === null);
        if (shortage && isFirstLook && retry % 20 === 0) this.#taken = this.#makeRoom(this.#taken);
        if (shortage && retry < SHORTAGE_RETRIES) await delay(UNHELD_TURN_MS);
        else if (optional) return undefined;
        else throw error;
      }
    }
  }

  async #recheck(table: ProcessTable): Promise<void> {
    const { recheck = () => true } = this.options;
    await Promise.all(
      this.#left().map(async (target) => {
        const fresh = table.find(target.process);
        // Held since before the look, so a row that is missing, another's or a zombie's means that it has ended.
        if (fresh === undefined || !table.isLive(fresh.pid)) target.ended = true;
        else if (await recheck(fresh)) target.stopped = fresh.state === 'T' || fresh.state === 't';
        else this.#finish(target, 'changed');
      }),
    );
  }

  /** Looks, asks the caller, and signals those left. False: there was no look, and no signal. */
  async #signalLeft(signal: number, optional: boolean): Promise<boolean> {
    if (this.#left().length === 0) return true;
    const fresh = await this.#lookAgain(optional);
    if (fresh === undefined) return false;
    await this.#recheck(fresh);
    for (const target of this.#left()) {
      const result = target.held!.signal(signal);
      if (result < 0) {
        this.#refuse(target, result);
        continue;
      }
      target.signal = signalName(signal);
      if (signal !== SIGKILL && target.stopped) target.held!.signal(SIGCONT);
    }
    return true;
  }

  #refuse(target: Listed, errno: number): void {
    if (errno === -ESTALE) this.#finish(target, 'recycled');
    else if (errno === -ESRCH) this.#finish(target, target.signal === null ? 'already-gone' : 'terminated');
    else this.#finish(target, errno === -EPERM ? 'eperm' : 'survived');
  }

  #finish(target: Listed, outcome: ListedOutcome): void {
    target.outcome = outcome;
    target.done = true;
  }

  #untilEnded(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (this.#left().length > 0) return;
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(resolve, timeoutMs);
      this.#onEnd = check;
      check();
    });
  }
}

/** The fields that the listed rows show, and the state. */
function fieldsOf(targets: readonly Listed[]): ProcessField[] {
  const property = { cpu: 'cpuMs', memory: 'rssBytes' } as const;
  return PROCESS_FIELDS.filter((field) => {
    const name = field === 'cpu' || field === 'memory' ? property[field] : field;
    return field === 'state' || targets.some(({ process }) => process[name] !== undefined);
  });
}
