/**
 * The clean-up, from beginning to end:
 *
 *     look (scene.ts) → classify (classify.ts) → terminate (tree/terminate.ts) → record (history/log.ts)
 *
 * One sweep per user at a time; a second one that finds another at work does nothing. Only what was condemned is signalled, each
 * process through its pidfd and after its verdict was reached once more on a fresh look; never a group. What a tree of corral has left
 * is ended as a tree, when the limit of a run has room for all of it.
 */
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { invalidArgument, type ProcessError } from '../errors.js';
import { type Lock, tryLock } from '../history/lock.js';
import { appendRun, localTimestamp } from '../history/log.js';
import { stateDirectory } from '../history/paths.js';
import { requirePidfd } from '../native.js';
import { identityOf } from '../tree/identity.js';
import { namespaceOf, readMark } from '../tree/mark.js';
import { checkDelay, checkOptions } from '../tree/options.js';
import { keyOf, type ProcessRow } from '../tree/row.js';
import { twice } from '../tree/select.js';
import { type ListedResult, terminate, terminateListed } from '../tree/terminate.js';
import type { OrphanPolicy, ProcessInfo, SweepReport, Verdict } from '../types.js';
import { classify, judgeAgain } from './classify.js';
import { type CleanupConfig, loadConfig } from './config.js';
import { describeProcess, isInKernel, isZombie } from './evidence.js';
import { runStats } from './record.js';
import { isTreeMember, Remains, type RemainsOptions } from './remains.js';
import { type LiveScene, look, type QuickLook, type Scene } from './scene.js';

export interface SweepOptions {
  /** Judge and report; end nothing, record nothing. */
  dryRun?: boolean;
  /** Parts of a policy that replace the configured ones; protections are added to them. */
  policy?: Partial<OrphanPolicy>;
  /** At most so many are ended; the rest is left to the next run. */
  maxKills?: number;
  /** Milliseconds from the call in which the report has to be there; grace periods are shortened to fit. Default: no limit. */
  deadline?: number;
  /** Default: what the configuration files say for the current directory. */
  config?: CleanupConfig;
  /** Only what this session of an agent started (CLAUDE_CODE_SESSION_ID). */
  session?: string;
  /** The host's event that caused the run, for the log. */
  event?: string;
  env?: NodeJS.ProcessEnv;
}

/** Kept back from the deadline for SIGKILL and its wait, the log and the answer. */
const AFTER_GRACE_MS = 1200;
const AFTER_KILL_MS = 200;
/** With less time than this left nothing is begun. */
const LEAST_TIME_MS = 300;
/** How long a zombie may take to go once its parent is dead: init has to be scheduled. */
const REAPING_MS = 500;
const REAPING_POLL_MS = 5;

/**
 * Finds what was left behind and ends it.
 * @returns what was judged, ended, failed and left to the next run; `skipped: 'locked'` when another sweep is under way.
 * @throws ProcessError ERR_INVALID_ARGUMENT naming the option; ERR_SCAN when /proc can not be read; ERR_UNSUPPORTED_PLATFORM where there are
 *   no pidfds (Linux before 5.3, seccomp), except for a dry run.
 */
export async function sweep(options: SweepOptions = {}): Promise<SweepReport> {
  const startedMs = performance.now();
  const { config, policy, dryRun, env, deadlineMs } = settle(options, startedMs);
  const run = new Run(config, policy, dryRun, startedMs, deadlineMs);
  // A quick look finds newcomers of trees that are the session's; it can not see that they are.
  const lookAround = (quick?: QuickLook) =>
    look(policy, { env, session: quick ? undefined : options.session, quick, untilMs: deadlineMs - 2 * LEAST_TIME_MS });
  if (dryRun) return run.judgeOnly(await lookAround());
  requirePidfd();

  // Threads of the addon look, and meanwhile this one sees to the lock. What another sweep ends meanwhile is seen to be gone later.
  const looking = lookAround();
  const lock = run.lock(env);
  if (lock === 'locked') {
    looking.catch(() => undefined); // nothing of it matters any more, nor is it waited for
    return run.report({ skipped: 'locked' });
  }
  try {
    await run.cleanUp(await looking, lookAround);
    return await run.record(env, options.event);
  } finally {
    lock?.release();
  }
}

