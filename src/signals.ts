/**
 * Signals by name and number, and what a wait status says about an end.
 *
 * Pure. Names are written as Node writes them ('SIGTERM'); anything else is refused with the right spelling.
 */
import { constants } from 'node:os';
import { describe, invalidArgument, ProcessError } from './errors.js';
import type { Signal } from './types.js';

export const SIGNAL_NUMBERS: Readonly<Record<string, number>> = constants.signals;
/** _NSIG - 1 of every architecture Node runs on, signal(7). */
export const LAST_SIGNAL = 64;

const SIGNAL_NAMES = Object.keys(constants.signals) as NodeJS.Signals[];

/**
 * The number of a signal.
 * @param option name of the option or argument, for the message.
 * @throws ProcessError ERR_INVALID_ARGUMENT for an unknown name or a number outside 1..64.
 */
export function signalNumber(value: Signal, option: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= LAST_SIGNAL) return value;
  if (typeof value === 'string' && Object.hasOwn(SIGNAL_NUMBERS, value)) return SIGNAL_NUMBERS[value]!;
  throw unknownSignal(value, option, `a signal name such as 'SIGTERM' or a number from 1 to ${LAST_SIGNAL}`);
}

/** As `signalNumber`, and 0, which only asks whether the target exists. For kill(), never for the signal that shall end something. */
export function signalNumberOrProbe(value: Signal, option: string): number {
  if (value === 0) return 0;
  if (typeof value === 'number' && (!Number.isInteger(value) || value < 0 || value > LAST_SIGNAL)) {
    throw unknownSignal(value, option, `a signal name such as 'SIGTERM' or a number from 0 to ${LAST_SIGNAL}`);
  }
  return signalNumber(value, option);
}

/** The name of a signal number; null for 0, for real-time signals (they have no name in Node) and for anything else. */
export function signalName(number: number): NodeJS.Signals | null {
  // Several names share a number (SIGABRT and SIGIOT, SIGIO and SIGPOLL): the first in Node's table is the usual one.
  return SIGNAL_NAMES.find((name) => SIGNAL_NUMBERS[name] === number) ?? null;
}

/** What a wait status (wait(2)) says: exit code or signal; both null when the status is not known. */
export function endOf(status: number | null): { exitCode: number | null; signal: NodeJS.Signals | null } {
  if (status === null) return { exitCode: null, signal: null };
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: (status >> 8) & 0xff, signal: null } : { exitCode: null, signal: signalName(signal) };
}

/** The candidate that `word` most likely meant, or undefined when none is near. */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  const upper = word.toUpperCase();
  let best: string | undefined;
  let bestDistance = (word.length < 4 ? 1 : Math.max(2, Math.floor(word.length / 3))) + 1;
  for (const candidate of candidates) {
    if (word.length > 2 && candidate.toUpperCase().startsWith(upper)) return candidate;
    const distance = editDistance(upper, candidate.toUpperCase(), bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function unknownSignal(value: unknown, option: string, expected: string): ProcessError {
  if (typeof value !== 'string') return invalidArgument(option, expected, value);
  const spelled = value.trim().toUpperCase();
  const meant =
    [spelled, `SIG${spelled}`].find((name) => Object.hasOwn(SIGNAL_NUMBERS, name)) ?? closest(value, Object.keys(SIGNAL_NUMBERS));
  if (meant === undefined) return invalidArgument(option, expected, value);
  return new ProcessError('ERR_INVALID_ARGUMENT', `${option}: expected ${expected}, received ${describe(value)}; did you mean '${meant}'?`);
}

/** Edits (insert, delete, replace, swap two neighbours) from one to the other; `limit` when they are not fewer than that. */
function editDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) >= limit) return limit;
  const rows = [Array.from({ length: right.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= left.length; row++) {
    const above = rows[row - 1]!;
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      current[column] = Math.min(
        above[column - 1]! + (same ? 0 : 1),
        above[column]! + 1,
        current[column - 1]! + 1,
        swapped ? rows[row - 2]![column - 2]! + 1 : limit,
      );
    }
    rows.push(current);
  }
  return Math.min(limit, rows[left.length]![right.length]!);
}
