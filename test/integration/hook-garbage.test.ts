/** Whatever is on stdin: exit 0, one JSON object, nothing on stderr; and nobody is ended for an event that was not understood. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { runFile, runHook } from '../helpers/command.js';
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
    const directory = tempDirectory();
    const file = path.join(directory, 'event.json');
    writeFileSync(file, '{"hook_event_name":"Stop"}');
    const hook = (await import('node:url')).fileURLToPath(new URL('../../dist/hook.cjs', import.meta.url));
    const result = await runFile('sh', ['-c', 'exec "$0" "$1" < "$2"', process.execPath, hook, file], { cwd: directory });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout).hook).toBe('stop__process_cleanup');
  });

  it.each(['<&-', '< /dev/null', '< .', '<> /dev/tty'])('copes with stdin %s', async (redirection) => {
    const hook = (await import('node:url')).fileURLToPath(new URL('../../dist/hook.cjs', import.meta.url));
    const result = await runFile('sh', ['-c', `exec "$0" "$1" --dry-run ${redirection}`, process.execPath, hook], { cwd: tempDirectory() });
    // No terminal at all: the shell itself refuses, and there is nothing to test.
    if (redirection.includes('tty') && result.stderr.includes('/dev/tty')) return;
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({ success: true });
  });
});