function settle(options: SweepOptions, startedMs: number) {
  checkOptions('sweep', options, ['dryRun', 'policy', 'maxKills', 'deadline', 'config', 'session', 'event', 'env']);
  const { maxKills, deadline, env = process.env } = options;
  if (maxKills !== undefined && !(Number.isInteger(maxKills) && maxKills >= 0))
    throw invalidArgument('maxKills', 'an integer from 0', maxKills);
  // A hook hands over what is left of its time, fractions included, and it may be less than nothing.
  if (deadline !== undefined) {
    if (typeof deadline !== 'number') throw invalidArgument('deadline', 'a number of milliseconds', deadline);
    checkDelay(Math.max(0, Math.floor(deadline)), 'deadline');
  }
  // What is given as undefined is not given: it must not take the place of a stricter value.
  const given = Object.fromEntries(Object.entries(options.policy ?? {}).filter(([, value]) => value !== undefined));
  const configured = options.config ?? loadConfig({ env, flags: { mode: options.policy?.mode } });
  const config = maxKills === undefined ? configured : { ...configured, maxKills };
  return {
    config,
    policy: { ...config.policy, ...given, protect: [...config.policy.protect, ...(options.policy?.protect ?? [])] },
    dryRun: options.dryRun ?? config.dryRun,
    env,
    deadlineMs: deadline === undefined ? Number.POSITIVE_INFINITY : startedMs + deadline,
  };
}

class Run {
  private verdicts: Verdict[] = [];
  private readonly cleaned: SweepReport['cleaned'] = [];
  private readonly failures: SweepReport['failures'] = [];
  private readonly warnings: string[];
  private deferred = 0;

  constructor(
    private readonly config: CleanupConfig,
    private readonly policy: OrphanPolicy,
    private readonly dryRun: boolean,
    private readonly startedMs: number,
    private readonly deadlineMs: number,
  ) {
    this.warnings = [...config.warnings];
  }

  /** 'locked': another sweep of this user is under way. undefined: no lock can be made here, so none is needed either. */
  lock(env: NodeJS.ProcessEnv): Lock | 'locked' | undefined {
    const directory = stateDirectory(env);
    try {
      if (!existsSync(directory)) mkdirSync(directory, { recursive: true, mode: 0o700 });
      return tryLock(path.join(directory, 'sweep.lock')) ?? 'locked';
    } catch (error) {
      this.warnings.push(`${directory}: no lock could be made: ${(error as Error).message}; another sweep at the same time is not noticed`);
      return undefined;
    }
  }

  judgeOnly(scene: Scene): SweepReport {
    this.judge(scene);
    return this.report();
  }

  async cleanUp(scene: LiveScene, lookAgain: LookAgain): Promise<void> {
    this.judge(scene);
    if (!scene.isSteady && !this.verdicts.some(isTreeMember))
      this.warnings.push('some processes were gone before it could be seen whose they are');
    if (this.config.reportOnly) return;
    const condemned = this.verdicts.filter(({ action }) => action === 'terminate');
    // The oldest first: what has been lost longest is missed least.
    condemned.sort((left, right) => (right.process.ageSeconds ?? 0) - (left.process.ageSeconds ?? 0));
    const now = condemned.slice(0, this.config.maxKills);
    const later = this.remainingMs() < LEAST_TIME_MS ? now.splice(0) : [];
    if (later.length > 0) this.warnings.push('no time was left to end anything');
    this.deferred = condemned.length - now.length;
    if (now.length > 0) {
      const trees = this.deferred === 0 ? now.filter(isTreeMember) : [];
      const listed = trees.length === 0 ? now : now.filter((verdict) => !isTreeMember(verdict));
      const outcomes = await Promise.allSettled([
        ...(listed.length === 0 ? [] : [this.end(scene, listed)]),
        ...(trees.length === 0 ? [] : [this.endTrees(trees, lookAgain, this.config.maxKills - listed.length)]),
      ]);
      const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
      if (failed.length === outcomes.length) throw failed[0]?.reason;
      // The other half has been done, and is to be recorded.
      for (const outcome of failed) this.fail(outcome === outcomes[0] ? listed : trees, outcome.reason);
    }
    await this.awaitReaping();
  }

  async record(env: NodeJS.ProcessEnv, event: string | undefined): Promise<SweepReport> {
    const { path: logPath, warnings } = await appendRun(
      { timestamp: localTimestamp(new Date()), ...(event === undefined ? {} : { event }), stats: runStats(this.report()) },
      {
        projectRoot: this.config.projectRoot,
        env,
        configuredPath: this.config.log.path,
        keep: this.config.log.keep,
        ...(this.deadlineMs === Number.POSITIVE_INFINITY ? {} : { timeoutMs: Math.max(0, this.remainingMs() - AFTER_KILL_MS / 2) }),
      },
    );
    this.warnings.push(...warnings);
    return this.report(logPath === undefined ? {} : { logPath });
  }

