// The public contract of corral. Names and shapes here are fixed; more may be added. Times are milliseconds unless a name says otherwise.

import type { ChildProcess } from 'node:child_process';
import type { EventEmitter } from 'node:events';
import type { Readable, Writable } from 'node:stream';

export type Signal = NodeJS.Signals | number;
export type Containment = 'group' | 'tree' | 'cgroup';

/** Who a process is, for as long as the machine is up. */
export interface ProcessIdentity { readonly pid: number; readonly startTicks: bigint; readonly bootId: string }

export interface TerminationOptions {
  killSignal?: Signal;                    // 'SIGTERM'
  forceKillAfterDelay?: number | false;   // 5000; false = never SIGKILL
  signal?: AbortSignal;
}
export interface Survivor extends ProcessIdentity { name: string; reason: 'eperm' | 'uninterruptible' | 'not-forced' | 'unknown' }
export interface TerminationReport {
  terminated: Array<ProcessIdentity & { name: string; signal: NodeJS.Signals | null }>;
  survivors: Survivor[];
  escalated: boolean;
  durationMs: number;
  proof: 'echild' | 'cgroup' | 'scan';    // how emptiness was established
}

export interface SpawnOptions extends TerminationOptions {
  cwd?: string | URL;
  env?: Record<string, string | undefined>;
  inheritEnv?: boolean;                   // true
  argv0?: string;
  stdin?: StdioOption;                    // 'ignore'
  stdout?: StdioOption;                   // 'pipe'
  stderr?: StdioOption;                   // 'pipe'
  timeout?: number;                       // whole run; 0 = none
  containment?: Containment;              // 'tree'
  onLeaderExit?: 'stop' | 'wait' | 'leave';   // 'stop'
  onOwnerExit?: 'stop' | 'leave';             // 'stop'
  user?: number | string; group?: number | string; groups?: Array<number | string>;
  umask?: number; noNewPrivileges?: boolean; nice?: number; oomScoreAdj?: number;
  rlimits?: Partial<Record<'as' | 'core' | 'cpu' | 'data' | 'fsize' | 'memlock' | 'nofile' | 'nproc' | 'stack', number | { soft: number; hard: number }>>;
  labels?: Record<string, string>;
}
export type StdioOption = 'pipe' | 'ignore' | 'inherit' | number | Readable | Writable;

export interface ExitStatus { exitCode: number | null; signal: NodeJS.Signals | null; timedOut: boolean; isCanceled: boolean; isForcefullyTerminated: boolean; durationMs: number; resourceUsage: { userCpuMs: number; systemCpuMs: number; maxRssBytes: number } }

/** Resolves once exec has succeeded. Not thenable itself. */
export function spawn(command: string, args?: readonly string[], options?: SpawnOptions): Promise<Child>;
export interface Child extends AsyncDisposable {
  readonly pid: number; readonly identity: ProcessIdentity; readonly pgid: number; readonly sid: number; readonly containment: Containment;
  readonly stdin: Writable | null; readonly stdout: Readable | null; readonly stderr: Readable | null;
  readonly exitCode: number | null; readonly signalCode: NodeJS.Signals | null;
  /** The leader has exited; output and other members may remain. */
  readonly exited: Promise<ExitStatus>;
  /** No live member is left and our ends of the pipes are closed. Never waits for a pipe that a stranger holds. */
  readonly empty: Promise<TerminationReport>;
  kill(signal?: Signal): boolean;                 // the leader only; false = already gone; never throws for that
  killGroup(signal?: Signal): boolean;            // its process group
  stop(options?: TerminationOptions): Promise<TerminationReport>;   // everything; rejects with code ERR_SURVIVORS if anything is left
  members(): Promise<ProcessInfo[]>;
  ref(): this; unref(): this;
}

export function run(command: string, args?: readonly string[], options?: SpawnOptions & { input?: string | Uint8Array; reject?: boolean; maxBuffer?: number; lines?: boolean }): Promise<RunResult>;
export interface RunResult extends ExitStatus { command: string; stdout: string; stderr: string; failed: boolean; report: TerminationReport }
// a failed run rejects with RunError, which has every field of RunResult, plus shortMessage and cause

/** End a tree somebody else started (child_process, execa, a pid from a file). */
export function killTree(target: number | ChildProcess | ProcessIdentity, options?: TerminationOptions): Promise<TerminationReport>;
/** Watch a process we did not start; event driven, no polling. */
export function attach(target: number | ProcessIdentity): Promise<AttachedProcess>;
export interface AttachedProcess extends Disposable { readonly identity: ProcessIdentity; readonly exited: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>; isAlive(): boolean; kill(signal?: Signal): boolean }

