/** The watchdog: answers at the deadline whatever JavaScript does, and never twice. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { withAddon } from '../helpers/addon.js';

/** Runs a script that has `addon`; stdout is read to its end unless `unread`. */
async function run(script: string, { unread = false } = {}) {
  const child = spawn(process.execPath, ['-e', withAddon(script)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  if (!unread) child.stdout.setEncoding('utf8').on('data', (part) => (text += part));
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  if (!unread && !child.stdout.readableEnded) await once(child.stdout, 'end');
  child.stdout.destroy();
  return { text, code, signal };
}

const FOREVER = 'for (;;);';

it('writes the prepared answer and exits when JavaScript is blocked', async () => {
  expect(await run(`addon.watchdogArm(50, 1, 'late\\n', 3); ${FOREVER}`)).toEqual({ text: 'late\n', code: 3, signal: null });
});

it('keeps to the last deadline and text', async () => {
  const script = `addon.watchdogArm(60000, 1, 'first', 3); addon.watchdogArm(50, 1, 'second', 4); ${FOREVER}`;
  expect(await run(script)).toMatchObject({ text: 'second', code: 4 });
});

it('says nothing once it is disarmed', async () => {
  const script = `addon.watchdogArm(500, 1, 'late', 3); console.log(addon.watchdogDisarm()); setTimeout(() => console.log('own'), 800)`;
  expect(await run(script)).toMatchObject({ text: 'true\nown\n', code: 0 });
});

it('a deadline of 0 answers and leaves at once', async () => {
  expect(await run(`addon.watchdogArm(0, 1, 'now', 0); ${FOREVER}`)).toMatchObject({ text: 'now', code: 0 });
});

it('writes an answer longer than a pipe holds to a reader that reads', async () => {
  // Not read by us: it gives up on a reader that pauses for 100 ms, as an event loop may.
  const script = withAddon(`addon.watchdogArm(10, 1, 'x'.repeat(300000), 0); ${FOREVER}`);
  const { stdout } = await promisify(execFile)('sh', ['-c', '"$0" -e "$1" | wc -c', process.execPath, script]);
  expect(Number(stdout)).toBe(300_000);
});

it('is not held up by a reader that does not read', async () => {
  expect(await run(`addon.watchdogArm(10, 1, 'x'.repeat(300000), 5); ${FOREVER}`, { unread: true })).toMatchObject({ code: 5 });
});

it('does not mind a closed descriptor', async () => {
  expect(await run(`addon.watchdogArm(10, 999, 'x', 6); ${FOREVER}`)).toMatchObject({ code: 6 });
});
