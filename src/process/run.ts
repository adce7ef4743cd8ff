/**
 * run(): start a command, collect its output, resolve when nothing of it is left. What failed says who ended it, and how.
 */
import { constants as bufferConstants } from 'node:buffer';
import type { Readable } from 'node:stream';
import { type ErrorCode, invalidArgument, ProcessError } from '../errors.js';
import { checkOptions } from '../tree/options.js';
import type { ExitStatus, RunResult, SpawnOptions, TerminationReport } from '../types.js';
import type { SpawnedChild } from './child.js';
import { flag, integer, planSpawn, SPAWN_OPTIONS } from './options.js';
import { spawnPlanned } from './spawn.js';

export interface RunOptions extends SpawnOptions {
  /** Written to stdin, which then ends. Not together with `stdin`. */
  input?: string | Uint8Array;
  /** False: a failed run resolves as well. Wrong arguments reject in any case. Default true. */
  reject?: boolean;
  /** Most bytes of stdout, and of stderr; at more the tree is stopped. Default 100 MB. */
  maxBuffer?: number;
  /** stdout and stderr as arrays of lines. */
  lines?: boolean;
}
/** With `lines`. */
export type RunLinesResult = Omit<RunResult, 'stdout' | 'stderr'> & { stdout: string[]; stderr: string[] };

const RUN_OPTIONS = [...SPAWN_OPTIONS, 'input', 'reject', 'maxBuffer', 'lines'] as const;
const DEFAULT_MAX_BUFFER = 100_000_000;
/** Of stderr in the message of an error. */
const MESSAGE_TAIL = 2000;

/**
 * Runs a command to its end: the leader has exited, no member is left (onLeaderExit: who outlives it is ended, waited for or left), all
 * output is there. A grandchild that keeps a pipe open delays nothing. stdout and stderr are decoded as UTF-8 and lose one final
 * newline (\n or \r\n); they are '' when they are not piped to us.
 *
 * @throws (rejects) RunError, which has every field of the result, when the command could not be started, exited with another code than
 *   0, was ended by a signal, timed out, was canceled, wrote too much, or could not be ended entirely; ERR_INVALID_ARGUMENT
 */
