/**
 * The columns of a native scan, as the objects and links a table shows. Pure.
 *
 * Tables of many thousand processes are decoded here: one loop without detours, and text is made into strings once for all rows.
 */
import { isAscii } from 'node:buffer';
import { FIELD_ARGS, FIELD_CGROUP, FIELD_CWD, FIELD_ENV, FIELD_EXE, FIELD_STAT, FIELD_UID, type ScanColumns } from '../native.js';
import type { ProcessField, ProcessInfo } from '../types.js';
import { FIELD_BITS, KERNEL_THREAD, type ProcessRow, type TableFacts } from './row.js';

/** The start time of a row whose stat was hidden from us; it belongs to no process. */
const HIDDEN_TICKS = 0xffff_ffff_ffff_ffffn;

/** The few columns that every question about belonging needs, whatever the rows show. -1 = not known. */
export interface Links {
  pid: Int32Array;
  ppid: Int32Array;
  pgid: Int32Array;
  sid: Int32Array;
  /** ASCII code of the state letter; 0 = not known. */
  state: Uint8Array;
  threads: Int32Array;
  flags: Uint32Array;
}

export function linksOfColumns(columns: ScanColumns): Links {
  const { count, unread } = columns;
  const hidden = unread?.some((bits) => (bits & FIELD_STAT) !== 0) ?? false;
  const known = (column: Int32Array = new Int32Array(count).fill(-1)) =>
    hidden ? column.map((value, index) => (unread![index]! & FIELD_STAT ? -1 : value)) : column;
  return {
    pid: columns.pid,
    ppid: known(columns.ppid),
    pgid: known(columns.pgid),
    sid: known(columns.sid),
    state: columns.state ?? new Uint8Array(count),
    threads: columns.threads ?? new Int32Array(count),
    flags: columns.flags ?? new Uint32Array(count),
  };
}

export function linksOfRows(rows: readonly ProcessRow[]): Links {
  return {
    pid: Int32Array.from(rows, (row) => row.pid),
    ppid: Int32Array.from(rows, (row) => row.ppid ?? -1),
    pgid: Int32Array.from(rows, (row) => row.pgid ?? -1),
    sid: Int32Array.from(rows, (row) => row.sid ?? -1),
    state: Uint8Array.from(rows, (row) => row.state?.charCodeAt(0) ?? 0),
    threads: Int32Array.from(rows, (row) => row.threads ?? 0),
    flags: Uint32Array.from(rows, (row) => (row.kernelThread ? KERNEL_THREAD : 0)),
  };
}

/** Indexes of the rows that bear one of these names, in ascending order; found by their bytes, as a string of one character each. */
export function indexesNamed(columns: ScanColumns, names: Iterable<string>): number[] {
  const { name: offsets, text } = columns;
  if (offsets === undefined) return [];
  const wanted = new Set(Array.from(names, (name) => Buffer.from(name).toString('latin1')));
  const [first = 0] = offsets;
  const bytes = Buffer.from(text.buffer, text.byteOffset + first, offsets[columns.count]! - first).toString('latin1');
  const found: number[] = [];
  for (let index = 0; index < columns.count; index++) {
    if (wanted.has(bytes.slice(offsets[index]! - first, offsets[index + 1]! - first))) found.push(index);
  }
  return found;
}

type Moment = Pick<TableFacts, 'nowTicks' | 'nowMs' | 'ticksPerSecond'>;

/** Start as a date and age, from ticks of the boot-time clock. A process younger than the scan has age 0. */
export function timesOf(startTicks: bigint, facts: Moment): { startTime?: Date; ageSeconds?: number } {
  if (startTicks === HIDDEN_TICKS) return {};
  const ageSeconds = ageReader(facts)(startTicks);
  return { startTime: new Date(facts.nowMs - ageSeconds * 1000), ageSeconds };
}

function ageReader({ nowTicks, ticksPerSecond = 100 }: Moment): (startTicks: bigint) => number {
  const now = Number(nowTicks);
  return (startTicks) => Math.max(0, now - Number(startTicks)) / ticksPerSecond;
}

