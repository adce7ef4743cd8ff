/**
 * Watches a process we did not start: its end is told by a pidfd, nothing is polled.
 */
import { constants } from 'node:os';
import { invalidArgument, ProcessError } from '../errors.js';
import { requirePidfd } from '../native.js';
import { endOf, signalName, signalNumberOrProbe } from '../signals.js';
import type { AttachedProcess, ProcessIdentity, Signal } from '../types.js';
import { hold, keepAlive } from './hold.js';
import { bootId, isHidden, refuseTarget, requireProc } from './identity.js';

const { EACCES, EINVAL, ESRCH, ESTALE } = constants.errno;

type End = Awaited<AttachedProcess['exited']>;

/**
 * Takes hold of a running process. The event loop is kept alive until it ends or the handle is disposed of.
 *
 * `exited` resolves at its end, with exit code or signal where the kernel tells (its zombie, to its own user and root; after that Linux
 * 6.15), else with two nulls. After disposal it rejects with ERR_ABORTED.
 * `kill` returns false when it has ended already; refuses ourselves, our ancestors and threads of the kernel, which may be watched.
 *
 * @param target a pid (whoever has it now) or an identity (that process and no other).
 * @throws ProcessError ERR_NO_SUCH_PROCESS when it has ended, is only a zombie, or its number is another's now; ERR_INVALID_ARGUMENT;
 *   ERR_SIGNAL when there is no descriptor left (EMFILE), it can not be watched (ENOSPC: fs.epoll.max_user_watches) or /proc hides it
 *   (EACCES); ERR_SCAN without a /proc of our own; ERR_UNSUPPORTED_PLATFORM where there are no pidfds (Linux before 5.3, seccomp).
 */
export async function attach(target: number | ProcessIdentity): Promise<AttachedProcess> {
  requirePidfd();
  requireProc();
  const { pid, startTicks } = checkTarget(target);
  let end: End | undefined;
  let isDisposed = false;
  let resolve!: (end: End) => void;
  let reject!: (reason: ProcessError) => void;
  const exited = new Promise<End>((onEnd, onDisposal) => {
    [resolve, reject] = [onEnd, onDisposal];
  });
  exited.catch(() => {}); // Whoever disposes of the handle without having asked shall not be told.

  const held = hold({ pid, startTicks }, (status) => {
    end = endOf(status);
    release();
    resolve(end);
  });
  if (typeof held === 'number') throw attachError(pid, held);
  const awake = keepAlive();
  const release = () => {
    held.close();
    awake();
  };

  return {
    identity: { pid, startTicks: held.startTicks, bootId: bootId() },
    exited,
    isAlive: () => end === undefined && !isDisposed && held.signal(0) !== -ESRCH,
    kill(signal: Signal = 'SIGTERM') {
      const number = signalNumberOrProbe(signal, 'signal');
      // What has ended is refused to nobody, whoever has its number now.
      if (end !== undefined || (!isDisposed && held.signal(0) === -ESRCH)) return false;
      if (number !== 0) refuseTarget(pid, 'target');
      if (isDisposed) throw new ProcessError('ERR_ABORTED', `process ${pid} is not held any more: the handle was disposed of`, { pid });
      const result = held.signal(number);
      if (result === -ESRCH) return false;
      if (result === 0) return true;
      const what = number === 0 ? 'the probe' : (signalName(number) ?? `signal ${number}`);
      throw new ProcessError('ERR_SIGNAL', `${what} to ${pid} was refused`, { pid, errno: result, syscall: 'pidfd_send_signal' });
    },
    [Symbol.dispose]() {
      isDisposed = true;
      release();
      reject(new ProcessError('ERR_ABORTED', `process ${pid} is not watched any more: the handle was disposed of`, { pid }));
    },
  };
}

function checkTarget(target: number | ProcessIdentity): Pick<ProcessIdentity, 'pid' | 'startTicks'> {
  const named: Partial<ProcessIdentity> = typeof target === 'number' ? { pid: target } : (target ?? {});
  const { pid, startTicks } = named;
  if (pid === undefined || !Number.isInteger(pid) || pid < 1 || pid > 0x7fffffff) {
    throw invalidArgument('target', 'a process id or a ProcessIdentity', target);
  }
  if (typeof target === 'number') return { pid, startTicks: 0n };
  if (typeof startTicks !== 'bigint') throw invalidArgument('target.startTicks', 'a bigint', startTicks);
  if (named.bootId !== bootId()) throw attachError(pid, -ESTALE);
  return { pid, startTicks };
}

function attachError(pid: number, errno: number): ProcessError {
  if (errno === -ESRCH && !isHidden(pid)) return new ProcessError('ERR_NO_SUCH_PROCESS', `no process ${pid} is running`, { pid });
  if (errno === -ESTALE) return new ProcessError('ERR_NO_SUCH_PROCESS', `the number ${pid} belongs to another process now`, { pid });
  if (errno === -EINVAL) return new ProcessError('ERR_NO_SUCH_PROCESS', `${pid} is a thread, not a process`, { pid });
  if (errno === -ESRCH) return new ProcessError('ERR_SIGNAL', `process ${pid} is not shown by /proc`, { pid, errno: -EACCES });
  return new ProcessError('ERR_SIGNAL', `process ${pid} could not be held`, { pid, errno, syscall: 'pidfd_open' });
}
