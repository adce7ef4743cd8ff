/** What a row of a process table shows, and what a scan has to read for it. */
import { FIELD_ARGS, FIELD_CGROUP, FIELD_CWD, FIELD_ENV, FIELD_EXE, FIELD_STAT, FIELD_UID } from '../native.js';
import type { ProcessField, ProcessInfo } from '../types.js';

/** A row of a table: the public facts, and what only judging them needs. */
export interface ProcessRow extends ProcessInfo {
  /** A thread of the kernel; no signal ends it. Absent: an ordinary process, or not known. */
  kernelThread?: boolean;
  /** The limit that marks the tree it was started in (mark.ts), where that was asked for and is of this pid namespace. */
  treeMark?: number;
  /** Of children that were waited for; with 'cpu'. */
  childCpuMs?: number;
  /** Fields that were asked for and could not be read (other user, hidepid): unknown. Absent: none. */
  unread?: ProcessField[];
}

/** Names one process of this boot: a number alone is used again. */
export const keyOf = ({ pid, startTicks }: Pick<ProcessInfo, 'pid' | 'startTicks'>): string => `${pid}/${startTicks}`;

/** The moment of a scan, and the facts of the machine that turn its numbers into units. */
export interface TableFacts {
  /** CLOCK_BOOTTIME at the start of the scan, in clock ticks; the clock start times are on. */
  nowTicks: bigint;
  /** Wall clock at the same time, for display only. */
  nowMs: number;
  bootId?: string;
  /** USER_HZ. Default 100. */
  ticksPerSecond?: number;
  /** Default 4096. */
  pageSize?: number;
  /** The process that made the scan. */
  scannerPid?: number;
}

/** What has to be read of each process for a field, proc(5). Everything in /proc/PID/stat is one file and one bit. */
export const FIELD_BITS: Readonly<Record<ProcessField, number>> = {
  name: FIELD_STAT,
  ppid: FIELD_STAT,
  pgid: FIELD_STAT,
  sid: FIELD_STAT,
  state: FIELD_STAT,
  tty: FIELD_STAT,
  startTime: FIELD_STAT,
  cpu: FIELD_STAT,
  memory: FIELD_STAT,
  threads: FIELD_STAT,
  args: FIELD_ARGS,
  uid: FIELD_UID,
  cwd: FIELD_CWD,
  exe: FIELD_EXE,
  env: FIELD_ENV,
  cgroup: FIELD_CGROUP,
};
export const PROCESS_FIELDS = Object.keys(FIELD_BITS) as ProcessField[];

/** PF_KTHREAD of the kernel's include/linux/sched.h, in the flags of proc_pid_stat(5). */
export const KERNEL_THREAD = 0x00200000;
