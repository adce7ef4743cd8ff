/**
 * The handle of a spawned command: hold → end → prove empty.
 *
 * Ladder and timeout run outside the event loop (in the keeper, or for containment `group` on the watch thread); here their events
 * become state, promises and reports. What a keeper can not do is done by a scan: the members of a session at level `group`, and
 * a tree whose keeper died.
 */
import { constants } from 'node:os';
import { basename } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { ProcessError } from '../errors.js';
import {
  closeIdSoon,
  END_ALONE,
  END_CGROUP,
  END_FORCED,
  END_LEFT,
  END_TIMED_OUT,
  kernel,
  type LeafReport,
  type Member,
  type NativeEvent,
  NEVER,
  native,
  type Receiver,
  receive,
  SCOPE_GROUP,
  SCOPE_PROCESS,
} from '../native.js';
import { endOf, signalName, signalNumberOrProbe } from '../signals.js';
import { hold, isAnybody } from '../tree/hold.js';
import { bootId, protectKeeper, releaseKeeper, self } from '../tree/identity.js';
import { carriesLimit, newMark } from '../tree/mark.js';
import { type Claim, claimOf, type IsLed, isInLeaf, selectMembers } from '../tree/members.js';
import { DEFAULT_FIELDS, scan } from '../tree/scan.js';
import { twice } from '../tree/select.js';
import { terminate } from '../tree/terminate.js';
import type {
  Child,
  Containment,
  ExitStatus,
  ProcessField,
  ProcessIdentity,
  ProcessInfo,
  Signal,
  Survivor,
  TerminationOptions,
  TerminationReport,
} from '../types.js';
import { treeIdOf } from './environment.js';
import { leafName, leafProblem } from './leaf.js';
import { planTermination, type SpawnPlan, type TerminalListener, type Termination } from './options.js';
import { Pipes } from './stdio.js';

type StartedEvent = Extract<NativeEvent, { type: 'started' }>;
type ExitedEvent = Extract<NativeEvent, { type: 'exited' }>;

const { SIGKILL } = constants.signals;
/** Enough for a ladder in JavaScript to do it first: it can tell whom it killed. */
const BACKSTOP_MS = 100;
/** Without SIGKILL: what lives so long after the kill signal has withstood. The keeper waits as long. */
const NOT_FORCED_MS = 2000;
const ESRCH = -constants.errno.ESRCH;
const ESTALE = -constants.errno.ESTALE;

/** A child may be held for long, and thousands of them: it has a field for what is always there, the rest is made when it is needed. */
export class SpawnedChild implements Child, Receiver {
  readonly pid: number;
  readonly containment: Containment;
  readonly labels: Readonly<Record<string, string>>;
  /** Level `cgroup`: what became of the tree's own cgroup. */
  readonly leaf: LeafReport | undefined;
  /** Called whenever a ladder has ended and somebody lives, also when nobody had called stop(). */
  onSurvivors: ((report: TerminationReport) => void) | undefined;

  readonly #id: number;
  readonly #startTicks: number;
  #identity: ProcessIdentity | undefined;
  readonly #keeperPid: number;
  /** In whole milliseconds: V8 keeps those in the field itself. */
  readonly #startedAt = Math.trunc(performance.now());
  readonly #file: string;
  readonly #onLeaderExit: SpawnPlan['onLeaderExit'];
  readonly #termination: Termination;
  /** The number of the tree: what its id and its mark are made of. */
  readonly #tree: number;
  readonly #isMarked: boolean;
  readonly #timeoutMs: number;
  readonly #terminal: { readonly sid: number; readonly listener: TerminalListener | undefined } | undefined;
  readonly #pipes: Pipes | undefined;
  /** Listens to the signal that ends it. */
  #cancel: (() => void) | undefined;
  #exited: Deferred<ExitStatus> | undefined;
  #empty: Deferred<TerminationReport> | undefined;

  #isRefed = true;
  #isReleased = false;
  /** A keeper holds the tree and says when it is empty. Otherwise that takes a scan. */
  #isKept: boolean;
  #course: Course | undefined;

