/** /proc that never answers, JavaScript that never returns: the watchdog answers at the deadline, and nobody answers twice. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hookCommand, runFile, runHook } from '../helpers/command.js';
import { tempDirectory } from '../helpers/temp.js';

const STUCK_ADDON = fileURLToPath(new URL('../fixtures/native-stuck.cjs', import.meta.url));
const EVENT = '{"hook_event_name":"SessionStart","source":"startup"}';

/** A project with `hooks` in its .moai/config.json. */
function projectWith(hooks: object): string {
  const directory = tempDirectory();
  mkdirSync(path.join(directory, '.moai'));
  writeFileSync(path.join(directory, '.moai/config.json'), JSON.stringify({ hooks }));
  return directory;
}

describe.each(['scan', 'block'])('stuck: %s', (how) => {
  const stuck = { CORRAL_NATIVE_PATH: STUCK_ADDON, CORRAL_TEST_STUCK: how };

  it('answers at the deadline of --timeout-ms, and exits 0', async () => {
    const result = await runHook(['--host', 'claude', '--timeout-ms', '5000'], { stdin: EVENT, env: stuck, cwd: tempDirectory() });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(/^\{.*\}\n$/);
    expect(JSON.parse(result.stdout)).toMatchObject({
      hook: 'session_start__process_cleanup',
      success: false,
      error: 'no answer within 5000 ms, while sweeping',
      graceful_degradation: true,
      message: expect.any(String),
      systemMessage: expect.stringContaining('no answer within 5000 ms'),
    });
    // Not before: the time that was allowed is used.
    expect(result.durationMs).toBeGreaterThan(4500);
    expect(result.durationMs).toBeLessThan(15_000);
  });

  it('takes deadline and exit status from the project', async () => {
    const cwd = projectWith({ timeout_ms: 700, graceful_degradation: false });
    const [node, file] = hookCommand();
    const result = await runFile(node, [file], { stdin: EVENT, env: stuck, cwd });
    expect(result).toMatchObject({ code: 1, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({
      success: false,
      graceful_degradation: false,
      error: expect.stringContaining('700 ms'),
    });
    expect(result.durationMs).toBeLessThan(4500); // without the project it would be 5000
  });
});

it('takes the deadline of an event that the host waits for only so long', async () => {
  const env = { CORRAL_NATIVE_PATH: STUCK_ADDON, CORRAL_TEST_STUCK: 'scan' };
  const event = '{"hook_event_name":"SessionEnd","reason":"other","session_id":"s"}';
  const [node, file] = hookCommand();
  const result = await runFile(node, [file], { stdin: event, env, cwd: projectWith({ timeout_ms: 60_000 }) });
  expect(JSON.parse(result.stdout)).toMatchObject({ success: false, error: expect.stringMatching(/^no answer within 1200 ms, while /) });
});

it('keeps its deadline although nobody reads the answer', async () => {
  const env = { CORRAL_NATIVE_PATH: STUCK_ADDON, CORRAL_TEST_STUCK: 'scan' };
  const result = await runHook(['--timeout-ms', '500'], {
    stdin: EVENT,
    env,
    cwd: tempDirectory(),
    meanwhile: (child) => void child.stdout?.destroy(),
  });
  expect(result).toMatchObject({ code: 0, stderr: '' });
});
