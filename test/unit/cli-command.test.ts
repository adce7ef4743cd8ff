import { describe, expect, it } from 'vitest';
import { explain, killAfterArgument, pidArgument, signalArgument } from '../../src/cli/command.js';
import { ProcessError } from '../../src/errors.js';

describe('arguments', () => {
  it.each([
    ['TERM', 'SIGTERM'],
    ['SIGTERM', 'SIGTERM'],
    ['sigint', 'SIGINT'],
    ['hup', 'SIGHUP'],
    ['9', 9],
    ['64', 64],
  ])('signal %s → %s', (text, signal) => {
    expect(signalArgument(text)).toBe(signal);
  });

  it.each([
    ['0', /from 1 to 64, received "0"/],
    ['65', /received "65"/],
    ['-9', /received "-9"/],
    ['TEMR', /received "TEMR"\. Did you mean SIGTERM\?/],
    ['', /received ""/],
    ['constructor', /received "constructor"/],
  ])('signal %j is refused', (text, message) => {
    expect(() => signalArgument(text)).toThrow(message);
  });

  it.each([
    ['never', false],
    ['0', 0],
    ['300ms', 300],
  ])('kill-after %s → %s', (text, value) => {
    expect(killAfterArgument(text)).toBe(value);
  });

  it('kill-after says that never is one of its values', () => {
    expect(() => killAfterArgument('soon')).toThrow(/or never, received "soon"/);
  });

  it.each([
    ['4711', 4711],
    ['0', 0],
    ['-1', -1],
  ])('pid %s is a number; whether it may be a target is not a matter of spelling', (text, pid) => {
    expect(pidArgument(text)).toBe(pid);
  });

  it.each(['', '1.5', '1e3', '0x10', ' 1', '99999999999', 'self'])('pid %j is none', (text) => {
    expect(() => pidArgument(text)).toThrow(`received ${JSON.stringify(text)}`);
  });
});

it('explains an error in one sentence, its cause included', () => {
  expect(explain(new Error('plain'))).toBe('plain');
  expect(explain('thrown text')).toBe('thrown text');
  expect(explain(new ProcessError('ERR_NATIVE_LOAD', 'no binary', { cause: new Error('wrong ELF class') }))).toBe(
    'no binary: wrong ELF class',
  );
});
