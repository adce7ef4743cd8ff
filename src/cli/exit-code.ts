/** Exit statuses of `corral run`, those of coreutils' timeout(1). Pure. */
import { constants } from 'node:os';
import type { ExitStatus } from '../types.js';

export const EXIT_TIMED_OUT = 124;
export const EXIT_OWN_ERROR = 125;
export const EXIT_CANNOT_EXECUTE = 126;
export const EXIT_NOT_FOUND = 127;

/** 128 + number of a signal, as shells report it. */
export function signalStatus(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/**
 * The status for a command that ran.
 * @param interruptedBy the signal corral itself got and passed on; the command's death is reported as that signal's doing,
 *   also where SIGKILL had to finish it, so that Ctrl-C always reads as 130.
 */
export function statusOf(status: Pick<ExitStatus, 'exitCode' | 'signal' | 'timedOut'>, interruptedBy?: NodeJS.Signals): number {
  // timeout -k: 137 tells that SIGKILL was needed
  if (status.timedOut) return status.signal === 'SIGKILL' ? signalStatus('SIGKILL') : EXIT_TIMED_OUT;
  if (status.signal !== null) return signalStatus(interruptedBy ?? status.signal);
  return status.exitCode ?? EXIT_OWN_ERROR;
}

/** The status for a command that could not be executed; undefined when corral's own set-up failed (cwd, user, limits). */
export function statusOfExecError(code: string | undefined): number {
  return code === 'ENOENT' ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}
