/** The first JSON value is the event; what follows is not read, and the answer is one object. */
import { expect, it } from 'vitest';
import { runHook } from '../helpers/command.js';
import { tempDirectory } from '../helpers/temp.js';

it.each([
  ['on two lines', '{"hook_event_name":"Stop"}\n{"hook_event_name":"SessionStart"}\n'],
  ['without a break', '{"hook_event_name":"Stop"}{"hook_event_name":"SessionStart"}'],
  ['followed by garbage', '{"hook_event_name":"Stop"} and so on'],
])('two values %s', async (_name, text) => {
  const result = await runHook(['--host', 'claude'], { stdin: text, cwd: tempDirectory() });
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(result.stdout).toMatch(/^\{.*\}\n$/);
  expect(JSON.parse(result.stdout)).toMatchObject({ hook: 'stop__process_cleanup' });
});
