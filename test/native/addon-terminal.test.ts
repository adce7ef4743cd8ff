/** What the terminal calls answer where there is none. On a real one they are tested with `corral run` (cli-run-terminal). */
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { expect, it, onTestFinished } from 'vitest';
import { native } from '../../src/native.js';

const { EBADF, EINVAL, ENOTTY } = constants.errno;

function open(file: string): number {
  const fd = openSync(file, 'r+');
  onTestFinished(() => closeSync(fd));
  return fd;
}

it.each([
  ['a closed descriptor', () => -1, EBADF],
  ['no terminal', () => open('/dev/null'), ENOTTY],
])('%s has no foreground group, and gets none', (_, descriptor, errno) => {
  const fd = descriptor();
  expect(native().terminalGroup(fd)).toBe(-errno);
  expect(native().setTerminalGroup(fd, process.pid)).toBe(-errno);
});

it('modes are read and put back, of terminals only', () => {
  const terminal = open('/dev/ptmx');
  const modes = native().terminalModes(terminal);
  expect(modes).not.toBeNull();
  expect(native().setTerminalModes(terminal, modes as Uint8Array)).toBe(0);
  expect(native().terminalModes(terminal)).toEqual(modes);
  expect(native().setTerminalModes(terminal, (modes as Uint8Array).subarray(1))).toBe(-EINVAL);
  const other = open('/dev/null');
  expect(native().terminalModes(other)).toBeNull();
  expect(native().setTerminalModes(other, modes as Uint8Array)).toBe(-ENOTTY);
});

it('only a signal that can be given its default action suspends', () => {
  expect(native().suspend(0, false)).toBe(-EINVAL);
  expect(native().suspend(constants.signals.SIGSTOP, false)).toBe(-EINVAL);
});
