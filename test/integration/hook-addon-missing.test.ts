/** A machine for which there is no binary: the hook says so in JSON, and the session goes on. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { runHook } from '../helpers/command.js';
import { tempDirectory } from '../helpers/temp.js';

const EVENT = '{"hook_event_name":"SessionStart","source":"startup"}';

it.each([
  ['a path where nothing is', () => '/nonexistent/corral.node'],
  [
    'a file that is no addon',
    () => {
      const file = path.join(tempDirectory(), 'corral.node');
      writeFileSync(file, 'not an ELF');
      return file;
    },
  ],
])('%s', async (_name, addon) => {
  const result = await runHook(['--host', 'claude'], { stdin: EVENT, env: { CORRAL_NATIVE_PATH: addon() }, cwd: tempDirectory() });
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(result.stdout)).toMatchObject({
    success: false,
    graceful_degradation: true,
    error: expect.stringContaining('no native binary could be loaded'),
  });
});

it('is an error where the user wants errors', async () => {
  const env = { CORRAL_NATIVE_PATH: '/nonexistent/corral.node', CORRAL_GRACEFUL_DEGRADATION: 'false' };
  const result = await runHook([], { stdin: EVENT, env, cwd: tempDirectory() });
  expect(result).toMatchObject({ code: 1, stderr: '' });
  expect(JSON.parse(result.stdout)).toMatchObject({ success: false, graceful_degradation: false });
});