  report(more: Pick<SweepReport, 'skipped' | 'logPath'> = {}): SweepReport {
    const count = (type: string) => this.cleaned.filter((process) => process.type === type).length;
    return {
      success: this.failures.length === 0,
      ripgrepCleaned: count('ripgrep'),
      bashCleaned: count('bash'),
      totalCleaned: this.cleaned.length,
      failed: this.failures.length,
      deferred: this.deferred,
      verdicts: this.verdicts,
      durationMs: performance.now() - this.startedMs,
      cleaned: this.cleaned,
      failures: this.failures,
      dryRun: this.dryRun,
      reportOnly: this.config.reportOnly,
      warnings: this.warnings,
      ...more,
    };
  }

  private judge({ table, facts }: Scene): void {
    this.verdicts = classify(table, this.policy, facts).map(sparedIfElsewhere);
  }

  private delays(): { graceMs: number; killWaitMs: number } {
    const graceMs = Math.floor(Math.min(this.config.termGraceMs, this.shareOfTime(AFTER_GRACE_MS)));
    const killWaitMs = Math.floor(Math.min(this.config.killWaitMs, Math.max(0, this.remainingMs() - graceMs - AFTER_KILL_MS)));
    return { graceMs, killWaitMs };
  }

  /**
   * What is left of whole trees: stopped first, so that nobody gets away by forking, until nobody new appears. At most `limit` processes
   * in all.
   */
  private async endTrees(condemned: readonly Verdict[], lookAgain: LookAgain, limit: number): Promise<void> {
    const { graceMs, killWaitMs } = this.delays();
    const { verdicts, policy } = this;
    const endMs = this.deadlineMs - AFTER_KILL_MS;
    const untilMs = Math.min(performance.now() + graceMs + killWaitMs, endMs);
    const remains = new Remains({ verdicts, condemned, policy, limit, untilMs, lookAgain });
    const delays = { forceKillAfterDelay: graceMs, killWaitMs, endMs };
    let isKnown = true;
    const report = await terminate(twice(remains.select), delays).catch((error: ProcessError) => {
      if (error.report === undefined && error.code !== 'ERR_SCAN') throw error;
      isKnown = false;
      this.fail(condemned, error);
      return error.report ?? { terminated: [], survivors: [], escalated: false };
    });
    const ended = new Map(report.terminated.map((one) => [keyOf(one), one.signal]));
    const left = new Map(report.survivors.map((one) => [keyOf(one), one.reason]));
    this.deferred += remains.beyondLimit;
    for (const [key, verdict] of remains.known) {
      const { process } = verdict;
      const isNew = !condemned.includes(verdict);
      const signal = ended.get(key) ?? null;
      if (left.has(key))
        this.note(verdict, {
          process,
          outcome: left.get(key) === 'eperm' ? 'eperm' : 'survived',
          signal: report.escalated ? 'SIGKILL' : null,
        });
      else if (signal !== null) this.note(verdict, { process, outcome: 'terminated', signal });
      else if (!isKnown && !ended.has(key)) verdict.evidence.push('what became of it is not known');
      else if (isNew)
        continue; // it has ended by itself, or the kernel does not tell
      // Before Linux 6.15 the kernel does not tell how a stranger ended.
      else this.note(verdict, { process, outcome: ended.has(key) ? 'terminated' : 'already-gone', signal: 'SIGTERM' });
      if (isNew) this.verdicts.push(verdict);
    }
  }

  /** Something went wrong in ending these: whether it is done is not known. */
  private fail(condemned: readonly Verdict[], error: unknown): void {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = cause instanceof Error ? cause.message : String(cause);
    const [{ process, rule = '' }] = condemned as [Verdict];
    this.failures.push({ pid: process.pid, name: process.name ?? '', rule, reason: `not known who is left: ${why}` });
  }

  private async end({ table, facts }: Scene, condemned: readonly Verdict[]): Promise<void> {
    // A fresh row has not the mark that its verdict rests on.
    const marked = new Set(condemned.filter(isTreeMember).map(({ process }) => keyOf(process)));
    const again = (fresh: ProcessInfo) => outOfKernel(marked.has(keyOf(fresh)) ? withMark(fresh) : fresh);
    const results = await terminateListed(
      condemned.map(({ process }) => process),
      {
        ...this.delays(),
        // One that has ended since is not "changed": its end is what was wanted.
        recheck: (fresh) => isZombie(fresh) || judgeAgain(table, again(fresh), this.policy, facts)?.action === 'terminate',
      },
    );
    for (const [index, result] of results.entries()) this.note(condemned[index] as Verdict, result);
  }

