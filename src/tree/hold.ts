/**
 * Holding a process we did not start: a pidfd that names it and nobody after it, and the news of its end.
 */
import { constants } from 'node:os';
import { closeId, native, newId, receive, SCOPE_GROUP, SCOPE_PROCESS } from '../native.js';
import type { ProcessIdentity } from '../types.js';

export interface Held {
  readonly startTicks: bigint;
  /** 0 or -errno (-ESRCH: it has ended). Signal 0 only asks. */
  signal(signal: number): number;
  /**
   * Whether anybody, zombies included, is in the process group that it leads or has led. While that is so its number is nobody else's.
   * Asked of the kernel by the pidfd, also after its end (Linux 6.9); false where that is not known.
   */
  leadsGroup(): boolean;
  /** Gives the descriptor back; no news comes any more. Idempotent. */
  close(): void;
}

/**
 * Takes hold of a process, if it still is the one that began at `startTicks` (0n: whoever has the pid now).
 * @param onEnd told once, later, with the wait status where the kernel gives it (pidfd_open(2), Linux 5.3; status of strangers 6.15).
 * @returns a negative errno when that can not be: -ESRCH gone or a zombie, -ESTALE the number is another's now, -EINVAL a thread's id,
 *   -EMFILE or -ENFILE no descriptor left.
 */
export type Hold = (process: Pick<ProcessIdentity, 'pid' | 'startTicks'>, onEnd: (status: number | null) => void) => Held | number;

export const hold: Hold = ({ pid, startTicks }, onEnd) => {
  const addon = native();
  const id = newId({
    [receive](event) {
      if (event.type === 'gone') onEnd(event.status);
    },
  });
  const opened = addon.open(id, pid, startTicks);
  if (typeof opened === 'number') {
    closeId(id);
    return opened;
  }
  let open = true;
  return {
    startTicks: opened,
    signal: (signal) => addon.signal(id, signal, SCOPE_PROCESS),
    leadsGroup: () => isAnybody(addon.signal(id, 0, SCOPE_GROUP)),
    close() {
      if (open) closeId(id);
      open = false;
    },
  };
};

/** What signal 0 has said: somebody is there, whether or not we may signal him. */
export function isAnybody(result: number): boolean {
  return result === 0 || result === -constants.errno.EPERM;
}

/** Keeps the event loop alive until the returned function is called. */
export function keepAlive(): () => void {
  const addon = native();
  addon.ref();
  let held = true;
  return () => {
    if (held) addon.unref();
    held = false;
  };
}