export type ProcessField = 'name' | 'ppid' | 'pgid' | 'sid' | 'state' | 'tty' | 'startTime' | 'cpu' | 'memory' | 'uid' | 'args' | 'cwd' | 'exe' | 'env' | 'cgroup' | 'threads';
export interface ProcessInfo extends ProcessIdentity { name?: string; ppid?: number; pgid?: number; sid?: number; state?: 'R' | 'S' | 'D' | 'T' | 't' | 'Z' | 'X' | 'I'; tty?: number; startTime?: Date; ageSeconds?: number; cpuMs?: number; rssBytes?: number; uid?: number; args?: string[]; cwd?: string; exe?: string; env?: Record<string, string>; cgroup?: string; threads?: number }
export function listProcesses(options?: { fields?: ProcessField[]; pids?: number[] }): Promise<ProcessInfo[]>;
export function snapshot(options?: { fields?: ProcessField[] }): Promise<ProcessTable>;
export interface ProcessTable extends Iterable<ProcessInfo> { readonly size: number; get(pid: number): ProcessInfo | undefined; children(pid: number): ProcessInfo[]; descendants(pid: number): ProcessInfo[]; group(pgid: number): ProcessInfo[]; session(sid: number): ProcessInfo[]; zombies(): ProcessInfo[] }

export type ProcessStatus = 'stopped' | 'starting' | 'running' | 'stopping' | 'error' | 'unknown';
export interface ProcessConfig extends SpawnOptions { command: string; args?: readonly string[]; health?: HealthOptions; restart?: RestartOptions; resources?: ResourceOptions; successCodes?: number[] }
export class ProcessManager extends EventEmitter implements AsyncDisposable {
  constructor(options?: { logger?: Logger });
  start(config: ProcessConfig, options?: { signal?: AbortSignal }): Promise<void>;
  stop(options?: { timeout?: number }): Promise<TerminationReport>;
  kill(): Promise<TerminationReport>;
  wait(): Promise<ExitStatus>;
  healthCheck(): Promise<void>;
  isRunning(): boolean; getStatus(): ProcessStatus; getPid(): number | undefined;
  readonly status: ProcessStatus; readonly pid: number | undefined; readonly metadata: ProcessMetadata;
  [Symbol.asyncDispose](): Promise<void>;
}
export interface HealthOptions { startup?: Probe; liveness?: Probe; onUnhealthy?: 'none' | 'restart' | 'stop' }
export type Probe = ({ exec: [string, ...string[]] } | { tcp: { port: number; host?: string } } | { http: string | URL } | { log: RegExp } | { check: () => Promise<void> | void }) & { initialDelay?: number; interval?: number; timeout?: number; successThreshold?: number; failureThreshold?: number };
export interface RestartOptions { policy: 'never' | 'on-failure' | 'always'; initialDelay?: number; maxDelay?: number; factor?: number; jitter?: number; maxAttempts?: number; stableAfter?: number }
export interface ResourceOptions { interval?: number; maxRssBytes?: number; maxCpuPercent?: number; maxMembers?: number; action?: 'warn' | 'stop' }
export interface ProcessMetadata { pid?: number; pgid?: number; sid?: number; startedAt?: Date; uptimeMs?: number; command: string; args: readonly string[]; cwd: string; attempt: number; exitCode?: number | null; signal?: NodeJS.Signals | null; cpuMs?: number; rssBytes?: number; labels: Record<string, string> }
export class ProcessError extends Error { type: string; code: string; pid?: number; status?: ProcessStatus; errno?: number; syscall?: string }
export interface Logger { debug(o: object, m?: string): void; info(o: object, m?: string): void; warn(o: object, m?: string): void; error(o: object, m?: string): void }   // pino fits

export type Verdict = { process: ProcessInfo; action: 'terminate' | 'report' | 'spare'; rule?: string; type?: string; reason?: string; evidence: string[]; protectedBy?: string };
export function classify(table: ProcessTable, policy: OrphanPolicy, facts: { now: number; self: number }): Verdict[];   // pure
export function sweep(options?: { dryRun?: boolean; policy?: Partial<OrphanPolicy>; maxKills?: number; deadline?: number }): Promise<SweepReport>;
export interface OrphanPolicy { rules: OrphanRule[]; protect: ProtectRule[]; mode: 'guarded' | 'seed' }
export interface OrphanRule { id: string; type: string; reason: string; names?: string[]; match?: RegExp; state?: 'Z'; olderThanSeconds: number; require?: string[]; action?: 'terminate' | 'report' }
export interface ProtectRule { names?: string[]; match?: RegExp; scope: 'self' | 'tree' }
export interface SweepReport { success: boolean; ripgrepCleaned: number; bashCleaned: number; totalCleaned: number; failed: number; deferred: number; verdicts: Verdict[]; durationMs: number }
