/**
 * A lock between processes, as a file: whoever creates it holds it, until it removes it or dies. No native call, no waiting in the
 * kernel; a dead holder is recognised by pid, start time and boot id and its lock is taken over.
 *
 * Taking over must not remove the lock of somebody who took over a moment earlier. So it is itself done under a lock, FILE.takeover, and
 * only its holder may remove a dead holder's file; under it the file is read again.
 */
import { linkSync, readFileSync, readlinkSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { identityOf } from '../tree/identity.js';

/** A lock that is held longer by someone we can not see (another pid namespace, another user) counts as forgotten. */
const UNSEEN_HOLDER_MS = 10 * 60_000;
/** Longer than it takes to write a line into a new file. */
const UNREADABLE_LOCK_MS = 10_000;
/** A takeover whose owner died half-way is taken over in turn; deeper than this nobody dies by chance. */
const MAX_DEPTH = 3;
const POLL_MS = 10;

export interface Lock extends Disposable {
  /** Gives it back; again: does nothing. Never throws. */
  release(): void;
}

interface Holder {
  pid: number;
  startTicks: string;
  bootId: string;
  uid: number;
  /** Its /proc/self/ns/pid: in another namespace its pid says nothing. */
  pidNamespace: string;
  takenAtMs: number;
}

/**
 * Tries once. undefined: somebody else holds it.
 * @throws the file system's error (EACCES, ENOENT, EROFS ...) when no lock can be made there.
 */
export function tryLock(file: string): Lock | undefined {
  return acquire(file, 0);
}

/** Tries until it has it; undefined: not within `timeoutMs`. No event tells of a file's removal by another process, so it polls. */
export async function lockWithin(file: string, timeoutMs: number): Promise<Lock | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const lock = tryLock(file);
    if (lock !== undefined || performance.now() >= deadline) return lock;
    await delay(POLL_MS * (0.5 + Math.random()));
  }
}

let count = 0;

function acquire(file: string, depth: number): Lock | undefined {
  const content = JSON.stringify(ourselves());
  const isHeld = () => {
    const existing = read(file);
    return existing !== undefined && !isForgotten(file, existing);
  };
  try {
    if (!create(file, content) && (isHeld() || !(removeForgotten(file, depth) && create(file, content)))) return undefined;
  } catch (error) {
    if (isHeld()) return undefined; // a full disk lets nobody make one, and whoever has one has it
    throw error;
  }
  let held = true;
  const release = () => {
    if (!held) return;
    held = false;
    // While we live nobody takes it over, so it is ours unless somebody removed it by hand.
    if (read(file) === content) unlink(file);
  };
  return { release, [Symbol.dispose]: release };
}

function ourselves(): Holder {
  const identity = identityOf(process.pid);
  if (identity === null || identity.bootId === '') throw new Error('/proc does not show this process');
  return {
    pid: identity.pid,
    startTicks: String(identity.startTicks),
    bootId: identity.bootId,
    uid: process.getuid?.() ?? -1,
    pidNamespace: pidNamespace(),
    takenAtMs: Date.now(),
  };
}

/** false: there is one already. */
function create(file: string, content: string): boolean {
  // Written aside and linked into place: whoever sees the lock sees all of it, and link(2) fails when there is one.
  const draft = `${file}.${process.pid}-${Date.now()}-${++count}`;
  try {
    writeFileSync(draft, content, { flag: 'wx', mode: 0o600 });
    linkSync(draft, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // A file system without hard links.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOSYS') return createExclusive(file, content);
    throw error;
  } finally {
    unlink(draft);
  }
}

function createExclusive(file: string, content: string): boolean {
  try {
    writeFileSync(file, content, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function removeForgotten(file: string, depth: number): boolean {
  const takeover = depth < MAX_DEPTH ? acquire(`${file}.takeover`, depth + 1) : undefined;
  if (takeover === undefined) return false;
  try {
    // Whoever was faster has put a living holder's file there, or none yet.
    const content = read(file);
    if (content !== undefined && isForgotten(file, content)) unlink(file);
    return true;
  } finally {
    takeover.release();
  }
}

/** Whether the holder that `content` names is gone. In doubt it is not. */
function isForgotten(file: string, content: string): boolean {
  const holder = parse(content);
  if (holder === undefined) return ageMs(file) > UNREADABLE_LOCK_MS;
  const us = ourselves();
  if (holder.bootId !== us.bootId) return true;
  const seen = holder.pidNamespace === us.pidNamespace ? identityOf(holder.pid) : undefined;
  if (seen) return String(seen.startTicks) !== holder.startTicks || isZombie(holder.pid);
  // Nobody has that number, or we are not shown who has it (another namespace; another user under hidepid).
  const isVisible = seen === null && holder.uid === us.uid;
  return isVisible || Math.abs(Date.now() - holder.takenAtMs) > UNSEEN_HOLDER_MS;
}

function parse(content: string): Holder | undefined {
  try {
    const holder = JSON.parse(content) as Partial<Holder> | null;
    const isHolder =
      typeof holder?.pid === 'number' && holder.pid > 0 && typeof holder.startTicks === 'string' && typeof holder.takenAtMs === 'number';
    return isHolder ? (holder as Holder) : undefined;
  } catch {
    return undefined;
  }
}

/** proc_pid_stat(5), field 3. A zombie holds nothing any more. */
function isZombie(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== undefined && /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

function ageMs(file: string): number {
  const status = statSync(file, { throwIfNoEntry: false });
  return status === undefined ? 0 : Math.abs(Date.now() - status.mtimeMs);
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function unlink(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Gone already.
  }
}
