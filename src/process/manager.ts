/**
 * One managed command: start, stop, kill, wait, health and status over a spawned child. What a status may follow is decided in state.ts;
 * events are emitted when the new state is complete.
 */
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { invalidArgument, ProcessError } from '../errors.js';
import { defaultLogger } from '../log.js';
import { kernel } from '../native.js';
import { checkDelay, checkOptions, terminationSettings } from '../tree/options.js';
import { scan } from '../tree/scan.js';
import type {
  ExitStatus,
  Logger,
  ProcessConfig,
  ProcessIdentity,
  ProcessMetadata,
  ProcessStatus,
  Survivor,
  TerminationReport,
} from '../types.js';
import type { SpawnedChild } from './child.js';
import { planSpawn, SPAWN_OPTIONS, type SpawnPlan } from './options.js';
import { spawnPlanned } from './spawn.js';
import { isPossible, nextStatus, type StateEvent } from './state.js';

/** Capabilities of a later version: refused rather than ignored. */
const NOT_YET = ['health', 'restart', 'resources'] as const;
const CONFIG = [...SPAWN_OPTIONS, 'command', 'args', 'successCodes', ...NOT_YET] as const;

export interface StatusChange {
  from: ProcessStatus;
  to: ProcessStatus;
  reason: string;
}

/** Events and what their listeners get. */
export interface ManagerEvents {
  status: [change: StatusChange];
  /** The tree is empty; `exit` is that of the leader. */
  exit: [exit: ExitStatus, report: TerminationReport];
  /** The ladder is over, and these live. */
  survivors: [survivors: Survivor[], report: TerminationReport];
}

/** One start, until nothing is left of it. */
interface Run {
  readonly config: ProcessConfig;
  readonly starting: Promise<SpawnedChild>;
  /** What wait() gives. */
  readonly over: Promise<ExitStatus>;
  child?: SpawnedChild;
  exit?: ExitStatus;
  startedAt?: Date;
  startedMs?: number;
}

/**
 * Statuses: `stopped`, `starting`, `running`, `stopping`, `error`, `unknown`. They speak of the whole tree: a leader that has exited while
 * members live is `running` (and not healthy); `stopped` means that nothing is left.
 */
export class ProcessManager extends EventEmitter<ManagerEvents> implements AsyncDisposable {
  readonly #logger: Logger;
  #status: ProcessStatus = 'stopped';
  #attempt = 0;
  #run: Run | undefined;
  #lastReport: TerminationReport = { terminated: [], survivors: [], escalated: false, durationMs: 0, proof: 'scan' };

  /** @throws ProcessError ERR_INVALID_ARGUMENT */
  constructor(options: { logger?: Logger } = {}) {
    super();
    checkOptions('ProcessManager', options, ['logger']);
    this.#logger = checkLogger(options.logger) ?? defaultLogger();
  }

  get status(): ProcessStatus {
    return this.#status;
  }

