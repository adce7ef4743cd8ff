/**
 * Every error corral makes: one class, every code, what each means and what to do about it.
 * Failures of the kernel keep their own code (ENOENT, EACCES, EPERM ...) with errno and syscall, as in Node.
 */
import { getSystemErrorName } from 'node:util';
import type { ProcessStatus, TerminationReport } from './types.js';

/** Codes of our own. `type` is the short word of the text form; `advice` is what the documentation prints. */
export const ERROR_CODES = {
  ERR_INVALID_ARGUMENT: { type: 'INVALID_ARGUMENT', advice: 'Correct the option the message names; nothing was started or signalled.' },
  ERR_SPAWN: {
    type: 'SPAWN_FAILED',
    advice: "See `cause` and the stage in the message; no process was left. The code is the kernel's (ENOENT, EACCES ...).",
  },
  ERR_ALREADY_RUNNING: { type: 'ALREADY_RUNNING', advice: 'A ProcessManager holds one command: stop() it, or use another instance.' },
  ERR_NOT_RUNNING: { type: 'NOT_RUNNING', advice: 'start() it first.' },
  ERR_INVALID_TRANSITION: { type: 'INVALID_TRANSITION', advice: 'The call does not fit the status the message names.' },
  ERR_ABORTED: { type: 'ABORTED', advice: 'The AbortSignal fired; `cause` is its reason.' },
  ERR_SURVIVORS: {
    type: 'SURVIVORS',
    advice: '`report.survivors` says who is left and why (other user, uninterruptible sleep, force disabled).',
  },
  ERR_REFUSED_TARGET: {
    type: 'REFUSED_TARGET',
    advice: 'pid 0, 1, -1, corral itself, its ancestors, its own process group and threads (also of the kernel) are never signalled.',
  },
  ERR_NO_SUCH_PROCESS: { type: 'NO_SUCH_PROCESS', advice: 'It is gone, or its number belongs to another process now.' },
  ERR_KEEPER_LOST: {
    type: 'KEEPER_LOST',
    advice: 'The keeper of the tree was killed; corral ended what it could find by session, group and mark.',
  },
  ERR_UNHEALTHY: { type: 'UNHEALTHY', advice: 'The message names what is wrong: gone, zombie, stopped or recycled.' },
  ERR_SIGNAL: {
    type: 'SIGNAL_FAILED',
    advice: 'The kernel refused the signal; the code is its own (EPERM: the process has another uid by now).',
  },
  ERR_RUN: { type: 'RUN_FAILED', advice: 'The command failed; the error has every field of the result.' },
  ERR_MAX_BUFFER: { type: 'MAX_BUFFER', advice: 'The output was longer than `maxBuffer`; the tree was ended. Raise it or stream.' },
  ERR_SCAN: { type: 'SCAN_FAILED', advice: '/proc could not be read; see `code` and `syscall`.' },
  ERR_UNSUPPORTED_PLATFORM: { type: 'UNSUPPORTED_PLATFORM', advice: 'corral works on Linux.' },
  ERR_NATIVE_LOAD: { type: 'NATIVE_LOAD', advice: 'No binary fits this machine; the message says how to build one.' },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Index = enum corral_stage of native/sys/child_setup.h. */
export const SPAWN_STAGES = [
  'none',
  'clone',
  'setsid',
  'rlimits',
  'oomScoreAdj',
  'nice',
  'groups',
  'group',
  'user',
  'cwd',
  'noNewPrivileges',
  'owner',
  'stdio',
  'exec',
  'keeper',
] as const;
export type SpawnStage = (typeof SPAWN_STAGES)[number];

/** Message of ERR_SCAN where every number of /proc would be believed wrongly. */
export const NO_PROC = '/proc is not mounted, or it is that of another pid namespace, whose numbers mean other processes';

export interface ErrorDetails {
  cause?: unknown;
  pid?: number | undefined;
  status?: ProcessStatus | undefined;
  /** Negative, as in Node; sets `code` to its name. */
  errno?: number | undefined;
  syscall?: string | undefined;
  /** ERR_SPAWN: the step that failed. */
  stage?: SpawnStage | undefined;
  /** ERR_SURVIVORS: who was ended, and who is left. */
  report?: TerminationReport | undefined;
}

export class ProcessError extends Error {
  /** Short word of ERROR_CODES, e.g. SPAWN_FAILED. */
  readonly type: string;
  /** The kernel's code where there is one (ENOENT ...), else one of ERROR_CODES. */
  readonly code: string;
  declare readonly pid?: number;
  declare readonly status?: ProcessStatus;
  declare readonly errno?: number;
  declare readonly syscall?: string;
  declare readonly stage?: SpawnStage;
  declare readonly report?: TerminationReport;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'ProcessError';
    this.type = ERROR_CODES[code].type;
    this.code = details.errno === undefined ? code : getSystemErrorName(details.errno);
    if (details.pid !== undefined) this.pid = details.pid;
    if (details.status !== undefined) this.status = details.status;
    if (details.errno !== undefined) this.errno = details.errno;
    if (details.syscall !== undefined) this.syscall = details.syscall;
    if (details.stage !== undefined) this.stage = details.stage;
    if (details.report !== undefined) this.report = details.report;
  }

  /** TYPE (PID: n, Status: s): message: cause */
  override toString(): string {
    const facts = [this.pid === undefined ? '' : `PID: ${this.pid}`, this.status === undefined ? '' : `Status: ${this.status}`].filter(
      Boolean,
    );
    const cause = this.cause instanceof Error ? `: ${this.cause.message}` : this.cause === undefined ? '' : `: ${String(this.cause)}`;
    return `${this.type}${facts.length > 0 ? ` (${facts.join(', ')})` : ''}: ${this.message}${cause}`;
  }
}

/** An argument was refused: names the option, what was expected and what came. */
export function invalidArgument(option: string, expected: string, received: unknown): ProcessError {
  return new ProcessError('ERR_INVALID_ARGUMENT', `${option}: expected ${expected}, received ${describe(received)}`);
}

/** A value as an error message shows it: type and (shortened) content. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return `${typeof value} ${String(value)}`;
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`;
  const name = (value as object).constructor?.name;
  return name === undefined ? 'object' : `an instance of ${name}`;
}
