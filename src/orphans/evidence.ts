/**
 * What is known about one process: its names, its command line, who its parent is, and how that is said to people.
 * Pure. A fact that was not read is undefined here, never a guess; judging is classify.ts's and protect.ts's work.
 */
import { isOwnersStart, ownerOf } from '../tree/mark.js';
import type { ProcessRow } from '../tree/row.js';
import type { ProcessInfo, ProcessTable } from '../types.js';

const INTERPRETER =
  /^(?:node|nodejs|MainThread|node-MainThread|bun|deno|python[\d.]*|pypy[\d.]*|ruby[\d.]*|perl[\d.]*|sh|bash|dash|zsh|ksh|fish)$/;
/** Options of interpreters whose value is the next argument. */
const VALUED_OPTION =
  /^(?:-r|--require|--import|--loader|--experimental-loader|-C|--conditions|--env-file|-W|-X|-o|\+o|-O|\+O|--rcfile|--init-file)$/;
const SHELL = /^(?:ba|da|z|k|fi)?sh$/;
/** With these there is no script: the program text is an argument. To a shell, -e means something else. */
const INLINE_PROGRAM = /^(?:-e|-p|-pe|--eval|--print|-[A-Za-z]*c)$/;
const INLINE_SHELL_PROGRAM = /^-[A-Za-z]*c$/;
const RUNNER_WORD = /^(?:run|x|task)$/;
const SCRIPT_SUFFIX = /\.(?:[mc]?[jt]s|py|pyz|rb|pl|sh)$/;
const PACKAGE = /.*\/node_modules\/((?:@[^/]+\/)?[^/.][^/]*)\//;