export function run(command: string, args: readonly string[] | undefined, options: RunOptions & { lines: true }): Promise<RunLinesResult>;
export function run(command: string, args?: readonly string[], options?: RunOptions): Promise<RunResult>;
export async function run(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult | RunLinesResult> {
  checkOptions('run', options, RUN_OPTIONS);
  const { input, reject, maxBuffer, lines, ...spawnOptions } = options;
  const rejects = flag(reject, 'reject', true);
  const limit = maxBuffer === undefined ? DEFAULT_MAX_BUFFER : integer(maxBuffer, 'maxBuffer', 0, bufferConstants.MAX_STRING_LENGTH);
  const splits = flag(lines, 'lines', false);
  if (input !== undefined) {
    if (typeof input !== 'string' && !(input instanceof Uint8Array)) throw invalidArgument('input', 'a string or bytes', input);
    if (spawnOptions.stdin !== undefined) throw invalidArgument('input', 'no stdin besides it', spawnOptions.stdin);
    spawnOptions.stdin = 'pipe';
  }

  const outcome = await perform(command, args, spawnOptions, input, limit);
  const failure = failureOf(outcome);
  const result = resultOf(outcome, failure !== undefined, splits);
  if (failure === undefined) return result;
  if (rejects) throw new RunError(failure, result);
  return {
    ...result,
    code: new ProcessError(failure.code, '', { errno: failure.errno }).code,
    shortMessage: failure.message,
    cause: failure.cause,
  };
}

/** A failed run; has every field of RunResult. */
export class RunError extends ProcessError {
  /** Who ended the command and how, and the command. `message` also has the end of stderr. */
  readonly shortMessage: string;
  declare readonly command: string;
  declare readonly stdout: string | string[];
  declare readonly stderr: string | string[];
  declare readonly failed: true;
  declare readonly report: TerminationReport;
  declare readonly exitCode: number | null;
  declare readonly signal: NodeJS.Signals | null;
  declare readonly timedOut: boolean;
  declare readonly isCanceled: boolean;
  declare readonly isForcefullyTerminated: boolean;
  declare readonly durationMs: number;
  declare readonly resourceUsage: ExitStatus['resourceUsage'];

  constructor(failure: Failure, result: RunResult | RunLinesResult) {
    const stderr = typeof result.stderr === 'string' ? result.stderr : result.stderr.join('\n');
    const tail = stderr.length > MESSAGE_TAIL ? `...${stderr.slice(-MESSAGE_TAIL)}` : stderr;
    super(failure.code, tail === '' ? failure.message : `${failure.message}\n${tail}`, failure);
    this.name = 'RunError';
    this.shortMessage = failure.message;
    Object.assign(this, result);
  }
}

// ---- running ------------------------------------------------------------------------------------------------------------

interface Outcome {
  command: string;
  options: SpawnOptions;
  /** Why it could not be started. */
  startError?: ProcessError;
  status: ExitStatus;
  /** The leader is among the survivors. */
  isStillRunning: boolean;
  keeperLost: boolean;
  /** Which output was too long. */
  overflow?: string | undefined;
  limit: number;
  stdout: Buffer;
  stderr: Buffer;
  report: TerminationReport;
}

async function perform(
  file: string,
  args: readonly string[],
  options: SpawnOptions,
  input: string | Uint8Array | undefined,
  limit: number,
): Promise<Outcome> {
  const plan = planSpawn(file, args, options);
  const asked = { command: commandLine(file, args), options, limit };
  const startedAt = performance.now();
  const nothing = Buffer.alloc(0);
  const unknown = (isCanceled: boolean): ExitStatus => ({
    exitCode: null,
    signal: null,
    timedOut: false,
    isCanceled,
    isForcefullyTerminated: false,
    durationMs: performance.now() - startedAt,
    resourceUsage: { userCpuMs: 0, systemCpuMs: 0, maxRssBytes: 0 },
  });

  let child: SpawnedChild;
  try {
    child = await spawnPlanned(plan, true);
  } catch (error) {
    if (!(error instanceof ProcessError) || error.type === 'NATIVE_LOAD' || error.type === 'UNSUPPORTED_PLATFORM') throw error;
    const report: TerminationReport = { terminated: [], survivors: [], escalated: false, durationMs: 0, proof: 'echild' };
    const status = unknown(error.type === 'ABORTED');
    return { ...asked, startError: error, status, isStillRunning: false, keeperLost: false, stdout: nothing, stderr: nothing, report };
  }

  let overflow: string | undefined;
  const collect = (stream: Readable | null, name: string) => {
    if (stream === null) return nothing;
    return collectOutput(stream, limit, () => {
      overflow ??= name;
      child.stop().catch(() => {}); // who withstands is in the report
    });
  };
  const outputs = Promise.all([collect(child.stdout, 'stdout'), collect(child.stderr, 'stderr')]);
  // Nobody else can write to it; without input the command sees the end at once.
  child.stdin?.end(input);

  const report = await child.empty;
  const isStillRunning = report.survivors.some(({ pid }) => pid === child.pid);
  const status = isStillRunning ? unknown(options.signal?.aborted === true) : await child.exited;
  const [stdout, stderr] = await outputs;
  const { timedOut, keeperLost } = child;
  return { ...asked, status: { ...status, timedOut }, isStillRunning, keeperLost, overflow, stdout, stderr, report };
}

/** Resolves with what came until the stream ended; what is beyond the limit is read, so that nobody blocks, and dropped. */
function collectOutput(stream: Readable, limit: number, onOverflow: () => void): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream.on('data', (chunk: Buffer) => {
      if (size + chunk.length > limit) {
        if (size <= limit) onOverflow();
        chunk = chunk.subarray(0, Math.max(0, limit - size));
        size = limit + 1;
      } else size += chunk.length;
      if (chunk.length > 0) chunks.push(chunk);
    });
    stream.once('close', () => resolve(Buffer.concat(chunks)));
  });
}