  /** The leader's pid, from the start until nothing is left. */
  get pid(): number | undefined {
    return isPossible(this.#status, 'start') ? undefined : this.#run?.child?.pid;
  }

  getStatus(): ProcessStatus {
    return this.#status;
  }

  getPid(): number | undefined {
    return this.pid;
  }

  isRunning(): boolean {
    return this.#status === 'running';
  }

  /**
   * Resolves when the command is executing. Aborting `signal` (or the one in the config) stops it, before or after.
   * @throws (rejects) ERR_ALREADY_RUNNING unless stopped or in error; ERR_INVALID_ARGUMENT, and nothing has changed; ERR_ABORTED; the error
   *   of spawn(), and no process is left
   */
  async start(config: ProcessConfig, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { plan, signal } = planStart(config, options);
    if (!isPossible(this.#status, 'start')) {
      throw new ProcessError('ERR_ALREADY_RUNNING', 'already running or starting', { pid: this.pid, status: this.#status });
    }
    const starting = spawnPlanned(plan);
    const over = starting.then(
      (child) => this.#follow(run, child, signal),
      (error: ProcessError) => {
        const isCanceled = error.type === 'ABORTED';
        this.#apply(isCanceled ? 'startAborted' : 'startFailed', error.message);
        throw isCanceled ? error.cause : error;
      },
    );
    over.catch(() => {}); // it may be that nobody waits
    const run: Run = { config, starting, over };
    this.#run = run;
    this.#attempt++;
    this.#apply('start', 'start() was called');
    await starting;
  }

  /** Keeps the status true to what happens to the child. Settles as wait() does. */
  async #follow(run: Run, child: SpawnedChild, signal: AbortSignal | undefined): Promise<ExitStatus> {
    run.child = child;
    run.startedAt = new Date();
    run.startedMs = performance.now();
    child.onSurvivors = (report) => this.#withstood(child, report);
    void child.exited.then((exit) => {
      run.exit = exit;
    });
    const onAbort = () => {
      if (isPossible(this.#status, 'stop')) this.#apply('stop', 'the signal was aborted');
    };
    this.#apply('started', 'exec has succeeded');
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });

    const [report, exit] = await Promise.all([child.empty, child.exited]);
    signal?.removeEventListener('abort', onAbort);
    this.#lastReport = report;
    const event = isExpected(exit, child.timedOut, run.config.successCodes) ? 'exitExpected' : 'exitUnexpected';
    // Not after leftovers (it is in error), and not without knowing whether it has exited at all.
    if (isPossible(this.#status, event) && !isNotKnown(child, report)) this.#apply(event, describeExit(exit, child));
    this.#emit('exit', exit, report);
    if (exit.isCanceled) throw signal?.reason;
    return exit;
  }

  /** A ladder is over, and somebody lives. */
  #withstood(child: SpawnedChild, report: TerminationReport): void {
    this.#lastReport = report;
    const leaderLives = report.survivors.some(({ pid }) => pid === child.pid);
    const event = isNotKnown(child, report) ? 'lostSight' : leaderLives ? 'resisted' : 'leftovers';
    if (isPossible(this.#status, event)) this.#apply(event, describeSurvivors(report));
    this.#emit('survivors', report.survivors, report);
  }

  /**
   * Ends the tree: killSignal, SIGKILL after `timeout` (default: forceKillAfterDelay of the config); joins a stop that is under way, which
   * can only get shorter.
   * @returns who was ended
   * @throws (rejects) ERR_NOT_RUNNING; ERR_SURVIVORS with `report`
   */
  async stop(options: { timeout?: number } = {}): Promise<TerminationReport> {
    checkOptions('stop', options, ['timeout']);
    const delay = options.timeout === undefined ? {} : { forceKillAfterDelay: checkDelay(options.timeout, 'timeout') };
    if (!isPossible(this.#status, 'stop')) throw this.#notRunning('stop');
    const run = this.#run as Run;
    this.#apply('stop', 'stop() was called');
    return this.#ending(run, (child) => child.stop(delay));
  }

  /** SIGKILL to every member at once; nothing to do when it does not run. Rejects with ERR_SURVIVORS when that did not help. */
  async kill(): Promise<TerminationReport> {
    if (!isPossible(this.#status, 'kill')) return this.#lastReport;
    const run = this.#run as Run;
    this.#apply('kill', 'kill() was called');
    return this.#ending(run, (child) => child.killAll());
  }

  async #ending(run: Run, end: (child: SpawnedChild) => Promise<TerminationReport>): Promise<TerminationReport> {
    let child: SpawnedChild;
    try {
      child = await run.starting; // exec has not succeeded yet: a matter of milliseconds
    } catch {
      return this.#lastReport; // start() says why; nothing is left
    }
    const report = await end(child);
    // The status is what the report says before the caller goes on.
    await run.over.catch(() => {});
    if (this.#status === 'stopping') this.#apply('exitExpected', 'nothing is left');
    return report;
  }

  /**
   * The exit of the leader, once nothing is left of its tree; before or after, as often as you like.
   * @throws (rejects) the reason of the abort when a signal canceled it; the error of a failed start; ERR_NOT_RUNNING when it was never started
   */
  async wait(): Promise<ExitStatus> {
    if (this.#run === undefined) throw this.#notRunning('wait');
    return this.#run.over;
  }

  /**
   * Resolves when the leader is really alive and able to run.
   * @throws (rejects) ERR_UNHEALTHY naming what is wrong: not running, gone, recycled, zombie or stopped; ERR_SCAN when it can not be told
   */
  async healthCheck(): Promise<void> {
    const child = this.#run?.child;
    if (this.#status !== 'running' || child === undefined) throw this.#unhealthy(`not running (${this.#status})`);
    if (child.exitCode !== null || child.signalCode !== null) throw this.#unhealthy('gone: it has exited, members of its tree live');
    const table = await scan({ pids: [child.pid], fields: ['state'] });
    const row = table.get(child.pid);
    if (row === undefined) throw this.#unhealthy('gone');
    if (row.startTicks !== child.identity.startTicks) throw this.#unhealthy('recycled: its number belongs to another process');
    if (row.state === 'X' || (row.state === 'Z' && !table.isLive(child.pid)))
      throw this.#unhealthy('zombie: it has ended and was not reaped');
    if (row.state === 'T' || row.state === 't') throw this.#unhealthy(`stopped (state ${row.state}): it does not run until SIGCONT`);
  }

  get metadata(): ProcessMetadata {
    const { config, child, exit, startedAt, startedMs } = this.#run ?? {};
    const usage = exit === undefined && child !== undefined ? usageNow(child.identity) : undefined;
    return {
      pid: child?.pid,
      pgid: child?.pgid,
      sid: child?.sid,
      startedAt,
      uptimeMs: exit?.durationMs ?? (startedMs === undefined ? undefined : performance.now() - startedMs),
      command: config?.command ?? '',
      args: config?.args ?? [],
      cwd: config?.cwd === undefined ? process.cwd() : String(config.cwd),
      attempt: this.#attempt,
      exitCode: exit?.exitCode,
      signal: exit?.signal,
      cpuMs: exit === undefined ? usage?.cpuMs : exit.resourceUsage.userCpuMs + exit.resourceUsage.systemCpuMs,
      rssBytes: exit === undefined ? usage?.rssBytes : exit.resourceUsage.maxRssBytes,
      labels: { ...config?.labels },
    };
  }

  /** Ends what runs; rejects with ERR_SURVIVORS as stop(). */
  async [Symbol.asyncDispose](): Promise<void> {
    if (isPossible(this.#status, 'stop')) await this.stop();
    else if (isPossible(this.#status, 'kill')) await this.kill();
  }

  #apply(event: StateEvent, reason: string): void {
    const from = this.#status;
    const to = nextStatus(from, event);
    if (from === to) return;
    this.#status = to;
    const { config, child } = this.#run as Run;
    const level = to === 'error' || to === 'unknown' ? 'warn' : 'info';
    this.#logger[level]({ pid: child?.pid, command: config.command, args: config.args ?? [], status: to }, `${from} -> ${to}: ${reason}`);
    this.#emit('status', { from, to, reason });
  }

  /** A listener that throws is the program's error, as with every emitter, and must not become the error of whoever called us. */
  #emit<Name extends keyof ManagerEvents>(name: Name, ...values: ManagerEvents[Name]): void {
    try {
      (this.emit as (name: string, ...values: unknown[]) => boolean)(name, ...values);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }

  #notRunning(call: string): ProcessError {
    return new ProcessError('ERR_NOT_RUNNING', `${call}(): there is nothing to ${call}${call === 'wait' ? ' for' : ''}`, {
      status: this.#status,
    });
  }

  #unhealthy(what: string): ProcessError {
    return new ProcessError('ERR_UNHEALTHY', what, { pid: this.#run?.child?.pid, status: this.#status });
  }
}

function planStart(config: ProcessConfig, options: { signal?: AbortSignal }): { plan: SpawnPlan; signal: AbortSignal | undefined } {
  if (typeof config !== 'object' || config === null) throw invalidArgument('config', 'an object such as { command, args }', config);
  checkOptions('start', config, CONFIG);
  checkOptions('start', options, ['signal']);
  for (const name of NOT_YET) {
    if (config[name] === undefined) continue;
    throw new ProcessError('ERR_INVALID_ARGUMENT', `${name}: expected to be left out, since this version does not support it yet`);
  }
  const { command, args, successCodes, health: _, restart: __, resources: ___, ...spawnOptions } = config;
  const isCode = (code: unknown) => Number.isInteger(code) && (code as number) >= 0 && (code as number) <= 255;
  if (successCodes !== undefined && !(Array.isArray(successCodes) && successCodes.every(isCode))) {
    throw invalidArgument('successCodes', 'an array of exit codes from 0 to 255', successCodes);
  }
  const plan = planSpawn(command, args, spawnOptions);
  const own = plan.termination.abort;
  const given = terminationSettings(options).abort;
  const signal = own !== undefined && given !== undefined ? either(own, given) : (own ?? given);
  plan.termination = { ...plan.termination, abort: signal };
  return { plan, signal };
}

const sources = new WeakMap<AbortSignal, AbortSignal[]>();

/** AbortSignal.any() holds its sources weakly; on Node 20 an AbortSignal.timeout() that nobody else holds would never fire. */
function either(...signals: AbortSignal[]): AbortSignal {
  const any = AbortSignal.any(signals);
  sources.set(any, signals);
  return any;
}

function isExpected({ exitCode, timedOut }: ExitStatus, restTimedOut: boolean, successCodes: readonly number[] = [0]): boolean {
  return exitCode !== null && successCodes.includes(exitCode) && !timedOut && !restTimedOut;
}

function isNotKnown({ pid }: SpawnedChild, { survivors }: TerminationReport): boolean {
  return survivors.some((one) => one.pid === pid && one.reason === 'unknown');
}

function describeExit({ exitCode, signal, timedOut, isCanceled }: ExitStatus, child: SpawnedChild): string {
  if (child.keeperLost && exitCode === null && signal === null) return 'the keeper of the tree was killed';
  const how = signal !== null ? `ended by ${signal}` : `exited with code ${exitCode}`;
  return timedOut || child.timedOut ? `timed out; ${how}` : isCanceled ? `canceled; ${how}` : how;
}

function describeSurvivors({ survivors }: TerminationReport): string {
  return `not ended: ${survivors.map(({ pid, name, reason }) => `${pid} ${name} (${reason})`).join(', ')}`;
}

function checkLogger(logger: Logger | undefined): Logger | undefined {
  if (logger === undefined) return undefined;
  const isLogger = (['debug', 'info', 'warn', 'error'] as const).every((level) => typeof logger?.[level] === 'function');
  if (!isLogger) throw invalidArgument('logger', 'an object with the functions debug, info, warn and error (pino has them)', logger);
  return logger;
}

/** proc_pid_stat(5) of that very process, at once; undefined when it is gone. */
function usageNow({ pid, startTicks }: ProcessIdentity): { cpuMs: number; rssBytes: number } | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The name before it may hold anything: what follows the last parenthesis is the kernel's.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[19] !== String(startTicks)) return undefined;
  const { clockTicksPerSecond, pageSize } = kernel();
  return { cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1000) / clockTicksPerSecond, rssBytes: Number(fields[21]) * pageSize };
}
