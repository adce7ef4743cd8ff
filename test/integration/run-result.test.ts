/** What run() gives: output, exit, usage, report. */
import { describe, expect, it } from 'vitest';
import { run } from '../../src/process/run.js';

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('is complete', async () => {
    const result = await run('sh', ['-c', 'echo out; echo err >&2'], { containment });
    expect(result).toEqual({
      command: "sh -c 'echo out; echo err >&2'",
      stdout: 'out',
      stderr: 'err',
      failed: false,
      exitCode: 0,
      signal: null,
      timedOut: false,
      isCanceled: false,
      isForcefullyTerminated: false,
      durationMs: expect.any(Number),
      resourceUsage: { userCpuMs: expect.any(Number), systemCpuMs: expect.any(Number), maxRssBytes: expect.any(Number) },
      report: {
        terminated: [],
        survivors: [],
        escalated: false,
        durationMs: expect.any(Number),
        proof: containment === 'tree' ? 'echild' : 'scan',
      },
    });
    expect(result.durationMs).toBeGreaterThan(0);
    expect(result.durationMs).toBeLessThan(10_000);
  });

  it.each([
    ['printf x', 'x'],
    ['printf "x\\n"', 'x'],
    ['printf "x\\r\\n"', 'x'],
    ['printf "x\\n\\n"', 'x\n'],
    ['printf "\\n"', ''],
    ['printf "\\303\\244\\377"', 'ä\ufffd'],
    ['', ''],
  ])('takes one newline off the end: %s', async (script, stdout) => {
    expect((await run('sh', ['-c', script], { containment })).stdout).toBe(stdout);
  });

  it('as lines', async () => {
    const { stdout, stderr } = await run('sh', ['-c', 'printf "a\\n\\nb\\r\\nc\\n"'], { containment, lines: true });
    expect({ stdout, stderr }).toEqual({ stdout: ['a', '', 'b', 'c'], stderr: [] });
  });

  it.each([
    ['a string', 'text ü'],
    ['bytes', new TextEncoder().encode('text ü')],
    ['nothing', ''],
    ['much', 'x'.repeat(5_000_000)],
  ])('passes on %s as input', async (_, input) => {
    const { stdout } = await run('cat', [], { containment, input });
    expect(stdout).toBe(typeof input === 'string' ? input : new TextDecoder().decode(input));
  });

  it('counts the CPU time of the command', async () => {
    const { resourceUsage } = await run('sh', ['-c', 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'], { containment });
    expect(resourceUsage.userCpuMs).toBeGreaterThan(1);
    expect(resourceUsage.maxRssBytes).toBeGreaterThan(100_000);
  });
});

it.each([
  [{ input: 5 }, 'input: expected a string or bytes, received number 5'],
  [{ input: 'x', stdin: 'ignore' }, 'input: expected no stdin besides it, received "ignore"'],
  [{ maxBuffer: -1 }, 'maxBuffer: expected an integer from 0'],
  [{ reject: 'no' }, 'reject: expected true or false, received "no"'],
  [{ lines: 1 }, 'lines: expected true or false, received number 1'],
  [{ reject: false, timeout: -1 }, 'timeout: expected an integer from 0'],
  [{ all: true }, 'options of run(): expected any of'],
])('refuses %o', async (options, message) => {
  await expect(run('true', [], options as object)).rejects.toMatchObject({
    name: 'ProcessError',
    code: 'ERR_INVALID_ARGUMENT',
    message: expect.stringContaining(message),
  });
});
