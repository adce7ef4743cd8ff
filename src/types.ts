/** The public types of corral. Times are milliseconds unless a name says otherwise. Types only. */
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

export interface Child extends AsyncDisposable {
  readonly pid: number; readonly identity: ProcessIdentity; readonly pgid: number; readonly sid: number; readonly containment: Containment;
  readonly containmentReason: string | null;      // why it is less than what was asked for
  readonly labels: Readonly<Record<string, string>>;
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

export interface RunResult extends ExitStatus {
  command: string; stdout: string; stderr: string; failed: boolean; report: TerminationReport;
  code?: string; shortMessage?: string; cause?: unknown;   // of a failed run, with `reject: false`
}

export interface AttachedProcess extends Disposable { readonly identity: ProcessIdentity; readonly exited: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>; isAlive(): boolean; kill(signal?: Signal): boolean }

/** An adopted process that has ended. */
export interface ReapedOrphan extends ProcessIdentity { name: string; exitCode: number | null; signal: NodeJS.Signals | null }
export interface ReapOrphansOptions {
  subreaper?: boolean;                              // true
  graceMs?: number;                                 // 1000
  keep?: (orphan: ReapedOrphan) => boolean;         // somebody else in this program waits for it
  onReap?: (orphan: ReapedOrphan) => void;
}
export interface OrphanReaper extends Disposable { readonly reaped: number; stop(): void }

export type ProcessField = 'name' | 'ppid' | 'pgid' | 'sid' | 'state' | 'tty' | 'startTime' | 'cpu' | 'memory' | 'uid' | 'args' | 'cwd' | 'exe' | 'env' | 'cgroup' | 'threads';
export interface ProcessInfo extends ProcessIdentity { name?: string; ppid?: number; pgid?: number; sid?: number; state?: 'R' | 'S' | 'D' | 'T' | 't' | 'Z' | 'X' | 'I'; tty?: number; startTime?: Date; ageSeconds?: number; cpuMs?: number; rssBytes?: number; uid?: number; args?: string[]; cwd?: string; exe?: string; env?: Record<string, string>; cgroup?: string; threads?: number }
export interface ProcessTable extends Iterable<ProcessInfo> { readonly size: number; get(pid: number): ProcessInfo | undefined; children(pid: number): ProcessInfo[]; descendants(pid: number): ProcessInfo[]; group(pgid: number): ProcessInfo[]; session(sid: number): ProcessInfo[]; zombies(): ProcessInfo[] }

export type ProcessStatus = 'stopped' | 'starting' | 'running' | 'stopping' | 'error' | 'unknown';
export interface ProcessConfig extends SpawnOptions { command: string; args?: readonly string[]; health?: HealthOptions; restart?: RestartOptions; resources?: ResourceOptions; successCodes?: number[] }
export interface HealthOptions { startup?: Probe; liveness?: Probe; onUnhealthy?: 'none' | 'restart' | 'stop' }
export type Probe = ({ exec: [string, ...string[]] } | { tcp: { port: number; host?: string } } | { http: string | URL } | { log: RegExp } | { check: () => Promise<void> | void }) & { initialDelay?: number; interval?: number; timeout?: number; successThreshold?: number; failureThreshold?: number };
export interface RestartOptions { policy: 'never' | 'on-failure' | 'always'; initialDelay?: number; maxDelay?: number; factor?: number; jitter?: number; maxAttempts?: number; stableAfter?: number }
export interface ResourceOptions { interval?: number; maxRssBytes?: number; maxCpuPercent?: number; maxMembers?: number; action?: 'warn' | 'stop' }
export interface ProcessMetadata { pid?: number; pgid?: number; sid?: number; startedAt?: Date; uptimeMs?: number; command: string; args: readonly string[]; cwd: string; attempt: number; exitCode?: number | null; signal?: NodeJS.Signals | null; cpuMs?: number; rssBytes?: number; labels: Record<string, string> }
export interface Logger { debug(o: object, m?: string): void; info(o: object, m?: string): void; warn(o: object, m?: string): void; error(o: object, m?: string): void }   // pino fits

export type Verdict = { process: ProcessInfo; action: 'terminate' | 'report' | 'spare'; rule?: string; type?: string; reason?: string; evidence: string[]; protectedBy?: string };
/** `minAgeSeconds`: nothing younger is ended, zombies aside; default 60, without effect in mode `seed`. */
export interface OrphanPolicy { rules: OrphanRule[]; protect: ProtectRule[]; mode: 'guarded' | 'seed'; minAgeSeconds?: number }
/** `match` tests the command line; `commands` names what a shell must run. With both, one of them is enough. */
export interface OrphanRule { id: string; type: string; reason: string; names?: string[]; match?: RegExp; commands?: string[]; state?: 'Z'; olderThanSeconds: number; require?: string[]; action?: 'terminate' | 'report' }
/** Protects what fits any of its tests; scope `tree`: and all its descendants. */
export interface ProtectRule { names?: string[]; match?: RegExp; cwd?: string; pid?: number; scope: 'self' | 'tree' }
/** One process that a sweep ended. `runningTimeSeconds` is its age when it was judged, two decimals. */
export interface CleanedProcess { pid: number; type: string; reason: string; runningTimeSeconds: number; name: string; rule: string; signal: NodeJS.Signals | null }
export interface FailedProcess { pid: number; name: string; rule: string; reason: string }
export interface SweepReport {
  success: boolean; ripgrepCleaned: number; bashCleaned: number; totalCleaned: number; failed: number; deferred: number; verdicts: Verdict[]; durationMs: number;
  cleaned: CleanedProcess[];
  failures: FailedProcess[];
  /** Nothing was ended, and why: asked for, a configuration file is broken, another sweep is running. */
  dryRun: boolean; reportOnly: boolean; skipped?: 'locked';
  /** Sentences for the user: configuration, log. */
  warnings: string[];
  /** Where the run was recorded. */
  logPath?: string;
}
