/** Hosts have kept the hook's stdin open for hours: the answer must not wait for its end. */
import { describe, expect, it } from 'vitest';
import { runHook } from '../helpers/command.js';
import { tempDirectory } from '../helpers/temp.js';

const EVENT = '{"hook_event_name":"SessionStart","source":"startup","session_id":"s"}';

describe('stdin that is never closed', () => {
  it.each([
    ['nothing comes', ''],
    ['an event comes', EVENT],
    ['an event and a line end come', `${EVENT}\n`],
    ['half an event comes', EVENT.slice(0, 20)],
    ['garbage comes', 'hello'],
  ])('%s: answers all the same', async (_name, text) => {
    const result = await runHook(['--dry-run', '--timeout-ms', '20000'], { stdin: { open: text }, cwd: tempDirectory() });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    // With success: it was not the deadline that answered. How long it takes is measured in bench/.
    expect(JSON.parse(result.stdout)).toMatchObject({ hook: 'session_start__process_cleanup', success: true });
  });
});
