/** How one process is shown in a table: every field that can be asked for, its column, and what has to be scanned for it. Pure. */
import type { ProcessField, ProcessInfo } from '../types.js';
import { formatAge } from './duration.js';
import { type Column, printable, type Style } from './format.js';
import { ttyName, userName } from './users.js';

export interface FieldColumn extends Column<ProcessInfo> {
  /** What the scan must read; pid comes always. */
  needs: ProcessField[];
}

const count = (value: number | undefined) => (value === undefined ? '?' : String(value));

/** Field name as `--fields` takes it → column. */
export const FIELD_COLUMNS: Record<string, FieldColumn> = {
  pid: { title: 'PID', needs: [], align: 'right', value: (process) => String(process.pid) },
  ppid: { title: 'PPID', needs: ['ppid'], align: 'right', value: (process) => count(process.ppid) },
  pgid: { title: 'PGID', needs: ['pgid'], align: 'right', value: (process) => count(process.pgid) },
  sid: { title: 'SID', needs: ['sid'], align: 'right', value: (process) => count(process.sid) },
  state: { title: 'S', needs: ['state'], value: (process) => process.state ?? '?', style: (process) => stateStyle(process.state) },
  age: {
    title: 'AGE',
    needs: ['startTime'],
    align: 'right',
    value: (process) => (process.ageSeconds === undefined ? '?' : formatAge(process.ageSeconds)),
  },
  startTime: { title: 'STARTED', needs: ['startTime'], value: (process) => process.startTime?.toISOString() ?? '?' },
  tty: { title: 'TTY', needs: ['tty'], value: (process) => ttyName(process.tty) },
  user: { title: 'USER', needs: ['uid'], value: (process) => userName(process.uid) },
  uid: { title: 'UID', needs: ['uid'], align: 'right', value: (process) => count(process.uid) },
  cpu: {
    title: 'CPU',
    needs: ['cpu'],
    align: 'right',
    value: (process) => (process.cpuMs === undefined ? '?' : `${(process.cpuMs / 1000).toFixed(1)}s`),
  },
  memory: {
    title: 'RSS',
    needs: ['memory'],
    align: 'right',
    value: (process) => (process.rssBytes === undefined ? '?' : formatBytes(process.rssBytes)),
  },
  threads: { title: 'THR', needs: ['threads'], align: 'right', value: (process) => count(process.threads) },
  name: { title: 'NAME', needs: ['name'], value: (process) => process.name ?? '?' },
  cwd: { title: 'CWD', needs: ['cwd'], value: (process) => process.cwd ?? '?' },
  exe: { title: 'EXE', needs: ['exe'], value: (process) => process.exe ?? '?' },
  cgroup: { title: 'CGROUP', needs: ['cgroup'], value: (process) => process.cgroup ?? '?' },
  args: { title: 'COMMAND', needs: ['name', 'args'], value: commandText },
};

export const DEFAULT_FIELDS = ['pid', 'ppid', 'pgid', 'sid', 'state', 'age', 'tty', 'user', 'args'];

export function neededFields(columns: readonly FieldColumn[]): ProcessField[] {
  return [...new Set(columns.flatMap((column) => column.needs))];
}

/** The command line; the name in brackets where there is none (kernel threads, zombies). */
export function commandText(process: ProcessInfo): string {
  // A program that has written a title over its arguments leaves one text and the rest empty.
  const last = process.args?.findLastIndex((arg) => arg !== '') ?? -1;
  if (process.args !== undefined && last === 0) return printable(process.args[0] as string);
  if (process.args !== undefined && last > 0)
    return process.args
      .slice(0, last + 1)
      .map(quoteArg)
      .join(' ');
  return `[${process.name ?? '?'}]`;
}

/** So that a reader sees where an argument ends. */
function quoteArg(arg: string): string {
  const shown = printable(arg);
  return shown === '' || /[\s'"]/.test(shown) ? `'${shown}'` : shown;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'K', 'M', 'G', 'T'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)}${units[unit]}`;
}

export function stateStyle(state: ProcessInfo['state']): Style | undefined {
  return state === 'Z' || state === 'D' ? 'red' : state === 'T' || state === 't' ? 'yellow' : undefined;
}