  constructor(plan: SpawnPlan, event: StartedEvent) {
    const { request, termination } = plan;
    this.#id = event.id;
    this.pid = event.pid;
    this.#startTicks = Number(event.startTicks);
    this.#terminal = request.terminal ? { sid: self().sid, listener: plan.onTerminal } : undefined;
    this.leaf = event.leaf;
    this.containment = this.containmentReason === null ? plan.containment : 'tree';
    this.labels = plan.labels;
    this.#keeperPid = event.keeperPid;
    this.#isKept = plan.containment !== 'group';
    this.#file = request.file;
    this.#onLeaderExit = plan.onLeaderExit;
    this.#termination = termination;
    this.#timeoutMs = request.timeoutMs;
    this.#tree = plan.tree;
    this.#isMarked = request.mark !== undefined;
    this.#pipes = event.hasPipes ? new Pipes(event, plan) : undefined;
    if (this.#isKept) protectKeeper(event.keeperPid); // nothing can fail from here on
    if (termination.abort !== undefined) this.#obey(termination.abort);
  }

  // ---- what is known ----------------------------------------------------------------------------------------------------

  get identity(): ProcessIdentity {
    this.#identity ??= { pid: this.pid, startTicks: BigInt(this.#startTicks), bootId: bootId() };
    return this.#identity;
  }

  get pgid(): number {
    return this.pid;
  }

  get sid(): number {
    return this.#terminal?.sid ?? this.pid;
  }

  get containmentReason(): string | null {
    return this.leaf === undefined ? null : leafProblem(this.leaf);
  }

  get stdin(): Writable | null {
    return this.#pipes?.stdin ?? null;
  }

  get stdout(): Readable | null {
    return this.#pipes?.stdout ?? null;
  }

  get stderr(): Readable | null {
    return this.#pipes?.stderr ?? null;
  }

  get exitCode(): number | null {
    return this.#course?.exit?.exitCode ?? null;
  }

  get signalCode(): NodeJS.Signals | null {
    return this.#course?.exit?.signal ?? null;
  }

  /**
   * The leader has exited. Never rejects. When its keeper died before it could tell how, exit code and signal are both null: not known.
   */
  get exited(): Promise<ExitStatus> {
    this.#exited ??= new Deferred(this.#course?.exit);
    return this.#exited.promise;
  }

  /**
   * No live member is left and our ends of the pipes are closed; or SIGKILL did not help, and the report names the survivors. Never
   * rejects. With onLeaderExit 'leave': the leader has exited, and the report names those who were left.
   */
  get empty(): Promise<TerminationReport> {
    this.#empty ??= new Deferred(this.#course?.firstReport);
    return this.#empty.promise;
  }

  /** The timeout of the run has come, for the leader or for those who outlived it. */
  get timedOut(): boolean {
    return this.#course?.timedOut === true;
  }

  /** The keeper was killed; what was left of the tree was ended by session, group, descent and mark. */
  get keeperLost(): boolean {
    return this.#course?.keeperLost === true;
  }

  get #hasExited(): boolean {
    return this.#course?.exit !== undefined;
  }

