/**
 * What /proc says, read by the tests themselves: the product under test must not be its own witness.
 * A zombie is not alive here, and neither is a process whose number now belongs to another.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface ProcStat {
  pid: number;
  name: string;
  state: string;
  ppid: number;
  pgid: number;
  sid: number;
  /** Foreground process group of its controlling terminal; -1 = it has none. */
  tpgid: number;
  /** Start time in clock ticks since boot; with the pid it names one process for as long as the machine is up. */
  startTicks: bigint;
}

/** undefined: there is no such process, not even a zombie. */
export function readStat(pid: number): ProcStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const close = text.lastIndexOf(')');
  const fields = text.slice(close + 2).split(' ');
  return {
    pid,
    name: text.slice(text.indexOf('(') + 1, close),
    state: fields[0] ?? '?',
    ppid: Number(fields[1]),
    pgid: Number(fields[2]),
    sid: Number(fields[3]),
    tpgid: Number(fields[5]),
    startTicks: BigInt(fields[19] ?? 0),
  };
}

export function allProcesses(): ProcStat[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat !== undefined);
}

/** Running, sleeping or stopped; zombies are not. With startTicks: that very process. */
export function isAlive(pid: number, startTicks?: bigint): boolean {
  const stat = readStat(pid);
  if (stat === undefined || (startTicks !== undefined && stat.startTicks !== startTicks)) return false;
  return stat.state !== 'Z' && stat.state !== 'X';
}

/**
 * Signals it if it is alive (with startTicks: that very process). Between the look and the signal it may end and be reaped by whoever is its
 * parent: that is what was wanted.
 */
export function signalIfAlive(pid: number, signal: NodeJS.Signals = 'SIGKILL', startTicks?: bigint): void {
  if (!isAlive(pid, startTicks)) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export function isZombie(pid: number): boolean {
  return readStat(pid)?.state === 'Z';
}

/** The command line for a person; the name in brackets where there is none (kernel threads, zombies). */
export function commandLine(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    if (text !== '') return text;
  } catch {
    // Falls through to the name.
  }
  return `[${readStat(pid)?.name ?? 'gone'}]`;
}

/** One line that names a process in a failure message. */
export function describeProcess(stat: ProcStat): string {
  return `${stat.pid} (state ${stat.state}, parent ${stat.ppid}, group ${stat.pgid}, session ${stat.sid}): ${commandLine(stat.pid)}`;
}

/** Open descriptors of a process and what they are, e.g. 7 → '/dev/null'. */
export function openFiles(pid: number | 'self' = 'self'): Map<number, string> {
  const files = new Map<number, string>();
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      files.set(Number(name), readlinkSync(`/proc/${pid}/fd/${name}`));
    } catch {
      // The descriptor of this very listing.
    }
  }
  return files;
}

/** The process behind a pidfd of ours; -1 when it is gone and reaped. undefined: not a pidfd. */
export function processOfPidfd(fd: number): number | undefined {
  const pid = /^Pid:\s*(-?\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** Threads of a process: id → name. */
export function threads(pid: number | 'self' = 'self'): Map<number, string> {
  const found = new Map<number, string>();
  for (const name of readdirSync(`/proc/${pid}/task`)) {
    try {
      found.set(Number(name), readFileSync(`/proc/${pid}/task/${name}/comm`, 'utf8').trim());
    } catch {
      // Ended while we looked.
    }
  }
  return found;
}