/** Makes the function that turns row `index` of the columns into an object with the given fields; those not scanned are left out. */
export function rowDecoder(columns: ScanColumns, fields: ReadonlySet<ProcessField>, facts: TableFacts): (index: number) => ProcessRow {
  const { pid, startTicks, unread, flags } = columns;
  const { bootId = '', pageSize = 4096, nowMs } = facts;
  const msPerTick = 1000 / (facts.ticksPerSecond ?? 100);
  const column = <T>(field: ProcessField, values: T | undefined): T | undefined => (fields.has(field) ? values : undefined);
  const text = (field: ProcessField, offsets: Uint32Array | undefined) => {
    const wanted = column(field, offsets);
    const string = wanted && stringReader(columns.text);
    return string && ((index: number) => string(wanted[index]!, wanted[index + 1]!));
  };

  const name = text('name', columns.name);
  const ppid = column('ppid', columns.ppid);
  const pgid = column('pgid', columns.pgid);
  const sid = column('sid', columns.sid);
  const state = column('state', columns.state);
  const tty = column('tty', columns.tty);
  const age = column('startTime', ageReader(facts));
  const cpuTicks = column('cpu', columns.cpuTicks);
  const childCpuTicks = column('cpu', columns.childCpuTicks);
  const rssPages = column('memory', columns.rssPages);
  const threads = column('threads', columns.threads);
  const args = text('args', columns.args);
  const uid = column('uid', columns.uid);
  const cwd = text('cwd', columns.cwd);
  const exe = text('exe', columns.exe);
  const env = text('env', columns.env);
  const cgroup = text('cgroup', columns.cgroup);

  return (index) => {
    const missing = unread?.[index] ?? 0;
    const row: ProcessRow = { pid: pid[index]!, startTicks: startTicks[index]!, bootId };
    if (!(missing & FIELD_STAT)) {
      if (name) row.name = name(index);
      if (ppid) row.ppid = ppid[index];
      if (pgid) row.pgid = pgid[index];
      if (sid) row.sid = sid[index];
      if (state) row.state = String.fromCharCode(state[index]!) as NonNullable<ProcessInfo['state']>;
      if (tty) row.tty = tty[index];
      if (age) {
        const ageSeconds = age(row.startTicks);
        row.startTime = new Date(nowMs - ageSeconds * 1000);
        row.ageSeconds = ageSeconds;
      }
      if (cpuTicks) row.cpuMs = cpuTicks[index]! * msPerTick;
      if (childCpuTicks) row.childCpuMs = childCpuTicks[index]! * msPerTick;
      if (rssPages) row.rssBytes = rssPages[index]! * pageSize;
      if (threads) row.threads = threads[index];
      if (flags && flags[index]! & KERNEL_THREAD) row.kernelThread = true;
    }
    if (args && !(missing & FIELD_ARGS)) row.args = splitZeros(args(index));
    if (uid && !(missing & FIELD_UID)) row.uid = uid[index];
    if (cwd && !(missing & FIELD_CWD)) row.cwd = cwd(index);
    if (exe && !(missing & FIELD_EXE)) row.exe = exe(index);
    if (env && !(missing & FIELD_ENV)) row.env = parseEnvironment(env(index));
    if (cgroup && !(missing & FIELD_CGROUP)) row.cgroup = cgroup(index).replace(/\n$/, '');
    if (missing !== 0) row.unread = [...fields].filter((field) => missing & FIELD_BITS[field]);
    return row;
  };
}

/**
 * How much text is made into a string at once, in bytes. V8 maps memory of its own for a string of 128 KiB and more, which took a
 * millisecond of the event loop; and a row keeps no more than this alive.
 */
const WINDOW = 16 * 1024;

/**
 * Strings by offsets into UTF-8 text, best asked for in ascending order. Nearly all of it is ASCII, where one conversion of a long stretch
 * and slices of that take a tenth of the time of one conversion each.
 */
function stringReader(text: Uint8Array): (start: number, end: number) => string {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  let window = '';
  let from = 0;
  let to = 0;
  let ascii = false;
  return (start, end) => {
    if (start < from || end > to) {
      from = start;
      to = Math.max(end, Math.min(start + WINDOW, bytes.length));
      ascii = isAscii(bytes.subarray(from, to));
      window = bytes.toString('latin1', from, to);
    }
    const string = window.slice(start - from, end - from);
    return ascii || !/[\x80-\xff]/.test(string) ? string : bytes.toString('utf8', start, end);
  };
}

/** Strings that are each ended by NUL; the last end may be missing (a program may overwrite its command line). */
function splitZeros(text: string): string[] {
  const strings: string[] = [];
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf('\0', start);
    const stop = end < 0 ? text.length : end;
    strings.push(text.slice(start, stop));
    start = stop + 1;
  }
  return strings;
}

/** KEY=VALUE strings as a record; of two with one name the first counts, as for getenv(3). What has no name is left out. */
function parseEnvironment(text: string): Record<string, string> {
  const pairs = new Map<string, string>();
  for (const entry of splitZeros(text)) {
    const equals = entry.indexOf('=', 1);
    const name = entry.slice(0, equals);
    if (equals > 0 && !pairs.has(name)) pairs.set(name, entry.slice(equals + 1));
  }
  return Object.fromEntries(pairs);
}