  /** Somebody has begun to end it. */
  get #ending(): Ending | undefined {
    return this.#course?.ending;
  }

  /** Nobody is left. */
  get #lastReport(): TerminationReport | undefined {
    return this.#course?.lastReport;
  }

  /** To write down what happens. */
  get #record(): Course {
    this.#course ??= new Course();
    return this.#course;
  }

  #obey(abort: AbortSignal): void {
    this.#cancel = () => {
      this.#record.isCanceled = !this.#hasExited;
      this.#end({ ...this.#termination, abort: undefined }); // nobody waits for it: `empty` tells the end
    };
    abort.addEventListener('abort', this.#cancel, { once: true });
    if (abort.aborted) this.#cancel();
  }

  // ---- what the caller can do -------------------------------------------------------------------------------------------

  /**
   * Signals the leader, and nobody else; 0 only asks. False when it is gone.
   * @throws ProcessError type SIGNAL_FAILED with the kernel's code (EPERM: it changed its uid), ERR_INVALID_ARGUMENT for an unknown signal
   */
  kill(signal: Signal = 'SIGTERM'): boolean {
    return this.#signal(signal, SCOPE_PROCESS);
  }

  /** Signals the leader's process group, also when the leader is gone (Linux 6.9; before that until the leader is reaped). */
  killGroup(signal: Signal = 'SIGTERM'): boolean {
    return this.#signal(signal, SCOPE_GROUP);
  }

  #signal(signal: Signal, scope: number): boolean {
    const number = signalNumberOrProbe(signal, 'signal');
    if (this.#isReleased || (scope === SCOPE_PROCESS && this.#hasExited)) return false;
    // By number, before Linux 6.9: nobody keeps that from being used again when the keeper is gone.
    if (scope === SCOPE_GROUP && this.keeperLost && !kernel().pidfdGroupSignal) return false;
    const result = native().signal(this.#id, number, scope);
    if (result === 0) return true;
    if (result === ESRCH) return false;
    throw new ProcessError('ERR_SIGNAL', `signal ${number} to ${this.pid} was refused`, {
      pid: this.pid,
      errno: result,
      syscall: 'pidfd_send_signal',
    });
  }

  /**
   * Ends everything: killSignal and SIGCONT to every member, SIGKILL to those left after forceKillAfterDelay; what is not given is as it
   * was given to spawn(). A second call joins the first and can only make it shorter. Aborting `signal` means no more patience:
   * SIGKILL now (or, with forceKillAfterDelay false, say now who is left).
   * @throws (rejects) ProcessError ERR_SURVIVORS with `report` when anything is left
   */
  async stop(options?: TerminationOptions): Promise<TerminationReport> {
    return allGone(await this.#end(planTermination('stop', options, this.#termination)), this.pid);
  }

  /** SIGKILL to every member, now. Rejects as stop(). */
  async killAll(): Promise<TerminationReport> {
    return allGone(await this.#end({ killSignal: SIGKILL, graceMs: 0, abort: undefined }), this.pid);
  }

  /** Who is left, zombies not counted. */
  async members(): Promise<ProcessInfo[]> {
    if (this.#lastReport !== undefined) return [];
    if (!this.#isKept) return this.#membersByClaim();
    // Everybody's chain of parents ends at the keeper: it adopts those whose parent died.
    const leaf = this.#leafName;
    const table = await scan(leaf === undefined ? {} : { fields: [...DEFAULT_FIELDS, 'cgroup'] });
    const members = new Set(table.descendants(this.#keeperPid));
    if (leaf !== undefined) for (const row of table) if (isInLeaf(row, leaf)) members.add(row);
    return [...members].filter((row) => table.isLive(row.pid));
  }

  get #leafName(): string | undefined {
    return this.containment === 'cgroup' ? leafName(treeIdOf(this.#tree)) : undefined;
  }

  async #membersByClaim(): Promise<ProcessInfo[]> {
    return this.#looks(DEFAULT_FIELDS)();
  }

  /**
   * A look at the members without a keeper's help, to be taken again and again: at level `group` the session, else (the keeper is gone)
   * also descendants, other groups and sessions led by members, whoever carries one of the marks (a daemon with a cleared environment has
   * one left: its limit) or is in the cgroup.
   */
  #looks(fields: readonly ProcessField[] = ['name', 'state']): (isLed?: IsLed) => Promise<ProcessInfo[]> {
    const leaf = this.#leafName;
    const { startTicks } = this.identity;
    const limit = this.#isMarked ? newMark(this.#tree) : undefined;
    let claim: Claim | undefined;
    const facts: ProcessField[] = leaf === undefined ? ['env'] : ['env', 'cgroup'];
    const options = this.containment === 'group' ? { fields, sid: this.sid } : { fields: [...fields, ...facts] };
    // What tells the members of a session from others is the session alone, and no environment is read.
    const marks = this.containment === 'group' ? {} : { mark: treeIdOf(this.#tree), limit, ...(leaf === undefined ? {} : { leaf }) };
    return async (isLed) => {
      const table = await scan(options);
      // Not held: it was reaped, and the news says when, though it may still be on its way.
      const heldAt = this.#holdsNumber() ? table.nowTicks : await this.#record.leaderGone;
      claim ??= claimOf(this.identity, { leader: true, heldAt, ...marks });
      const seen = selectMembers(table, claim, self(), {
        isLed: (leader) => (leader.pid === this.pid && this.#holdsNumber()) || isLed?.(leader) === true,
        carriesLimit: limit === undefined ? undefined : carriesLimit(limit, table, startTicks),
      });
      claim = seen.claim;
      return seen.members;
    };
  }

  /** The leader is not reaped, or somebody is left in its group: nobody else has its number, as process, group or session. */
  #holdsNumber(): boolean {
    return !this.#isReleased && [SCOPE_PROCESS, SCOPE_GROUP].some((scope) => isAnybody(native().signal(this.#id, 0, scope)));
  }

  /** Whether waiting for this child (and its output) keeps the program alive. It does by default, until `empty`. */
  ref(): this {
    if (!this.#isRefed && this.#course?.firstReport === undefined) {
      this.#isRefed = true;
      native().ref();
      this.#pipes?.ref();
    }
    return this;
  }

  unref(): this {
    if (this.#isRefed) {
      this.#isRefed = false;
      native().unref();
      this.#pipes?.unref();
    }
    return this;
  }

  /** `await using`: stop(). */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  // ---- what happens -----------------------------------------------------------------------------------------------------

  [receive](event: NativeEvent): void {
    switch (event.type) {
      case 'exited':
        this.#leaderExited(event);
        break;
      case 'terminated':
        this.#record.terminated = [...(this.#record.terminated ?? []), ...event.members];
        break;
      case 'survivors':
        if (event.members.length > 0) this.#record.survivors = [...(this.#record.survivors ?? []), ...event.members];
        else this.#keeperFailed();
        break;
      case 'empty':
        if (event.flags & END_TIMED_OUT) this.#record.timedOut = true;
        this.#keeperIsGone();
        // Who was left is found with the help of the leader's pidfd, which is kept until then.
        if (event.flags & END_LEFT) this.#leaveOrEnd();
        else this.#finish(this.#keeperReport([], event.flags, event.durationUs / 1000));
        break;
      case 'stopped':
        this.#terminal?.listener?.stopped(event.signal);
        break;
      case 'hungUp':
        this.#terminal?.listener?.hungUp();
        break;
      case 'lost':
        this.#record.keeperLost = true;
        this.#record.leaderIsGone(event.atTicks);
        this.#keeperIsGone();
        if (this.#onLeaderExit === 'leave') this.#leaveOrEnd();
        else this.#endByScan(this.#ending?.termination ?? this.#termination);
        break;
    }
  }

  /** Policy `leave`, and no keeper any more: those who are left stay, unless stop() came before and is still to be kept. */
  #leaveOrEnd(): void {
    if (this.#ending === undefined) void this.#reportLeft();
    else this.#endByScan(this.#ending.termination);
  }

  #keeperFailed(): void {
    const survivors = (this.#record.survivors ?? []).map((member) => survivor(member, this.identity.bootId));
    this.#record.survivors = undefined;
    this.#ladderOver(this.#keeperReport(survivors, survivors.every(isNotForced) ? 0 : END_FORCED));
  }

  #leaderExited(event: ExitedEvent): void {
    const course = this.#record;
    const { exitCode, signal } = endOf(event.status);
    if (event.flags & END_TIMED_OUT) course.timedOut = true;
    const isForced = (event.flags & END_FORCED) !== 0 || (!this.#isKept && course.ending?.isForcing === true);
    course.leaderIsGone(event.atTicks);
    this.#setExit({
      exitCode,
      signal,
      timedOut: course.timedOut,
      isCanceled: course.isCanceled,
      isForcefullyTerminated: isForced && signal === 'SIGKILL',
      durationMs: event.elapsedUs / 1000,
      resourceUsage: { userCpuMs: event.userUs / 1000, systemCpuMs: event.systemUs / 1000, maxRssBytes: event.maxRssBytes },
    });
    course.isForced = isForced;
    course.endedAtTimeout = course.timedOut;
    course.afterExit?.();
    if (this.#isKept || course.ending !== undefined || course.lastReport !== undefined) return;
    if (event.flags & END_ALONE) this.#finish(this.#withLeader(this.#scanReport()));
    else if (this.#onLeaderExit === 'stop' || course.timedOut) this.#endByScan(this.#termination);
    else if (this.#onLeaderExit === 'leave') void this.#reportLeft();
    else void this.#waitForRest();
  }

  #setExit(status: ExitStatus): void {
    this.#record.exit = status;
    this.#exited?.resolve(status);
  }

  /** The leader's pidfd stays until the last word: it tells the leader's group from another of the same number. */
  #keeperIsGone(): void {
    this.#isKept = false;
    releaseKeeper(this.#keeperPid);
  }

  // ---- ending -----------------------------------------------------------------------------------------------------------

  /** Begins the ladder, or joins the one that runs. */
  #end(termination: Termination): Promise<TerminationReport> {
    if (this.#lastReport !== undefined) return Promise.resolve(this.#lastReport);
    const { killSignal, abort } = termination;
    const graceMs = killSignal === SIGKILL ? 0 : termination.graceMs;
    if (!this.#isKept) {
      if (this.#ending === undefined) this.#endByScan(termination);
      else if (graceMs !== NEVER) this.#hurry(this.#ending, graceMs);
    } else if (killSignal === SIGKILL) native().kill(this.#id);
    else native().stop(this.#id, killSignal, graceMs);

    const ending = this.#ending ?? this.#newEnding(termination);
    if (abort !== undefined) {
      const hurry = () => {
        if (!this.#isKept) this.#hurry(ending, 0);
        else if (graceMs !== NEVER) native().stop(this.#id, killSignal, 0);
      };
      abort.addEventListener('abort', hurry, { once: true });
      void ending.over.then(() => abort.removeEventListener('abort', hurry));
      if (abort.aborted) hurry();
    }
    return ending.over;
  }

  #newEnding(termination: Termination): Ending {
    const ending = new Ending(termination);
    this.#record.ending = ending;
    return ending;
  }

  #settleEnding(report: TerminationReport): void {
    const course = this.#record;
    course.ending?.settle(report);
    course.ending = undefined;
  }

  #endByScan(termination: Termination): void {
    const { killSignal, graceMs } = termination;
    const ending = this.#ending ?? this.#newEnding(termination);
    const neverForced = graceMs === NEVER;
    if (!neverForced) this.#hurry(ending, killSignal === SIGKILL ? 0 : graceMs);
    const patience = neverForced ? { forceKillAfterDelay: false as const, killWaitMs: NOT_FORCED_MS } : { forceKillAfterDelay: graceMs };
    terminate(twice(this.#looks()), { killSignal, ...patience, signal: ending.hurry }).then(
      (report) => (report.survivors.length === 0 ? this.#allGone(report) : this.#ladderOver(report)),
      (error: ProcessError) => this.#ladderOver(this.#notKnown(error.report)),
    );
  }

  /**
   * SIGKILL after so long; a little later without the event loop, if it should be blocked then. No other signal comes from there: it would
   * be sent while the ladder here sends its own, and whom that has stopped would run on.
   */
  #hurry(ending: Ending, graceMs: number): void {
    // Of one that was given back it would be a ladder without its listener: that asks on its own, at once and with the signal of the spawn.
    if (ending.forceAt(graceMs) && !this.#isReleased) native().stop(this.#id, 0, graceMs + BACKSTOP_MS);
  }

  /** The scan has found nobody alive. How the leader ended comes from who reaps it, and that may be a moment later. */
  #allGone(report: TerminationReport): void {
    if (this.#hasExited || this.keeperLost) this.#finish(this.#withLeader(report));
    else this.#record.afterExit = () => this.#finish(this.#withLeader(report));
  }

  /** Adds what the watch thread has done to the leader at its timeout, and what only it can tell. */
  #withLeader(report: TerminationReport): TerminationReport {
    if (this.containment !== 'group') return report;
    const { identity } = this;
    const others = report.terminated.filter(({ pid }) => pid !== this.pid);
    const listed = report.terminated.find(({ pid }) => pid === this.pid);
    const { endedAtTimeout, isForced } = this.#record;
    if (listed === undefined && !endedAtTimeout) return report;
    // As the kernel shows it when the leader ran what it was asked to: 15 bytes of the file's name.
    const name = listed?.name ?? basename(this.#file).slice(0, 15);
    const terminated = [{ ...identity, name, signal: this.signalCode }, ...others];
    return { ...report, terminated, escalated: report.escalated || isForced };
  }

  /** Somebody withstood. Who may not be forced goes on; who can not be is reported, and not waited for. */
  #ladderOver(report: TerminationReport): void {
    this.#settleEnding(report);
    if (!report.survivors.every(isNotForced)) {
      this.#letGo(report);
      if (this.keeperLost) this.#exitIsUnknown();
      if (!this.#isKept && this.#hasExited) this.#release();
    } else if (!this.#isKept && (this.#hasExited || this.keeperLost)) {
      void this.#waitForRest(); // they may still end by themselves, and nobody else would notice
    }
    this.onSurvivors?.(report);
  }

  /** Proven: nobody is left. */
  #finish(report: TerminationReport): void {
    this.#record.lastReport = report;
    // What the keeper could not remove, because it was killed, or did not, by policy `leave`.
    if (this.#leafName !== undefined && report.proof !== 'cgroup') native().removeLeaf(this.leaf?.directory ?? '', this.#leafName);
    if (this.keeperLost) this.#exitIsUnknown();
    this.#letGo(report);
    this.#release(true);
    this.#settleEnding(report);
  }

  #letGo(report: TerminationReport): void {
    const course = this.#record;
    if (course.firstReport !== undefined) return;
    course.firstReport = report;
    if (this.#cancel !== undefined) this.#termination.abort?.removeEventListener('abort', this.#cancel);
    this.#pipes?.close();
    this.unref();
    this.#empty?.resolve(report);
  }

  #release(isEmpty = false): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    closeIdSoon(this.#id, isEmpty);
  }

  /** After the loss of the keeper nobody can tell any more how the leader ended. */
  #exitIsUnknown(): void {
    if (this.#hasExited) return;
    this.#setExit({
      exitCode: null,
      signal: null,
      timedOut: this.timedOut,
      isCanceled: this.#record.isCanceled,
      isForcefullyTerminated: false,
      durationMs: performance.now() - this.#startedAt,
      resourceUsage: { userCpuMs: 0, systemCpuMs: 0, maxRssBytes: 0 },
    });
  }

  /** Policy `leave`: those who stay are named. */
  async #reportLeft(): Promise<void> {
    const left = await this.#membersByClaim().catch(() => [{ ...this.identity, name: '' }]);
    if (this.#ending !== undefined || this.#lastReport !== undefined) return; // stop() came in between, and reports itself
    const survivors = left.map(({ pid, startTicks, bootId, name = '' }) => ({
      pid,
      startTicks,
      bootId,
      name,
      reason: 'not-forced' as const,
    }));
    if (this.keeperLost) this.#exitIsUnknown();
    this.#letGo(this.#scanReport(survivors));
    this.#release();
  }

  /** Policy `wait` without a keeper: every member is watched by pidfd, and when all are gone one more look is taken. */
  async #waitForRest(): Promise<void> {
    const timeout =
      this.#timeoutMs === 0 ? undefined : setTimeout(() => this.#timeOut(), this.#startedAt + this.#timeoutMs - performance.now());
    const look = this.#looks();
    let report: TerminationReport | undefined;
    try {
      for (let quietLooks = 0; quietLooks < 2; quietLooks++) {
        const members = await look();
        if (members.length === 0) continue;
        quietLooks = -1;
        await Promise.all(members.map(untilGone));
      }
    } catch {
      report = this.#notKnown();
    }
    clearTimeout(timeout);
    if (this.#lastReport !== undefined || this.#ending !== undefined) return; // stop() came in between, and reports itself
    if (report === undefined) this.#finish(this.#scanReport());
    else this.#ladderOver(report);
  }

  #timeOut(): void {
    this.#record.timedOut = true;
    if (this.#ending === undefined && this.#lastReport === undefined) this.#endByScan(this.#termination);
  }

  // ---- reports ----------------------------------------------------------------------------------------------------------

  #keeperReport(survivors: Survivor[], flags: number, durationMs = this.#ending?.elapsedMs ?? 0): TerminationReport {
    const { bootId } = this.identity;
    return {
      terminated: (this.#record.terminated ?? []).map(({ pid, startTicks, name, detail }) => ({
        pid,
        startTicks,
        bootId,
        name,
        signal: signalName(detail),
      })),
      survivors,
      escalated: (flags & END_FORCED) !== 0,
      durationMs,
      // The keeper's list of survivors is a scan as well; only `empty` rests on ECHILD, and on the cgroup that has nobody left.
      proof: survivors.length > 0 ? 'scan' : flags & END_CGROUP ? 'cgroup' : 'echild',
    };
  }

  /** /proc could not be read: whether anybody is left is not known, and that is what the report says. */
  #notKnown(report = this.#scanReport()): TerminationReport {
    return { ...report, survivors: [...report.survivors, { ...this.identity, name: '', reason: 'unknown' }] };
  }

  #scanReport(survivors: Survivor[] = []): TerminationReport {
    return { terminated: [], survivors, escalated: false, durationMs: this.#ending?.elapsedMs ?? 0, proof: 'scan' };
  }
}

/** What has happened to a child. Made with the first news. */
class Course {
  exit: ExitStatus | undefined;
  timedOut = false;
  endedAtTimeout = false;
  keeperLost = false;
  isCanceled = false;
  isForced = false;
  /** The run of the ladder that goes on. */
  ending: Ending | undefined;
  afterExit: (() => void) | undefined;
  terminated: Member[] | undefined;
  survivors: Member[] | undefined;
  /** What `empty` has resolved with. */
  firstReport: TerminationReport | undefined;
  /** Nobody is left. */
  lastReport: TerminationReport | undefined;
  #goneAt: bigint | undefined;
  #leaderGone: Deferred<bigint> | undefined;

  /** When the leader's number was last its own, on the clock of start times; 0n: nobody can say. */
  get leaderGone(): Promise<bigint> {
    this.#leaderGone ??= new Deferred(this.#goneAt);
    return this.#leaderGone.promise;
  }

  leaderIsGone(atTicks: bigint): void {
    this.#goneAt ??= atTicks;
    this.#leaderGone?.resolve(atTicks);
  }
}

/** One run of the ladder, whoever asked for it. */
class Ending {
  /** For a ladder that runs in JavaScript: aborted when it has to be over. Made on demand, it costs as much as the rest of stop(). */
  #hurry: AbortController | undefined;
  readonly #since = performance.now();
  #forceAtMs = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  readonly #report = new Deferred<TerminationReport>();

  /** @param termination as whoever began it wanted it */
  constructor(readonly termination: Termination) {}

  get over(): Promise<TerminationReport> {
    return this.#report.promise;
  }

  get hurry(): AbortSignal {
    return this.#controller.signal;
  }

  get #controller(): AbortController {
    this.#hurry ??= new AbortController();
    return this.#hurry;
  }

  get elapsedMs(): number {
    return performance.now() - this.#since;
  }

  get isForcing(): boolean {
    return performance.now() >= this.#forceAtMs;
  }

  /** True when that is earlier than before. */
  forceAt(graceMs: number): boolean {
    const forceAtMs = performance.now() + graceMs;
    if (forceAtMs >= this.#forceAtMs) return false;
    this.#forceAtMs = forceAtMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), graceMs);
    return true;
  }

  settle(report: TerminationReport): void {
    clearTimeout(this.#timer);
    this.#report.resolve(report);
  }
}

/** A promise that somebody else resolves. */
class Deferred<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;

  /** @param value what it is resolved with already */
  constructor(value?: T) {
    this.promise = new Promise((resolve) => {
      this.resolve = resolve;
    });
    if (value !== undefined) this.resolve(value);
  }
}

const SURVIVOR_REASONS = ['unknown', 'eperm', 'uninterruptible', 'not-forced'] as const;

function survivor({ pid, startTicks, name, detail }: Member, bootId: string): Survivor {
  return { pid, startTicks, bootId, name, reason: SURVIVOR_REASONS[detail] ?? 'unknown' };
}

function isNotForced({ reason }: Survivor): boolean {
  return reason === 'not-forced';
}

function allGone(report: TerminationReport, pid: number): TerminationReport {
  if (report.survivors.length === 0) return report;
  const names = report.survivors.map((one) => `${one.pid} ${one.name} (${one.reason})`).join(', ');
  throw new ProcessError('ERR_SURVIVORS', `not everything could be ended: ${names}`, { pid, report });
}

function untilGone(member: ProcessIdentity): Promise<void> {
  return new Promise((resolve, reject) => {
    const held = hold(member, () => {
      if (typeof held !== 'number') held.close();
      resolve();
    });
    if (held === ESRCH || held === ESTALE) resolve();
    else if (typeof held === 'number') reject(new ProcessError('ERR_SCAN', `process ${member.pid} can not be watched`, { errno: held }));
  });
}
