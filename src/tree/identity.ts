/**
 * Who a process is, who we are ourselves, and which targets are refused whoever asks.
 *
 * A pid is only a number that is used again; with the start time in ticks since boot and the boot id it names one process
 * for as long as the machine is up. Signals nothing.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { invalidArgument, NO_PROC, ProcessError } from '../errors.js';
import { kernel, native } from '../native.js';
import type { ProcessIdentity } from '../types.js';
import { KERNEL_THREAD } from './row.js';

const { EACCES, EPERM, ESRCH, EXDEV } = constants.errno;
/** What says that there is nobody, or nobody for our eyes. */
const NOBODY_SEEN: ReadonlySet<number> = new Set([-ESRCH, -EACCES, -EPERM]);

/** /proc/sys/kernel/random/boot_id; '' when it can not be read. */
export function bootId(): string {
  return kernel().bootId;
}

/**
 * Who runs under this pid now, zombies included; null when nobody does, or when /proc does not show it to us (hidepid).
 * @throws ProcessError ERR_SCAN when we could not look (EMFILE): that says nothing about the process.
 */
export function identityOf(pid: number): ProcessIdentity | null {
  const startTicks = native().startTicks(pid);
  if (typeof startTicks === 'bigint') return { pid, startTicks, bootId: bootId() };
  if (NOBODY_SEEN.has(startTicks)) return null;
  throw new ProcessError('ERR_SCAN', `/proc/${pid}/stat could not be read`, { pid, errno: startTicks, syscall: 'open' });
}

/** Whether a process exists that /proc does not show to us: mounted with hidepid, it leaves out those of other users, proc(5). */
export function isHidden(pid: number): boolean {
  if (identityOf(pid) !== null) return false;
  try {
    process.kill(pid, 0); // sends nothing
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return false;
}

/** Ourselves, as far as choosing victims is concerned. */
export interface Self {
  pid: number;
  pgid: number;
  sid: number;
  /** Parent, its parent and so on up to PID 1, as far as /proc shows them. */
  ancestors: ReadonlySet<number>;
  /** The keepers of this program's own trees: our children, but not ours to end. */
  keepers: ReadonlySet<number>;
}

const keepers = new Set<number>();

/** Whoever starts a keeper names it here until its tree is empty, so that no kill by pid or by mark hits it. */
export function protectKeeper(pid: number): void {
  keepers.add(pid);
}

export function releaseKeeper(pid: number): void {
  keepers.delete(pid);
}

/**
 * Read afresh each time: a parent that dies makes another process our parent, and setsid() changes group and session.
 * @throws ProcessError ERR_SCAN: who does not know its own group and ancestors can not spare them.
 */
export function self(): Self {
  const found = native().lineage();
  if (typeof found === 'number') throw cannotLook(found);
  const [pgid, sid, ...ancestors] = found as [number, number, ...number[]];
  return { pid: process.pid, pgid, sid, ancestors: new Set(ancestors), keepers: new Set(keepers) };
}

/**
 * For what asks /proc about a number: elsewhere than in the /proc of our own pid namespace it stands for another process or for none.
 * @throws ProcessError ERR_SCAN
 */
export function requireProc(): void {
  let own: string | undefined;
  try {
    own = readlinkSync('/proc/self');
  } catch {
    // There is none: not mounted, or mounted by a namespace that does not see us.
  }
  if (own !== String(process.pid)) throw noProc();
}

function cannotLook(errno: number): ProcessError {
  const isNobody = errno === -EXDEV || errno === -ESRCH || errno === -constants.errno.ENOENT;
  return isNobody ? noProc() : new ProcessError('ERR_SCAN', '/proc could not be read', { errno, syscall: 'open' });
}

function noProc(): ProcessError {
  return new ProcessError('ERR_SCAN', NO_PROC, { errno: -EXDEV, syscall: 'readlink' });
}

/** The parent of a process, now; undefined when there is none or it is hidden. */
export function parentOf(pid: number): number | undefined {
  return readStat(pid)?.ppid;
}

/** The process group of a process, now; undefined when there is none or it is hidden. */
export function groupOf(pid: number): number | undefined {
  return readStat(pid)?.pgid;
}

/**
 * Refuses what must never be a target: 0 and -1 (they mean whole sets of processes to kill(2)), PID 1, ourselves, our ancestors, the
 * leader of our own process group, and the keepers of our own trees.
 * @param option name of the argument, for the message.
 * @throws ProcessError ERR_REFUSED_TARGET saying why, or ERR_INVALID_ARGUMENT for what is no process id at all.
 */
export function refuse(pid: unknown, option: string, ourselves: () => Self = self): void {
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < -1 || pid > 0x7fffffff) {
    throw invalidArgument(option, 'a process id (an integer from 2 to 2147483647)', pid);
  }
  const why = reasonToRefuse(pid, ourselves);
  if (why !== undefined) throw new ProcessError('ERR_REFUSED_TARGET', `${option}: ${pid} is refused: ${why}`, { pid });
}

