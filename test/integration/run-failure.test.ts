/** A run that failed says who ended the command, and how; the error has every field of the result. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { RunError, run } from '../../src/process/run.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const DEFIANT = 'trap "" TERM; while :; do sleep 1; done';
const FIELDS = [
  'command',
  'durationMs',
  'exitCode',
  'failed',
  'isCanceled',
  'isForcefullyTerminated',
  'report',
  'resourceUsage',
  'signal',
  'stderr',
  'stdout',
  'timedOut',
];

const failure = async (script: string, options: object = {}) => {
  const error = await run('sh', ['-c', script], options).catch((caught) => caught);
  expect(error).toBeInstanceOf(RunError);
  expect(Object.keys(error)).toEqual(expect.arrayContaining(FIELDS));
  return error as RunError;
};

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('an exit code', async () => {
    const error = await failure('echo out; echo why >&2; exit 3', { containment });
    expect(error).toMatchObject({
      code: 'ERR_RUN',
      type: 'RUN_FAILED',
      exitCode: 3,
      signal: null,
      failed: true,
      stdout: 'out',
      stderr: 'why',
    });
    expect(error.shortMessage).toBe("Command failed with exit code 3: sh -c 'echo out; echo why >&2; exit 3'");
    expect(error.message).toBe(`${error.shortMessage}\nwhy`);
  });

  it('a signal from somebody else', async () => {
    const error = await failure('kill -SEGV $$', { containment });
    expect(error).toMatchObject({ code: 'ERR_RUN', exitCode: null, signal: 'SIGSEGV', isForcefullyTerminated: false });
    expect(error.shortMessage).toBe("Command was ended with SIGSEGV, which corral did not send: sh -c 'kill -SEGV $$'");
  });

  it('a timeout', async () => {
    const error = await failure('echo partial; exec sleep 300', { containment, timeout: 3000 });
    expect(error).toMatchObject({ code: 'ERR_RUN', timedOut: true, signal: 'SIGTERM', isForcefullyTerminated: false, stdout: 'partial' });
    expect(error.shortMessage).toBe("Command timed out after 3000 ms and was ended with SIGTERM: sh -c 'echo partial; exec sleep 300'");
  });

  it('a timeout that the command ends by itself', async () => {
    const error = await failure('trap "exit 7" TERM; sleep 300 & wait', { containment, timeout: 3000 });
    expect(error).toMatchObject({ timedOut: true, exitCode: 7, signal: null });
    expect(error.shortMessage).toContain('Command timed out after 3000 ms and exited with code 7: ');
  });

  it('a timeout and SIGKILL', async () => {
    const error = await failure(DEFIANT, { containment, timeout: 3000, forceKillAfterDelay: 100 });
    expect(error).toMatchObject({
      timedOut: true,
      signal: 'SIGKILL',
      isForcefullyTerminated: true,
      report: { escalated: true },
    });
    expect(error.shortMessage).toContain('Command timed out after 3000 ms and was forcefully ended with SIGKILL after 100 ms: ');
  });

  it('an abort', async () => {
    const started = path.join(tempDirectory(), 'started');
    const command = `: > ${started}; exec sleep 300`;
    const controller = new AbortController();
    const reason = new Error('not needed any more');
    const isStarted = eventually(() => existsSync(started)).then(() => controller.abort(reason));
    const error = await failure(command, { containment, signal: controller.signal });
    await isStarted;
    expect(error).toMatchObject({ code: 'ERR_ABORTED', isCanceled: true, signal: 'SIGTERM', cause: reason });
    expect(error.shortMessage).toBe(`Command was canceled and was ended with SIGTERM: sh -c '${command}'`);
  });

  it('an abort before the start', async () => {
    const reason = new Error('never');
    const error = await failure('exit 0', { containment, signal: AbortSignal.abort(reason) });
    expect(error).toMatchObject({ code: 'ERR_ABORTED', isCanceled: true, exitCode: null, signal: null, cause: reason });
    expect(error.shortMessage).toBe("Command was canceled before it was started: sh -c 'exit 0'");
  });

  it('a command that is not there', async () => {
    const error = await run('no-such-command', ['a b'], { containment, env: { PATH: '/usr/bin:/bin' } }).catch((caught) => caught);
    expect(error).toBeInstanceOf(RunError);
    expect(error).toMatchObject({
      code: 'ENOENT',
      stage: 'exec',
      syscall: 'spawn no-such-command',
      exitCode: null,
      failed: true,
      cause: { type: 'SPAWN_FAILED' },
    });
    expect(error.shortMessage).toBe(
      `Command could not be started: "no-such-command" can not be executed: ENOENT, no such file or directory (not found in PATH): no-such-command 'a b'`,
    );
  });

  it.each(['stdout', 'stderr'])('too much on %s: the tree is ended, and the beginning is kept', async (stream) => {
    const error = await failure(`yes ${stream === 'stderr' ? '>&2' : ''}`, { containment, maxBuffer: 1001 });
    expect(error).toMatchObject({
      code: 'ERR_MAX_BUFFER',
      type: 'MAX_BUFFER',
      cause: { message: `${stream} was longer than maxBuffer (1001 bytes)` },
    });
    expect(error.shortMessage).toMatch(
      new RegExp(`^Command wrote more than 1001 bytes to ${stream} and was ended with SIG(TERM|PIPE): sh -c `),
    );
    expect(error[stream as 'stdout']).toBe('y\n'.repeat(500).concat('y'));
    expect(allProcesses().filter(({ name, state }) => name === 'yes' && state !== 'Z')).toEqual([]);
  });

  it('exactly maxBuffer is not too much', async () => {
    expect((await run('printf', ['12345'], { containment, maxBuffer: 5 })).stdout).toBe('12345');
  });

  it('reject: false resolves with the same', async () => {
    const result = await run('sh', ['-c', 'echo out; exit 3'], { containment, reject: false });
    expect(result).not.toBeInstanceOf(Error);
    expect(result).toMatchObject({
      failed: true,
      exitCode: 3,
      stdout: 'out',
      code: 'ERR_RUN',
      shortMessage: "Command failed with exit code 3: sh -c 'echo out; exit 3'",
    });
    expect(await run('/no/such/command', [], { containment, reject: false })).toMatchObject({
      failed: true,
      exitCode: null,
      code: 'ENOENT',
      cause: { stage: 'exec' },
    });
  });
});

it('shows the end of a long stderr, in a message of bounded length', async () => {
  const error = await failure('seq 1 100000 >&2; exit 1');
  expect(error.message.length).toBeLessThan(3000);
  expect(error.message.endsWith('99999\n100000')).toBe(true);
  expect(error.stderr.length).toBeGreaterThan(100_000);
});
