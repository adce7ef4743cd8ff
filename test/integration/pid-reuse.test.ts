/**
 * Recycled pids: the torture of test/torture/pid-reuse.mjs in short, and once more with the build that signals by number, which has to hit
 * somebody: otherwise the first run would prove nothing. For a long one: node test/torture/pid-reuse.mjs --recycles 100000.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { UNVERIFIED_MARK, unverifiedAddon } from '../../scripts/lib/node-gyp.mjs';
import { native } from '../../src/native.js';

const file = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

interface Result {
  recycled: number;
  hits: number;
  wrong: string[];
  missed: string[];
  storm: { reissued: number; operations: number };
}

async function torture(context: TestContext, ...args: string[]): Promise<{ text: string; result: Result }> {
  const program = spawn(process.execPath, [file('test/torture/pid-reuse.mjs'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void program.kill('SIGTERM'));
  let text = '';
  for (const stream of [program.stdout, program.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  const status = await new Promise((resolve) => program.once('close', resolve));
  if (status === 69) context.skip(text.trim());
  const last = text.trim().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`the torture did not come to its end:\n${text}`);
  return { text, result: JSON.parse(last) as Result };
}

describe('numbers that are used again', () => {
  it('lead to nobody else', { timeout: 240_000 }, async (context) => {
    const { text, result } = await torture(context, '--recycles', '3000', '--storm-seconds', '8');
    expect(result, text).toMatchObject({ hits: 0, wrong: [] });
    expect(result.recycled).toBeGreaterThanOrEqual(3000);
    expect(result.storm.operations).toBeGreaterThan(0);
  });

  it('would, if they were believed', { timeout: 240_000 }, async (context) => {
    if (!existsSync(unverifiedAddon)) throw new Error(`${unverifiedAddon} is missing: run "node scripts/build.mjs unverified" first`);
    const { text, result } = await torture(context, '--recycles', '300', '--storm-seconds', '0', '--unverified');
    expect(result.hits, text).toBeGreaterThan(100);
    // In others JavaScript knows better before the addon is asked, or the number is nobody's at the moment.
    for (const name of ['signal to a process that was attached', 'signal to a group that was held', 'attach to an identity']) {
      expect(result.missed, text).not.toContain(name);
    }
  });
});

it('the build without identity checks says so, and no other does', () => {
  const require = createRequire(import.meta.url);
  expect((require(unverifiedAddon) as { unverified?: string }).unverified).toBe(UNVERIFIED_MARK);
  expect(readFileSync(unverifiedAddon).includes(UNVERIFIED_MARK)).toBe(true);
  expect((native() as { unverified?: string }).unverified).toBeUndefined();
  const shipped = (require('node-gyp-build') as { path(root: string): string }).path(file('.'));
  expect(readFileSync(process.env.CORRAL_NATIVE_PATH ?? shipped).includes(UNVERIFIED_MARK)).toBe(false);
});