/**
 * The same, and what is no process of its own: a thread, whose id kill(2) and /proc take for its process's, and the threads of the kernel.
 * For targets that a caller names; what a scan has found can be no thread, and says itself which are the kernel's.
 */
export function refuseTarget(pid: unknown, option: string): asserts pid is number {
  refuse(pid, option);
  const why = reasonToRefuseKind(readProc(`${pid}/stat`), readProc(`${pid}/status`));
  if (why !== undefined) throw new ProcessError('ERR_REFUSED_TARGET', `${option}: ${pid} is refused: ${why}`, { pid: pid as number });
}

/** @param stat,status as in /proc (proc_pid_stat(5), proc_pid_status(5)); undefined: nobody, or hidden. Pure. */
export function reasonToRefuseKind(stat: string | undefined, status: string | undefined): string | undefined {
  if (((parseStat(stat)?.flags ?? 0) & KERNEL_THREAD) !== 0) return 'it is a thread of the kernel';
  const [, tgid, pid] = /^Tgid:\t(\d+)\n(?:.*\n)*?Pid:\t(\d+)$/m.exec(status ?? '') ?? [];
  return tgid === pid ? undefined : `it is a thread of process ${tgid}`;
}

function reasonToRefuse(pid: number, ourselves: () => Self): string | undefined {
  if (pid === -1) return 'to kill(2) it means every process there is';
  if (pid === 0) return 'to kill(2) it means our own process group';
  if (pid === 1) return 'PID 1 is init; everything here ends with it';
  const { pid: own, pgid, ancestors, keepers } = ourselves();
  if (pid === own) return 'it is this process itself';
  if (ancestors.has(pid)) return 'this process descends from it';
  if (pid === pgid) return 'it leads the process group that this process belongs to';
  if (keepers.has(pid)) return 'it is the keeper of a tree of this program; stop the tree instead';
  return undefined;
}

/**
 * What proc_pid_stat(5) says of belonging; undefined when there is nobody or it is hidden.
 * @throws ProcessError ERR_SCAN when we could not look.
 */
function readStat(pid: number): Stat | undefined {
  return parseStat(readProc(`${pid}/stat`));
}

interface Stat {
  ppid: number;
  pgid: number;
  flags: number;
}

function parseStat(stat: string | undefined): Stat | undefined {
  if (stat === undefined) return undefined;
  // The name before it may hold anything, parentheses and newlines too: what follows the last one is ours.
  const [, ppid = 0, pgid = 0, , , , flags = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ', 7)
    .map(Number);
  return { ppid, pgid, flags };
}

/** @throws ProcessError ERR_SCAN when we could not look (EMFILE): that says nothing about the process. */
function readProc(name: string): string | undefined {
  try {
    return readFileSync(`/proc/${name}`, 'latin1');
  } catch (error) {
    const { code = '', errno, syscall } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) return undefined;
    throw new ProcessError('ERR_SCAN', `/proc/${name} could not be read`, { cause: error, errno, syscall });
  }
}
