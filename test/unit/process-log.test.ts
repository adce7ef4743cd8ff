import { closeSync, openSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { createLogger } from '../../src/log.js';
import { tempDirectory } from '../helpers/temp.js';

const require = createRequire(import.meta.url);

afterEach(() => vi.unstubAllEnvs());

async function defaultLoggerWith(level: string | undefined) {
  vi.resetModules();
  vi.stubEnv('CORRAL_LOG', level);
  const { defaultLogger, silent } = await import('../../src/log.js');
  return { logger: defaultLogger(), silent };
}

it('loads pino with the first real logger, and not before', () => {
  const loaded = () => require.resolve('pino') in require.cache;
  createLogger({ level: 'silent' }).error({}, 'unheard');
  expect(loaded()).toBe(false);
  createLogger();
  expect(loaded()).toBe(true);
});

it('writes JSON lines of its level and above', () => {
  const file = path.join(tempDirectory(), 'log');
  const fd = openSync(file, 'w');
  const logger = createLogger({ level: 'warn', destination: fd, name: 'test' });
  logger.info({ pid: 1 }, 'not this');
  logger.warn({ pid: 2, command: 'sleep', args: ['1'], status: 'running' }, 'this');
  closeSync(fd);
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ level: 40, name: 'test', pid: 2, command: 'sleep', args: ['1'], status: 'running', msg: 'this' }),
  ]);
});

it('refuses a level that does not exist', () => {
  expect(() => createLogger({ level: 'loud' as 'info' })).toThrow(
    'level: expected "debug" or "info" or "warn" or "error" or "silent", received "loud"',
  );
});

it('is silent unless CORRAL_LOG says otherwise', async () => {
  const { logger, silent } = await defaultLoggerWith(undefined);
  expect(logger).toBe(silent);
  const named = await defaultLoggerWith('debug');
  expect(named.logger).not.toBe(named.silent);
  expect(named.logger).toMatchObject({ level: 'debug' });
});

it('says once that CORRAL_LOG is wrong, and stays silent', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const { logger, silent } = await defaultLoggerWith('loud');
  expect(logger).toBe(silent);
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('received "loud"'));
  warn.mockRestore();
});
