/**
 * The mark of a tree that its members can not lose by accident: the soft limit RLIMIT_RTTIME (setrlimit(2)), which every child
 * inherits, through setsid, double fork, exec and `env -i`, and which anybody may read in /proc/PID/limits (proc_pid_limits(5)).
 *
 * It bounds the CPU time of threads under a real-time scheduler, is unlimited everywhere, and as a mark is more than 70,000 years: it
 * limits nothing. Its number says who owns the tree, so it is the record, too, of trees whose keeper and owner are both dead. A process
 * that sets this limit itself (as it must to be given real-time scheduling) is found by other ways only.
 *
 *     2^61 + 2^9 × ( owner's pid: 22 bits | its pid namespace: 14 | its start time in ticks: 8 | number of the tree: 8 )
 *
 * which a double holds exactly. Of the start time what is cut off errs to the safe side: a stranger under the owner's number may pass for
 * the owner, and the tree then is spared. Of the namespace it does not: whoever looks for the owner must know by other means that it would be seen.
 */
import { readFileSync, statSync } from 'node:fs';
import { native } from '../native.js';
import type { ProcessRow, ProcessTable } from './table.js';

/** What a marked process tells of its owner; numbers as far as there is room for them. */
export interface OwnerMark {
  readonly pid: number;
  readonly namespace: number;
  readonly ticks: number;
  readonly tree: number;
}

const BASE = 2 ** 61;
const UNIT = 2 ** 9;
const NAMESPACES = 2 ** 14;
const BYTE = 2 ** 8;

/** The limit that marks a tree. */
export function markOf({ pid, namespace, ticks, tree }: OwnerMark): number {
  return BASE + UNIT * (((pid * NAMESPACES + (namespace % NAMESPACES)) * BYTE + (ticks % BYTE)) * BYTE + (tree % BYTE));
}

/** undefined: this limit is no mark. */
export function ownerOf(mark: number | undefined): OwnerMark | undefined {
  if (mark === undefined || !(mark >= BASE && mark < 2 * BASE)) return undefined;
  const number = (mark - BASE) / UNIT;
  if (!Number.isInteger(number)) return undefined;
  const pid = Math.floor(number / (BYTE * BYTE * NAMESPACES));
  return {
    pid,
    namespace: Math.floor(number / (BYTE * BYTE)) % NAMESPACES,
    ticks: Math.floor(number / BYTE) % BYTE,
    tree: number % BYTE,
  };
}

/** Whether that start time can be the owner's. */
export function isOwnersStart({ ticks }: OwnerMark, startTicks: bigint): boolean {
  return Number(startTicks % BigInt(BYTE)) === ticks;
}

/** The pid namespace of a process; undefined: gone, or not ours to see. */
export function namespaceOf(pid: number | 'self'): number | undefined {
  try {
    return statSync(`/proc/${pid}/ns/pid`).ino;
  } catch {
    return undefined;
  }
}

/** Whether an owner of that mark would have its number in this pid namespace. */
export function isOfNamespace({ namespace }: OwnerMark, ino: number): boolean {
  return namespace === ino % NAMESPACES;
}

/** Of tree 0 of this process. */
let first: number | null | undefined;

/** The limit for a tree of this process; undefined where none can be set without taking something away. */
export function newMark(tree: number): number | undefined {
  if (first === undefined) first = firstMark();
  return first === null ? undefined : first + UNIT * (tree % BYTE);
}

function firstMark(): number | null {
  const startTicks = native().startTicks(process.pid);
  const namespace = namespaceOf('self');
  // A hard limit lower than the mark belongs to somebody who means it, and can not be raised.
  const isFree = limitsOf('self')?.hard === 'unlimited';
  return isFree && typeof startTicks === 'bigint' && namespace !== undefined
    ? markOf({ pid: process.pid, namespace, ticks: Number(startTicks), tree: 0 })
    : null;
}

/** A table of fixed widths: name, soft and hard limit begin in these columns of a line (proc_pid_limits(5), fs/proc/base.c of the kernel). */
const LIMIT = '\nMax realtime timeout ';
const SOFT = 27;
const HARD = 48;
const WIDTH = 20;

function limitsOf(pid: number | 'self'): { soft: string; hard: string } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/limits`, 'utf8');
  } catch {
    return undefined;
  }
  const at = text.indexOf(LIMIT);
  if (at < 0) return undefined;
  const column = (start: number) => text.slice(at + start, at + start + WIDTH).trimEnd();
  return { soft: column(SOFT), hard: column(HARD) };
}

/** The mark of exactly this process; undefined: it has none, or is gone. */
export function readMark({ pid, startTicks }: { pid: number; startTicks: bigint }): number | undefined {
  const mark = Number(limitsOf(pid)?.soft);
  if (ownerOf(mark) === undefined) return undefined;
  // The number may have become another's before the file was opened.
  return native().startTicks(pid) === startTicks ? mark : undefined;
}

/**
 * The same with what else must be known of a process that may be gone a moment later; undefined: it has none, or is gone. Its namespace
 * is not shown to those who may not trace it.
 */
export function readMarked(process: { pid: number; startTicks: bigint }): { mark: number; uid: number; namespace?: number } | undefined {
  const mark = Number(limitsOf(process.pid)?.soft);
  if (ownerOf(mark) === undefined) return undefined;
  try {
    const { uid } = statSync(`/proc/${process.pid}`);
    const namespace = namespaceOf(process.pid);
    // Last, for it is this that tells whether all of it was the same process.
    if (native().startTicks(process.pid) !== process.startTicks) return undefined;
    return { mark, uid, ...(namespace === undefined ? {} : { namespace }) };
  } catch {
    return undefined;
  }
}

/** Asks a process of the table whether it carries this mark, and no keeper holds it. Nothing older than `since` is asked: it can not. */
export function carriesLimit(mark: number, table: ProcessTable, since: bigint): (row: ProcessRow) => boolean {
  return (row) => {
    if (row.startTicks < since || !table.isLive(row.pid) || table.isKernelThread(row.pid) || readMark(row) !== mark) return false;
    // Marks repeat after 256 trees of one owner. A tree that has its keeper is another one.
    return !table.ancestors(row.pid).some(({ name }) => name === KEEPER_NAME);
  };
}

/** As the kernel and argv[0] show a keeper. */
export const KEEPER_NAME = 'corral-keeper';
