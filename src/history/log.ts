/**
 * The run log: a JSON array of { timestamp, stats }, newest last, one entry per run of the sweep, also when nothing was found.
 *
 * Appended under a lock and replaced as a whole (written aside, synced, renamed), so a reader never sees half of it and writers
 * at the same time lose nothing. What can not be understood is moved aside, never overwritten. Runs that did not look (throttled,
 * another one running) are not recorded; that is the caller's business.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { loadedNative } from '../native.js';
import { lockWithin } from './lock.js';
import { logPlace, stateLogPath, staysBelow } from './paths.js';

/** One process that was ended. The first four keys, in this order, are the established form; the rest is ours. */
export interface RunDetail {
  pid: number;
  /** 'ripgrep', 'bash', or the name of a class of one's own. */
  type: string;
  reason: string;
  /** Seconds since its start when it was judged, two decimals. */
  running_time: number;
  name?: string;
  rule?: string;
  signal?: string | null;
}

export interface RunStats {
  ripgrep_cleaned: number;
  bash_cleaned: number;
  total_cleaned: number;
  failed: number;
  /** What was ended; failures are in failed_details. */
  details: RunDetail[];
  cleaned_by_class?: Record<string, number>;
  failed_details?: Array<{ pid: number; reason: string; name?: string; rule?: string }>;
  reported?: number;
  deferred?: number;
  duration_ms?: number;
  report_only?: boolean;
}

export interface RunRecord {
  /** Local time without zone, microseconds: 2026-02-03T10:11:12.123000. See localTimestamp. */
  timestamp: string;
  /** The host's event that caused the run, when there was one. */
  event?: string;
  stats: RunStats;
}

export interface AppendOptions {
  projectRoot: string;
  env?: NodeJS.ProcessEnv;
  /** The user's own path; null: by rule. */
  configuredPath?: string | null;
  /** How many runs are kept. */
  keep?: number;
  /** How long to wait for other writers. */
  timeoutMs?: number;
}

export interface AppendResult {
  /** Where it was written; undefined: nowhere, the warnings say why. */
  path?: string;
  warnings: string[];
}

export const DEFAULT_KEEP = 30;
/** 30 runs with 20 details each are a tenth of a megabyte; what is larger is no log of ours. */
const MAX_LOG_BYTES = 8 * 1024 * 1024;
const DEFAULT_LOCK_TIMEOUT_MS = 2000;

/**
 * Appends one run. Never throws: a run whose log can not be written is still a run, and the warnings say what happened. Falls back
 * from the project's .moai/cache to the state directory when that can not be written.
 */
export async function appendRun(record: RunRecord, options: AppendOptions): Promise<AppendResult> {
  const { projectRoot, env = process.env, configuredPath = null, keep = DEFAULT_KEEP, timeoutMs = DEFAULT_LOCK_TIMEOUT_MS } = options;
  const place = logPlace(projectRoot, env, configuredPath);
  const warnings = [...place.warnings];
  const isIn = async (file: string, within?: string): Promise<boolean> => {
    try {
      warnings.push(...(await appendTo(file, within, record, keep, timeoutMs)));
      return true;
    } catch (error) {
      warnings.push(`${file}: the run could not be recorded: ${(error as Error).message}`);
      return false;
    }
  };
  if (await isIn(place.path, place.within)) return { path: place.path, warnings };
  const fallback = configuredPath === null ? stateLogPath(projectRoot, env) : place.path;
  return fallback !== place.path && (await isIn(fallback)) ? { path: fallback, warnings } : { warnings };
}