export function basename(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** argv[0] as a name: a login shell's leading dash does not count. undefined: unknown, or there is none (zombie, kernel thread). */
export function programName(process: ProcessInfo): string | undefined {
  const first = process.args?.[0];
  return first ? basename(first.startsWith('-') ? first.slice(1) : first) : undefined;
}

export function exeName(process: ProcessInfo): string | undefined {
  return process.exe === undefined ? undefined : basename(process.exe.replace(/ \(deleted\)$/, ''));
}

/** The script an interpreter runs (`node /usr/bin/codex`), or the module of `python -m`. */
export function scriptOperand(process: ProcessInfo): string | undefined {
  const args = process.args;
  if (args === undefined || args.length < 2) return undefined;
  const interpreter = [programName(process), exeName(process), process.name].find((name) => name !== undefined && INTERPRETER.test(name));
  if (interpreter === undefined) return undefined;
  const inline = SHELL.test(interpreter) ? INLINE_SHELL_PROGRAM : INLINE_PROGRAM;
  for (let at = 1; at < args.length; at++) {
    const arg = args[at] as string;
    if (arg === '-m') return args[at + 1];
    if (inline.test(arg)) return undefined;
    if (VALUED_OPTION.test(arg)) at++;
    else if (!arg.startsWith('-') && !arg.startsWith('+') && !(at === 1 && RUNNER_WORD.test(arg))) return arg;
  }
  return undefined;
}

/**
 * Every name a process goes by: the kernel's (comm, 15 characters, follows the executed file), argv[0], the executable's, the
 * script's with and without suffix, the npm package that lies in. Generous, so for protecting only: argv[0] and script
 * are what the process says of itself.
 */
export function namesOf(process: ProcessInfo): Set<string> {
  const names = new Set<string>();
  if (process.name !== undefined) names.add(process.name);
  for (const name of [programName(process), exeName(process)]) if (name) names.add(name);
  const script = scriptOperand(process);
  if (script !== undefined) {
    const name = basename(script);
    names.add(name).add(name.replace(SCRIPT_SUFFIX, ''));
    // python -m alembic.config
    if (process.args?.includes('-m')) names.add(name.split('.')[0] as string);
    // Of a script only: agents bring a ripgrep of their own in their package.
    const packageName = PACKAGE.exec(script)?.[1];
    if (packageName !== undefined) names.add(packageName);
  }
  return names;
}

/** Whether it may be run by an interpreter whose script we could not see: then its names prove nothing. */
export function isUnknownProgram(process: ProcessInfo): boolean {
  return (
    process.args === undefined &&
    !isZombie(process) &&
    (process.name === undefined || (INTERPRETER.test(process.name) && !SHELL.test(process.name)))
  );
}

/** Nothing of it runs any more. State Z with several threads says only that the first of them has ended. */
export function isZombie(process: ProcessInfo): boolean {
  return process.state === 'X' || (process.state === 'Z' && !(process.threads !== undefined && process.threads > 1));
}

/** Arguments joined by blanks; undefined when they are unknown. */
export function commandLine(process: ProcessInfo): string | undefined {
  return process.args?.join(' ');
}

/** Seconds since it started; `nowMs` (wall clock) serves only rows that carry a start time instead of an age. */
export function ageSeconds(process: ProcessInfo, nowMs: number): number | undefined {
  if (process.ageSeconds !== undefined) return process.ageSeconds;
  return process.startTime === undefined ? undefined : (nowMs - process.startTime.getTime()) / 1000;
}

/** Whether a process starter took it in after its own parent had died: init, or a systemd (the user's included). undefined: unknown. */
export function isReparented(process: ProcessInfo, table: ProcessTable): boolean | undefined {
  if (process.ppid === undefined) return undefined;
  if (process.ppid === 1) return true;
  const parent = table.get(process.ppid);
  return parent === undefined ? undefined : parent.name === 'systemd';
}

/** Whether the process that opened its session is gone (or its number belongs to a younger process). undefined: unknown. */
export function isLeaderDead(process: ProcessInfo, table: ProcessTable): boolean | undefined {
  if (process.sid === undefined || process.sid <= 0) return undefined;
  if (process.sid === process.pid) return false;
  const leader = table.get(process.sid);
  // Where not even init is shown (hidepid), a leader that is not shown may be another user's.
  if (leader === undefined) return table.get(1) === undefined ? undefined : true;
  return leader.name === undefined ? undefined : isZombie(leader) || leader.startTicks > process.startTicks;
}

/**
 * State D: it waits in the kernel, and signals may not reach it. Does not count for a member of a tree: whoever starts a program (vfork) is in
 * that state for a moment, and who outlives SIGKILL in it is named then.
 */
export function isInKernel(process: ProcessInfo | undefined): boolean {
  return process?.state === 'D' && (process as ProcessRow).treeMark === undefined;
}

/** Whether corral started it for a program that is gone (tree/mark.ts). False: nothing says that corral did. undefined: unknown. */
export function isAbandoned(process: ProcessRow, table: ProcessTable): boolean | undefined {
  const owner = ownerOf(process.treeMark);
  if (owner === undefined) return false;
  // Where not even init is shown (hidepid), an owner that is not shown may be another user's.
  if (table.get(1) === undefined) return undefined;
  const holder = table.get(owner.pid);
  if (holder !== undefined && holder.state === undefined) return undefined; // there, but not shown to us (hidepid=1)
  return holder === undefined || isZombie(holder) || !isOwnersStart(owner, holder.startTicks);
}

/** The ids of policy.ts REQUIREMENTS. undefined (also for an unknown id): not known, so the rule does not fire. */
export function requirementHolds(id: string, process: ProcessInfo, table: ProcessTable): boolean | undefined {
  switch (id) {
    case 'reparented':
      return isReparented(process, table);
    case 'leader_dead':
      return isLeaderDead(process, table);
    case 'abandoned':
      return isAbandoned(process, table);
    case 'orphan': {
      const reparented = isReparented(process, table);
      return reparented ? isLeaderDead(process, table) : reparented;
    }
    default:
      return undefined;
  }
}

/** Whether the kernel's name of a process is one of these: it keeps the first 15 characters (TASK_COMM_LEN). */
export function isNamed({ name }: ProcessInfo, names: readonly string[]): boolean {
  return name !== undefined && names.some((wanted) => wanted === name || (wanted.length > 15 && wanted.slice(0, 15) === name));
}

/** 'pid (name)' for people. */
export function describeProcess(process: ProcessInfo | undefined, pid: number): string {
  return process?.name === undefined ? String(pid) : `${pid} (${process.name})`;
}

/** "12.3 s", "7 min", "3 h 20 min". */
export function describeAge(seconds: number): string {
  if (seconds < 600) return `${Number(seconds.toFixed(2))} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The circumstances of a process that a rule names: where it stands in the tree and what state it is in. */
export function circumstances(process: ProcessInfo, table: ProcessTable): string[] {
  const lines: string[] = [];
  if (process.ppid !== undefined) {
    const parent = describeProcess(table.get(process.ppid), process.ppid);
    lines.push(isReparented(process, table) ? `reparented: ${parent} is its parent now` : `parent: ${parent}`);
  }
  const owner = ownerOf((process as ProcessRow).treeMark);
  if (owner !== undefined)
    lines.push(`mark of corral: started for process ${owner.pid}, which is ${isAbandoned(process, table) ? 'gone' : 'alive or unseen'}`);
  if (isLeaderDead(process, table)) lines.push(`leader_dead: the leader of its session, ${process.sid}, is gone`);
  if (process.state === 'T' || process.state === 't') lines.push('stopped: it does not run');
  return lines;
}