function resultOf(outcome: Outcome, failed: boolean, splits: false): RunResult;
function resultOf(outcome: Outcome, failed: boolean, splits: boolean): RunResult | RunLinesResult;
function resultOf({ command, stdout, stderr, status, report }: Outcome, failed: boolean, splits: boolean): RunResult | RunLinesResult {
  const rest = { failed, ...status, report };
  if (splits) return { command, stdout: linesOf(decode(stdout)), stderr: linesOf(decode(stderr)), ...rest };
  return { command, stdout: decode(stdout), stderr: decode(stderr), ...rest };
}

function decode(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/\r?\n$/, '');
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.split(/\r?\n/);
}

/** The command as a POSIX shell would take it. */
function commandLine(file: string, args: readonly string[]): string {
  const quote = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  return [file, ...args].map(quote).join(' ');
}

// ---- what went wrong ----------------------------------------------------------------------------------------------------

interface Failure {
  code: ErrorCode;
  message: string;
  cause?: unknown;
  errno?: number | undefined;
  syscall?: string | undefined;
  stage?: ProcessError['stage'];
}

function failureOf(outcome: Outcome): Failure | undefined {
  const { status, startError, options, overflow, limit, keeperLost, report } = outcome;
  const fail = (code: ErrorCode, what: string, cause?: unknown): Failure => ({ code, message: `${what}: ${outcome.command}`, cause });

  if (startError !== undefined) {
    if (status.isCanceled) return fail('ERR_ABORTED', 'Command was canceled before it was started', startError.cause);
    const { errno, syscall, stage } = startError;
    return { ...fail('ERR_SPAWN', `Command could not be started: ${startError.message}`, startError), errno, syscall, stage };
  }
  const left = report.survivors
    .filter(({ reason }) => reason !== 'not-forced')
    .map(({ pid, name, reason }) => `${pid} ${name} (${reason})`);
  const end = `${describeEnd(outcome)}${left.length === 0 ? '' : `; not ended: ${left.join(', ')}`}`;
  if (status.isCanceled) return fail('ERR_ABORTED', `Command was canceled and ${end}`, options.signal?.reason);
  if (status.timedOut) return fail('ERR_RUN', `Command timed out after ${options.timeout} ms and ${end}`);
  if (overflow !== undefined) {
    const cause = new ProcessError('ERR_MAX_BUFFER', `${overflow} was longer than maxBuffer (${limit} bytes)`);
    return fail('ERR_MAX_BUFFER', `Command wrote more than ${limit} bytes to ${overflow} and ${end}`, cause);
  }
  if (keeperLost && status.exitCode === null && status.signal === null) {
    const cause = new ProcessError('ERR_KEEPER_LOST', 'the keeper of the tree was killed');
    return fail('ERR_KEEPER_LOST', `Command lost its keeper, which somebody killed, and ${end}`, cause);
  }
  if (left.length > 0) return fail('ERR_SURVIVORS', `Command ${end}`);
  if (status.signal !== null) return fail('ERR_RUN', `Command ${end}, which corral did not send`);
  if (status.exitCode !== 0) return fail('ERR_RUN', `Command failed with exit code ${status.exitCode}`);
  return undefined;
}

/** Completes "Command (timed out and) ...". */
function describeEnd({ status, isStillRunning, options }: Outcome): string {
  const { exitCode, signal, isForcefullyTerminated } = status;
  if (isStillRunning) return 'is still running';
  if (isForcefullyTerminated) {
    const { forceKillAfterDelay: delay = 5000 } = options;
    return `was forcefully ended with SIGKILL${typeof delay === 'number' && delay > 0 ? ` after ${delay} ms` : ''}`;
  }
  if (signal !== null) return `was ended with ${signal}`;
  return exitCode === null ? 'was ended' : `exited with code ${exitCode}`;
}