  private note(verdict: Verdict, { outcome, signal }: ListedResult): void {
    const { process, rule = '', type = '', reason = '' } = verdict;
    const { pid, name = '' } = process;
    switch (outcome) {
      case 'terminated':
        this.cleaned.push({ pid, type, reason, runningTimeSeconds: runningTime(process), name, rule, signal });
        verdict.evidence.push(`ended by ${signal}`);
        break;
      case 'eperm':
        this.failures.push({ pid, name, rule, reason: 'EPERM: the kernel did not allow the signal' });
        break;
      case 'survived':
        this.failures.push({ pid, name, rule, reason: signal === null ? 'no signal could be sent' : `it survived ${signal}` });
        break;
      case 'already-gone':
      case 'recycled':
      case 'changed':
        verdict.action = 'spare';
        verdict.evidence.push(
          outcome === 'changed' ? 'it was not the same any more when it was looked at again' : 'it had ended by itself',
        );
    }
  }

  /**
   * A zombie goes when its parent waits for it. It counts as ended when that is our doing: the parent was ours to end (init waits then),
   * or it is ourselves.
   */
  private async awaitReaping(): Promise<void> {
    const parents = new Set([process.pid, ...this.cleaned.map(({ pid }) => pid)]);
    const waiting = new Set(
      this.verdicts.filter(({ process, action }) => action === 'report' && isZombie(process) && parents.has(process.ppid ?? 0)),
    );
    const untilMs = Math.min(performance.now() + REAPING_MS, this.deadlineMs - AFTER_KILL_MS);
    while (waiting.size > 0) {
      for (const verdict of waiting) {
        const { process, rule = '', type = '', reason = '' } = verdict;
        if (mayStillBe(process)) continue;
        waiting.delete(verdict);
        verdict.evidence.push(`reaped: its parent ${describeProcess(undefined, process.ppid ?? 0)} is dead`);
        this.cleaned.push({
          pid: process.pid,
          type,
          reason,
          runningTimeSeconds: runningTime(process),
          name: process.name ?? '',
          rule,
          signal: null,
        });
      }
      if (waiting.size === 0 || performance.now() >= untilMs) return;
      // Nothing tells when a stranger's zombie goes: its pidfd has been readable since its death.
      await delay(REAPING_POLL_MS);
    }
  }

  private remainingMs(): number {
    return this.deadlineMs - performance.now();
  }

  /** What is left of the time but for `reserveMs`; of little time at least half. */
  private shareOfTime(reserveMs: number): number {
    const remaining = this.remainingMs();
    return Math.max(0, remaining / 2, remaining - reserveMs);
  }
}

type LookAgain = RemainsOptions['lookAgain'];

function withMark(process: ProcessInfo): ProcessInfo {
  const treeMark = readMark(process);
  return treeMark === undefined ? process : ({ ...process, treeMark } as ProcessRow);
}

/**
 * In another pid namespace it belongs to a container, whose init is responsible for it; one that can not be seen may be in one. The scan does not
 * tell, and only of the condemned it is asked.
 */
function sparedIfElsewhere(verdict: Verdict): Verdict {
  if (verdict.action !== 'terminate' || isTreeMember(verdict)) return verdict; // of a tree's members it was asked with the mark
  const where = namespaceOf(verdict.process.pid);
  if (where !== undefined && where === namespaceOf('self')) return verdict;
  const evidence = where === undefined ? 'its pid namespace could not be seen' : 'it runs in another pid namespace: a container';
  return { ...verdict, action: 'spare', protectedBy: 'pid-namespace', evidence: [...verdict.evidence, evidence] };
}

/** Who waits in the kernel at this very moment is not spared for it: the signal meets him now or when he comes back. */
function outOfKernel(process: ProcessInfo): ProcessInfo {
  return isInKernel(process) ? { ...process, state: 'S' } : process;
}

/** True also when it could not be looked. */
function mayStillBe({ pid, startTicks }: ProcessInfo): boolean {
  try {
    return identityOf(pid)?.startTicks === startTicks;
  } catch {
    return true;
  }
}

function runningTime(process: ProcessInfo): number {
  return Math.round((process.ageSeconds ?? 0) * 100) / 100;
}
