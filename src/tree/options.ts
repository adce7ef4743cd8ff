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
  for (const name of Object.keys(requireOptions(call, options))) if (!known.includes(name)) throw unknownOption(call, name, known);
}

export function requireOptions(call: string, options: unknown): object {
  if (typeof options === 'object' && options !== null) return options;
  throw invalidArgument(`options of ${call}()`, 'an object', options);
}

export function unknownOption(call: string, name: string, known: readonly string[]): ProcessError {
  const meant = closest(name, known);
  const hint = meant === undefined ? '' : `; did you mean '${meant}'?`;
  const message = `options of ${call}(): expected any of ${known.join(', ')}, received ${describe(name)}${hint}`;
  return new ProcessError('ERR_INVALID_ARGUMENT', message);
}

function isAbortSignal(value: unknown): value is AbortSignal {
  return typeof value === 'object' && value !== null && 'aborted' in value && typeof (value as AbortSignal).addEventListener === 'function';
}
