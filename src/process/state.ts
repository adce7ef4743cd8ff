/**
 * The state table of a managed process: the only place where transitions are decided. Pure.
 *
 * A status speaks of the whole tree: `running` as long as a member may live, `stopped` and `error` when none is left (`error` after
 * `leftovers`: except those its report names).
 */
import { ProcessError } from '../errors.js';
import type { ProcessStatus } from '../types.js';

export const STATUSES = ['stopped', 'starting', 'running', 'stopping', 'error', 'unknown'] as const satisfies readonly ProcessStatus[];

export const STATE_EVENTS = [
  /** start() was called. */
  'start',
  /** exec has succeeded. */
  'started',
  /** exec has failed; nothing is left. */
  'startFailed',
  /** The start was called off before the command ran; nothing is left. */
  'startAborted',
  /** A graceful end was asked for. */
  'stop',
  /** SIGKILL was asked for. */
  'kill',
  /** The leader ended with a code that counts as success, and no member is left. */
  'exitExpected',
  /** The leader ended in any other way, and no member is left. */
  'exitUnexpected',
  /** The ladder is over and the leader lives. */
  'resisted',
  /** The ladder is over and the leader is gone, but not every member. */
  'leftovers',
  /** Whether it lives can not be told any more. */
  'lostSight',
] as const;
export type StateEvent = (typeof STATE_EVENTS)[number];

type Table = { readonly [status in ProcessStatus]: { readonly [event in StateEvent]?: ProcessStatus } };

const TABLE: Table = {
  stopped: { start: 'starting' },
  starting: { started: 'running', startFailed: 'error', startAborted: 'stopped', stop: 'stopping', kill: 'stopping' },
  running: {
    stop: 'stopping',
    kill: 'stopping',
    exitExpected: 'stopped',
    exitUnexpected: 'error',
    resisted: 'running',
    leftovers: 'error',
    lostSight: 'unknown',
  },
  stopping: {
    started: 'stopping', // stop() came before exec had succeeded
    startFailed: 'error',
    startAborted: 'stopped',
    stop: 'stopping',
    kill: 'stopping',
    exitExpected: 'stopped',
    exitUnexpected: 'stopped', // it was asked to end; how it did does not matter
    resisted: 'running',
    leftovers: 'error',
    lostSight: 'unknown',
  },
  error: { start: 'starting' },
  unknown: { kill: 'stopping', exitExpected: 'stopped', exitUnexpected: 'error', leftovers: 'error' },
};

/** @throws ProcessError ERR_INVALID_TRANSITION for a pair that is not in the table */
export function nextStatus(status: ProcessStatus, event: StateEvent): ProcessStatus {
  const next = TABLE[status][event];
  if (next === undefined) throw new ProcessError('ERR_INVALID_TRANSITION', `${event} is not possible in status ${status}`, { status });
  return next;
}

export function isPossible(status: ProcessStatus, event: StateEvent): boolean {
  return TABLE[status][event] !== undefined;
}
