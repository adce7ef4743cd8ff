/**
 * Asks the kernel who is there: one asynchronous native scan, made into a table.
 *
 * Reads exactly the files that the requested fields need, and no others. The event loop is kept alive while a scan is
 * under way, and not longer.
 */
import { describe, invalidArgument, NO_PROC, ProcessError } from '../errors.js';
import { closeId, FIELD_STAT, kernel, native, newId, receive, type ScanColumns } from '../native.js';
import { closest } from '../signals.js';
import type { ProcessField } from '../types.js';
import { checkOptions } from './options.js';
import { FIELD_BITS, PROCESS_FIELDS, type ProcessRow } from './row.js';
import { ProcessTable } from './table.js';

/**
 * What a scan reads when nobody says otherwise: all of /proc/PID/stat, which is one file, and the command line. The rest costs a file
 * more per process (uid, cwd, exe, cgroup) or may be large and secret (env), and comes when it is asked for.
 */
export const DEFAULT_FIELDS: readonly ProcessField[] = [...PROCESS_FIELDS.filter((field) => FIELD_BITS[field] === FIELD_STAT), 'args'];

/**
 * How long objects are made before the event loop goes on, and how many before the clock is asked: code that has not run often makes them
 * ten times as slowly.
 */
const AT_ONCE_MS = 0.2;
const PORTION = 8;

export interface ScanOptions {
  /** Default DEFAULT_FIELDS. Links (children, groups, sessions) and states are there whatever the rows show. */
  fields?: readonly ProcessField[];
  /** Only these; those that do not exist are left out. */
  pids?: readonly number[];
  /** Only members of this process group, or of this session: no file is opened for the others. */
  pgid?: number;
  sid?: number;
}

/**
 * Scans /proc. What ends meanwhile is left out; what can not be read is named in the row's `unread`.
 * @throws ProcessError ERR_INVALID_ARGUMENT naming the option; ERR_SCAN when /proc can not be read, or is that of another pid namespace.
 */
export async function scan(options: ScanOptions = {}): Promise<ProcessTable> {
  checkOptions('scan', options, ['fields', 'pids', 'pgid', 'sid']);
  const fields = checkFields(options.fields);
  const pids = checkPids(options.pids);
  const columns = await scanColumns({
    fields: fields.reduce((bits, field) => bits | FIELD_BITS[field], FIELD_STAT),
    ...(pids === undefined ? {} : { pids: Int32Array.from(pids) }),
    ...(options.pgid === undefined ? {} : { pgid: checkPid(options.pgid, 'pgid') }),
    ...(options.sid === undefined ? {} : { sid: checkPid(options.sid, 'sid') }),
  });
  const { bootId, clockTicksPerSecond: ticksPerSecond, pageSize } = kernel();
  return ProcessTable.fromColumns(columns, fields, { bootId, ticksPerSecond, pageSize, scannerPid: process.pid });
}

/**
 * The processes of this machine (this pid namespace) as plain objects, in ascending order of pid.
 * @param options.fields what each object shows besides pid, startTicks and bootId; default: everything of /proc/PID/stat, and args.
 * @param options.pids only these; unknown ones are left out.
 * @throws as `scan`.
 */
export async function listProcesses(options: { fields?: ProcessField[]; pids?: number[] } = {}): Promise<ProcessRow[]> {
  checkOptions('listProcesses', options, ['fields', 'pids']);
  const table = await scan(options);
  const rows: ProcessRow[] = [];
  let beganMs = performance.now();
  while (rows.length < table.size) {
    if (performance.now() - beganMs > AT_ONCE_MS) {
      await new Promise(setImmediate); // let others have their turn
      beganMs = performance.now();
    }
    rows.push(...table.rows(rows.length, rows.length + PORTION));
  }
  return rows;
}

/**
 * The same as a table that knows children, descendants, groups and sessions.
 * @throws as `scan`.
 */
export async function snapshot(options: { fields?: ProcessField[] } = {}): Promise<ProcessTable> {
  checkOptions('snapshot', options, ['fields']);
  return scan(options);
}

function scanColumns(request: { fields: number; pids?: Int32Array; pgid?: number; sid?: number }): Promise<ScanColumns> {
  return new Promise((resolve, reject) => {
    const addon = native();
    const id = newId({
      [receive](event) {
        addon.unref();
        closeId(id);
        if (event.type === 'scanned') resolve(event.table);
        else if (event.type === 'scanFailed') reject(scanError(event.errno, event.syscall));
      },
    });
    addon.scan({ id, ...request });
    addon.ref();
  });
}

function scanError(errno: number, syscall: string): ProcessError {
  const error = new ProcessError('ERR_SCAN', `/proc could not be read (${syscall})`, { errno, syscall });
  return error.code === 'EXDEV' ? new ProcessError('ERR_SCAN', NO_PROC, { errno, syscall }) : error;
}

function checkFields(fields: readonly ProcessField[] = DEFAULT_FIELDS): readonly ProcessField[] {
  const known = PROCESS_FIELDS.join(', ');
  if (!Array.isArray(fields)) throw invalidArgument('fields', `an array of process fields (${known})`, fields);
  for (const field of fields as readonly unknown[]) {
    if (typeof field === 'string' && Object.hasOwn(FIELD_BITS, field)) continue;
    const meant = typeof field === 'string' ? closest(field, PROCESS_FIELDS) : undefined;
    const hint = meant === undefined ? '' : `; did you mean '${meant}'?`;
    throw new ProcessError('ERR_INVALID_ARGUMENT', `fields: expected any of ${known}, received ${describe(field)}${hint}`);
  }
  return fields;
}

function checkPids(pids: readonly number[] | undefined): number[] | undefined {
  if (pids === undefined) return undefined;
  if (!Array.isArray(pids)) throw invalidArgument('pids', 'an array of process ids', pids);
  return [...new Set(pids.map((pid, index) => checkPid(pid, `pids[${index}]`)))].sort((left, right) => left - right);
}

function checkPid(pid: unknown, option: string): number {
  if (typeof pid === 'number' && Number.isInteger(pid) && pid >= 1 && pid <= 0x7fffffff) return pid;
  throw invalidArgument(option, 'a process id (an integer from 1 to 2147483647)', pid);
}
