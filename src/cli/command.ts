/** What every command shares: how an action becomes an exit status, usage errors, and the options that occur more than once. */
import { type Command, InvalidArgumentError } from 'commander';
import { ProcessError } from '../errors.js';
import { closest, LAST_SIGNAL, SIGNAL_NUMBERS } from '../signals.js';
import type { Signal } from '../types.js';
import { DURATION_FORM, parseDuration } from './duration.js';
import { signalStatus } from './exit-code.js';
import { type Terminal, terminal } from './format.js';

/** Status of a usage error; `run` has its own (125), as its low statuses belong to the command it runs. */
export const EXIT_USAGE = 2;

/** Wrong use that only shows after parsing. The message names what was expected and what came. */
export class UsageError extends Error {}

/** Turns an action that returns its exit status into one that commander can call. */
export type Act = <Args extends unknown[]>(action: (...args: Args) => Promise<number>) => (...args: Args) => Promise<void>;

export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

export function warn(text: string): void {
  process.stderr.write(`corral: ${text}\n`);
}

/** A signal ends corral by way of process.exit(), so that whoever it has stopped in order to end it does not stand still for ever. */
export function exitOnSignal(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(signalStatus(signal)));
}

export function stdoutTerminal(): Terminal {
  return terminal(process.stdout, process.env);
}

/** The sentence a person needs from an error: ours name everything already, others keep their code. */
export function explain(error: unknown): string {
  if (error instanceof ProcessError) {
    return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
  }
  return error instanceof Error ? error.message : String(error);
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON for programs');
}

/** Milliseconds. */
export const durationArgument = parser(DURATION_FORM, parseDuration);

/** Milliseconds until SIGKILL; false = never. */
export const killAfterArgument = parser(`${DURATION_FORM}, or never`, (text) => (text === 'never' ? false : parseDuration(text)));

/** A signal as kill(1) takes it: TERM, SIGTERM, term, 15. */
export function signalArgument(text: string): Signal {
  const upper = text.toUpperCase();
  const name = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  if (Object.hasOwn(SIGNAL_NUMBERS, name)) return name as NodeJS.Signals;
  if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= LAST_SIGNAL) return Number(text);
  const meant = closest(name, Object.keys(SIGNAL_NUMBERS));
  throw new InvalidArgumentError(
    `Expected a signal such as TERM, SIGTERM or a number from 1 to ${LAST_SIGNAL}, received ${JSON.stringify(text)}.${meant === undefined ? '' : ` Did you mean ${meant}?`}`,
  );
}

/** A parser for commander: the value, or an error that says what was expected and what came. */
export function parser<Value>(expected: string, parse: (text: string) => Value | undefined): (text: string) => Value {
  return (text) => {
    const value = parse(text);
    if (value === undefined) throw new InvalidArgumentError(`Expected ${expected}, received ${JSON.stringify(text)}.`);
    return value;
  };
}

/** A decimal pid. 0 and negative numbers pass: refusing them is not a matter of spelling, and killTree says why. */
export const pidArgument = parser('a process id (a whole number)', (text) =>
  /^-?\d{1,10}$/.test(text) && Math.abs(Number(text)) <= 0x7fffffff ? Number(text) : undefined,
);
