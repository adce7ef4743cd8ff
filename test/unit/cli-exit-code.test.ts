import { describe, expect, it } from 'vitest';
import { statusOf, statusOfExecError } from '../../src/cli/exit-code.js';

describe('exit status of run', () => {
  it.each([
    ['exit 0', { exitCode: 0, signal: null, timedOut: false }, undefined, 0],
    ['exit 3', { exitCode: 3, signal: null, timedOut: false }, undefined, 3],
    ['exit 255', { exitCode: 255, signal: null, timedOut: false }, undefined, 255],
    ['killed by SIGTERM', { exitCode: null, signal: 'SIGTERM', timedOut: false }, undefined, 143],
    ['killed by SIGKILL', { exitCode: null, signal: 'SIGKILL', timedOut: false }, undefined, 137],
    ['crashed', { exitCode: null, signal: 'SIGSEGV', timedOut: false }, undefined, 139],
    ['timed out, ended by SIGTERM', { exitCode: null, signal: 'SIGTERM', timedOut: true }, undefined, 124],
    ['timed out, cleaned up and exited 0', { exitCode: 0, signal: null, timedOut: true }, undefined, 124],
    ['timed out, SIGKILL was needed', { exitCode: null, signal: 'SIGKILL', timedOut: true }, undefined, 137],
    ['Ctrl-C', { exitCode: null, signal: 'SIGINT', timedOut: false }, 'SIGINT', 130],
    ['Ctrl-C twice', { exitCode: null, signal: 'SIGKILL', timedOut: false }, 'SIGINT', 130],
    ['SIGTERM to corral', { exitCode: null, signal: 'SIGTERM', timedOut: false }, 'SIGTERM', 143],
    ['Ctrl-C, and the command cleaned up', { exitCode: 7, signal: null, timedOut: false }, 'SIGINT', 7],
  ] as const)('%s', (_name, exit, interruptedBy, status) => {
    expect(statusOf(exit, interruptedBy)).toBe(status);
  });

  it.each([
    ['ENOENT', 127],
    ['EACCES', 126],
    ['ENOEXEC', 126],
    ['EISDIR', 126],
    ['E2BIG', 126],
  ])('%s → %d', (code, status) => {
    expect(statusOfExecError(code)).toBe(status);
  });
});
