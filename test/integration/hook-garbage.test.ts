/** Whatever is on stdin: exit 0, one JSON object, nothing on stderr; and nobody is ended for an event that was not understood. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { hookCommand, runFile, runHook } from '../helpers/command.js';
import { tempDirectory } from '../helpers/temp.js';

describe('garbage on stdin', () => {
  it.each([
    ['text', 'hello'],
    ['binary', '\u0000\u0001\ufffd\u001b[31m'],
    ['an array', '[1,2,3]'],
    ['a broken object', '{"hook_event_name": SessionStart}'],
    ['an unclosed object', '{"hook_event_name":"SessionStart"'],
    ['more than a megabyte', `{"a":"${'x'.repeat(1_100_000)}"}`],
  ])('%s: reports only, and says why', async (_name, text) => {
    const result = await runHook([], { stdin: text, cwd: tempDirectory() });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({
      success: true,
      report_only: 'the event on stdin could not be read',
      warnings: expect.arrayContaining([expect.stringMatching(/^stdin: /)]),
    });
  });

  it('an event with fields of wrong types is still an event', async () => {
    const text = '{"hook_event_name":"Stop","session_id":5,"cwd":["/"],"source":null}';
    const result = await runHook([], { stdin: text, cwd: tempDirectory() });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({ hook: 'stop__process_cleanup', success: true });
  });
});

describe('other kinds of stdin', () => {
  it('reads an event from a file', async () => {
    const cwd = tempDirectory();
    writeFileSync(path.join(cwd, 'event.json'), '{"hook_event_name":"Stop"}');
    const result = await runFile('sh', ['-c', '"$@" < event.json', 'sh', ...hookCommand()], { cwd });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout).hook).toBe('stop__process_cleanup');
  });

  it.each(['<&-', '< /dev/null', '< .', '< /dev/zero'])('copes with stdin %s', async (redirection) => {
    const result = await runFile('sh', ['-c', `"$@" --dry-run ${redirection}`, 'sh', ...hookCommand()], { cwd: tempDirectory() });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({ success: true });
  });

  it('does not wait for somebody to type: a terminal says nothing', async () => {
    const quoted = hookCommand().map((word) => `'${word}'`);
    const result = await runFile('script', ['--quiet', '--return', '--command', `${quoted.join(' ')} --dry-run`, '/dev/null'], {
      cwd: tempDirectory(),
      stdin: { open: '' },
    });
    expect(result.code).toBe(0);
    expect(JSON.parse(result.stdout)).toMatchObject({ success: true });
  });
});
