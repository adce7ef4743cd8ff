/**
 * Logging: silent unless a logger is given or CORRAL_LOG names a level. The only place that knows pino, which is loaded when the
 * first real logger is made and not before: importing corral must stay cheap.
 */
import { createRequire } from 'node:module';
import { invalidArgument } from './errors.js';
import type { Logger } from './types.js';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoggerOptions {
  /** The least severe level that is written. Default 'info'. */
  level?: LogLevel;
  /** Descriptor or path of a file. Default 2: stdout belongs to the program. */
  destination?: number | string;
  /** `name` of every line. Default 'corral'. */
  name?: string;
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * A pino logger that writes JSON lines, at once and without a thread: what was logged before a crash is there.
 * @throws ProcessError ERR_INVALID_ARGUMENT for an unknown level
 */
export function createLogger({ level = 'info', destination = 2, name = 'corral' }: LoggerOptions = {}): Logger {
  if (!LOG_LEVELS.includes(level)) throw invalidArgument('level', LOG_LEVELS.map((one) => JSON.stringify(one)).join(' or '), level);
  if (level === 'silent') return silent;
  const pino = createRequire(import.meta.url)('pino') as typeof import('pino').pino;
  return pino({ name, level }, pino.destination({ dest: destination, sync: true }));
}

let fallback: Logger | undefined;

/** The logger of those who were given none: CORRAL_LOG=level writes to stderr, otherwise silent. A wrong level is said once. */
export function defaultLogger(): Logger {
  fallback ??= loggerOfEnvironment(process.env.CORRAL_LOG);
  return fallback;
}

function loggerOfEnvironment(level: string | undefined): Logger {
  if (!level) return silent;
  try {
    return createLogger({ level: level as LogLevel });
  } catch {
    process.emitWarning(`CORRAL_LOG: expected one of ${LOG_LEVELS.join(', ')}, received ${JSON.stringify(level)}; nothing is logged`);
    return silent;
  }
}
