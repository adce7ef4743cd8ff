/** Checks what callers pass. Pure. Every refusal names the option, what was expected and what came. */
import { describe, invalidArgument, ProcessError } from '../errors.js';
import { closest, signalNumber } from '../signals.js';
import type { TerminationOptions } from '../types.js';

/** Longer timers fire at once in JavaScript. */
const LONGEST_DELAY_MS = 0x7fffffff;
export const DEFAULT_GRACE_MS = 5000;

/** The checked form of TerminationOptions. */
export interface TerminationSettings {
  killSignal: number;
  /** Between killSignal and SIGKILL; null = never SIGKILL. */
  graceMs: number | null;
  abort: AbortSignal | undefined;
}

/** @throws ProcessError ERR_INVALID_ARGUMENT naming the option. */
export function terminationSettings(options: TerminationOptions): TerminationSettings {
  const { killSignal = 'SIGTERM', forceKillAfterDelay = DEFAULT_GRACE_MS, signal } = options;
  if (signal !== undefined && !isAbortSignal(signal)) throw invalidArgument('signal', 'an AbortSignal', signal);
  return {
    killSignal: signalNumber(killSignal, 'killSignal'),
    graceMs: forceKillAfterDelay === false ? null : checkDelay(forceKillAfterDelay, 'forceKillAfterDelay', 'or false (never)'),
    abort: signal,
  };
}

/** A duration in milliseconds; `alternative` names what else the option takes. */
export function checkDelay(value: unknown, option: string, alternative = ''): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= LONGEST_DELAY_MS) return value;
  throw invalidArgument(option, `an integer from 0 to ${LONGEST_DELAY_MS} (milliseconds)${alternative && ` ${alternative}`}`, value);
}

/** Refuses what is no object, and names that are not known: a misspelt option must not be lost silently. */
export function checkOptions(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw invalidArgument(`options of ${call}()`, 'an object', options);
  // Nothing is allocated for names that are right.
  for (const name in options) {
    if (known.includes(name) || !Object.hasOwn(options, name)) continue;
    const meant = closest(name, known);
    const hint = meant === undefined ? '' : `; did you mean '${meant}'?`;
    throw new ProcessError(
      'ERR_INVALID_ARGUMENT',
      `options of ${call}(): expected any of ${known.join(', ')}, received ${describe(name)}${hint}`,
    );
  }
}

function isAbortSignal(value: unknown): value is AbortSignal {
  return typeof value === 'object' && value !== null && 'aborted' in value && typeof (value as AbortSignal).addEventListener === 'function';
}