async function appendTo(file: string, within: string | undefined, record: RunRecord, keep: number, timeoutMs: number): Promise<string[]> {
  const directory = path.dirname(file);
  if (!existsSync(directory)) mkdirSync(directory, { recursive: true, mode: within === undefined ? 0o700 : 0o777 });
  // Again, after making it: what did not exist before could be a link now.
  if (within !== undefined && !staysBelow(directory, within)) throw new Error(`${directory} leads out of the project`);
  const lock = await lockWithin(`${file}.lock`, timeoutMs);
  if (lock === undefined) throw new Error(`others were writing for ${timeoutMs} ms`);
  try {
    const { runs, problem } = readRuns(file);
    const warnings: string[] = [];
    if (problem !== undefined) {
      const aside = moveAside(file);
      warnings.push(
        `${file}: ${problem}; it was moved to ${path.basename(aside)}${runs.length > 0 ? `, ${runs.length} entries were kept` : ''}`,
      );
    }
    replace(file, formatRuns([...runs, record].slice(-keep)));
    return warnings;
  } finally {
    lock.release();
  }
}

/**
 * The runs of a log, oldest first; none when there is no file. `problem`: something in it is not what this module writes; `runs` has
 * what is. Links are not followed.
 */
export function readRuns(file: string): { runs: RunRecord[]; problem?: string } {
  let text: string;
  try {
    text = readPlainFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { runs: [] };
    return { runs: [], problem: (error as NodeJS.ErrnoException).code === 'ELOOP' ? 'it is a symbolic link' : (error as Error).message };
  }
  if (text.trim() === '') return { runs: [] };
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch (error) {
    return { runs: [], problem: `expected JSON: ${(error as Error).message}` };
  }
  if (!Array.isArray(entries)) return { runs: [], problem: 'expected an array of runs' };
  const runs = entries.filter(isRun);
  return runs.length === entries.length ? { runs } : { runs, problem: `${entries.length - runs.length} of its entries are no runs` };
}

/** Python's datetime.now().isoformat(), which readers of this log know: no zone, six digits, of which the clock of JavaScript fills three. */
export function localTimestamp(date: Date): string {
  const seconds = Math.floor(date.getTime() / 1000);
  // V8 takes half a millisecond to load its time zones.
  const time = loadedNative()?.localTime?.(seconds) || localTime(date);
  return `${time}.${padded(date.getTime() - seconds * 1000, 3)}000`;
}

function localTime(date: Date): string {
  const day = `${date.getFullYear()}-${padded(date.getMonth() + 1)}-${padded(date.getDate())}`;
  return `${day}T${padded(date.getHours())}:${padded(date.getMinutes())}:${padded(date.getSeconds())}`;
}

function padded(value: number, digits = 2): string {
  return String(value).padStart(digits, '0');
}

function isRun(entry: unknown): entry is RunRecord {
  if (typeof entry !== 'object' || entry === null) return false;
  const { timestamp, stats } = entry as Partial<RunRecord>;
  return (
    typeof timestamp === 'string' &&
    typeof stats === 'object' &&
    stats !== null &&
    typeof stats.total_cleaned === 'number' &&
    Array.isArray(stats.details)
  );
}

function formatRuns(runs: readonly RunRecord[]): string {
  return `${JSON.stringify(runs, null, 2)}\n`;
}

function readPlainFile(file: string): string {
  // O_NONBLOCK: a named pipe put there must not make us wait for its writer.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw new Error('expected a file');
    if (status.size > MAX_LOG_BYTES) throw new Error(`expected at most ${MAX_LOG_BYTES} bytes, received ${status.size}`);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

function moveAside(file: string): string {
  const stamp = localTimestamp(new Date()).replace(/[:.]/g, '-');
  for (let count = 0; ; count++) {
    const aside = `${file}.corrupt-${stamp}${count === 0 ? '' : `-${count}`}`;
    if (lstatSync(aside, { throwIfNoEntry: false }) !== undefined) continue;
    renameSync(file, aside);
    return aside;
  }
}

/** In the same directory, so that rename(2) is one step; synced first, so that after a power cut it is the old or the new, not nothing. */
function replace(file: string, text: string): void {
  const draft = `${file}.${process.pid}-${Date.now()}.tmp`;
  const fd = openSync(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, file);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  }
}
