/**
 * Ends a tree that somebody else started: child_process, execa, a pid from a file.
 *
 * Which processes belong to it is members.ts, how they are ended terminate.ts; this is the door: who is meant, and who is refused.
 */
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { invalidArgument, ProcessError } from '../errors.js';
import { requirePidfd } from '../native.js';
import type { ProcessIdentity, TerminationOptions, TerminationReport } from '../types.js';
import { bootId, identityOf, isHidden, refuseTarget, requireProc } from './identity.js';
import { checkOptions, terminationSettings } from './options.js';
import { selectTree, twice } from './select.js';
import { terminate } from './terminate.js';

/**
 * Ends a process with its descendants, and with the process groups and sessions that it or they lead: everybody is
 * stopped (what stands still does not fork), then `killSignal` (SIGTERM) and SIGCONT to all, SIGKILL to those left after `forceKillAfterDelay` (5000 ms), until two looks in a row find nobody.
 *
 * A target that has ended, or whose number belongs to another process by now, is not an error: the report is empty and nothing was
 * signalled. What lives on is in `survivors`, with the reason; that is no error either. A tree that forks faster than it can be stopped is given
 * up 15 s after the first SIGKILL.
 *
 * /proc shows no more than parents, groups and sessions: what has left its session *and* lost its parent before the first look
 * is not found (`proof` is 'scan'). Only what corral's own spawn() started is held completely.
 *
 * @param options.forceKillAfterDelay milliseconds; false: no SIGKILL, what is left after 2000 ms is reported as `not-forced`.
 * @param options.signal aborted: SIGKILL at once instead of after the delay; the promise still settles only with the truth.
 * @throws ProcessError ERR_REFUSED_TARGET for PID 1, this process, its ancestors, the leader of its process group, threads (also the kernel's)
 *   and corral's own keepers; ERR_INVALID_ARGUMENT; ERR_SCAN; ERR_SIGNAL (EPERM) for a process that /proc hides (hidepid);
 *   ERR_UNSUPPORTED_PLATFORM where there are no pidfds (Linux before 5.3, seccomp).
 */
export async function killTree(
  target: number | ChildProcess | ProcessIdentity,
  options: TerminationOptions = {},
): Promise<TerminationReport> {
  checkOptions('killTree', options, ['killSignal', 'forceKillAfterDelay', 'signal']);
  terminationSettings(options);
  requirePidfd();
  requireProc();
  // Before anything is awaited: what a ChildProcess names can not be reaped, and its number not be used again, within this turn.
  const root = resolveTarget(target);
  if (root === null) return { terminated: [], survivors: [], escalated: false, durationMs: 0, proof: 'scan' };
  return terminate(twice(selectTree(root)), options);
}

/** null: it has ended, or never was. */
function resolveTarget(target: number | ChildProcess | ProcessIdentity): ProcessIdentity | null {
  if (typeof target === 'number') {
    refuseTarget(target, 'target');
    return visible(target);
  }
  if (typeof target !== 'object' || target === null) {
    throw invalidArgument('target', 'a process id, a ChildProcess or a ProcessIdentity', target);
  }
  // Children and attached processes of our own carry the identity with them.
  const named = 'identity' in target ? (target.identity as ProcessIdentity) : target;
  if ('startTicks' in named) return checkIdentity(named);
  if (!('exitCode' in named)) throw invalidArgument('target', 'a process id, a ChildProcess or a ProcessIdentity', target);
  // Without a pid it was never started; Node's own kill() would then hit pid 0, which means our own group.
  if (named.pid === undefined || named.exitCode !== null || named.signalCode !== null) return null;
  refuseTarget(named.pid, 'target');
  return visible(named.pid);
}

/** Who has the pid now; null: nobody. What exists and is not shown to us must not pass for gone. */
function visible(pid: number): ProcessIdentity | null {
  const identity = identityOf(pid);
  if (identity === null && isHidden(pid)) {
    const errno = -constants.errno.EPERM;
    throw new ProcessError('ERR_SIGNAL', `process ${pid} is another user's, and /proc does not show it`, { pid, errno });
  }
  return identity;
}

function checkIdentity(identity: ProcessIdentity): ProcessIdentity | null {
  const { pid, startTicks, bootId: boot } = identity;
  if (typeof startTicks !== 'bigint') throw invalidArgument('target.startTicks', 'a bigint', startTicks);
  if (typeof boot !== 'string') throw invalidArgument('target.bootId', 'a string', boot);
  if (!Number.isInteger(pid)) throw invalidArgument('target.pid', 'a process id', pid);
  const now = boot === bootId() ? identityOf(pid) : null;
  if (now !== null && now.startTicks !== startTicks) return null;
  refuseTarget(pid, 'target.pid');
  return now;
}
