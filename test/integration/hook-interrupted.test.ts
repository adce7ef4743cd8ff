/** A dying host sends SIGTERM to its hooks: the answer is still one JSON object, given at once. */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runHook } from '../helpers/command.js';
import { eventually } from '../helpers/eventually.js';
import { tempDirectory } from '../helpers/temp.js';

const STUCK_ADDON = fileURLToPath(new URL('../fixtures/native-stuck.cjs', import.meta.url));

it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s', async (signal) => {
  const result = await runHook(['--timeout-ms', '60000'], {
    stdin: { open: '' },
    env: { CORRAL_NATIVE_PATH: STUCK_ADDON, CORRAL_TEST_STUCK: 'scan' },
    cwd: tempDirectory(),
    meanwhile: async (child) => {
      // Then it waits for an event, or for a scan that never ends: either moment will do.
      // Node itself catches SIGINT and SIGTERM from the start; SIGHUP is the last one that the hook adds.
      await eventually(() => catches(child.pid as number, 'SIGHUP'), 20_000);
      child.kill(signal);
    },
  });
  expect(result).toMatchObject({ code: 0, signal: null, stderr: '' });
  expect(JSON.parse(result.stdout)).toMatchObject({ success: false, error: expect.stringMatching(new RegExp(`^${signal} came while `)) });
});

/** Whether a process has a handler for a signal, from /proc/PID/status. */
function catches(pid: number, signal: NodeJS.Signals): boolean {
  const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return mask !== undefined && (BigInt(`0x${mask}`) & (1n << BigInt(constants.signals[signal] - 1))) !== 0n;
}
