/** State D: in the kernel is everybody for a moment who reads from a disk or starts a program. Only who is stuck there can not be ended. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import type { ProcessTable } from '../../src/tree/table.js';
import { build } from '../fixtures/c/build.js';
import { eventually } from '../helpers/eventually.js';
import { eagerProject } from '../helpers/leftovers.js';
import { isAlive, readStat } from '../helpers/proc.js';
import { olderThan, sweepIn, verdictOn } from '../helpers/sweeping.js';
import { tempDirectory } from '../helpers/temp.js';

/** Called after each scan, before its caller sees what it has found. */
let onLook: (table: ProcessTable) => Promise<void>;
vi.mock('../../src/tree/scan.js', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/tree/scan.js')>();
  const scan: typeof original.scan = async (options) => {
    const table = await original.scan(options);
    await onLook(table);
    return table;
  };
  return { ...original, scan };
});

const { program } = build('in-kernel');

beforeEach(() => {
  onLook = async () => {};
});

/** By a "ripgrep": `cross` sends it into the kernel, or calls it back. */
async function startRipgrep(): Promise<{ pid: number; cross(to: 'D' | 'S'): Promise<unknown> }> {
  const file = path.join(tempDirectory(), 'rg');
  symlinkSync(program('in-kernel'), file);
  const child = spawn(file, { detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
  const closed = once(child, 'close');
  const pid = child.pid as number;
  onTestFinished(async () => {
    child.stdin.destroy();
    await closed;
  });
  const reaches = (state: string) => eventually(() => readStat(pid)?.state === state, 5000, `${pid} is in state ${state}`);
  await eventually(() => readStat(pid)?.name === 'rg');
  await reaches('S');
  await olderThan(pid, 0.01);
  return {
    pid,
    cross(to) {
      child.stdin.write('x');
      return reaches(to);
    },
  };
}

it('who is stuck in the kernel is named and left alone', async () => {
  const { pid, cross } = await startRipgrep();
  await cross('D');
  const report = await sweepIn(eagerProject());
  expect(verdictOn(report, pid)).toMatchObject({ action: 'report', protectedBy: 'uninterruptible' });
  expect(report).toMatchObject({ success: true, totalCleaned: 0 });
  expect(isAlive(pid)).toBe(true);
});

it('who comes back while it is looked is ended', async () => {
  const { pid, cross } = await startRipgrep();
  await cross('D');
  let isAway = true;
  onLook = async (table) => {
    if (!isAway || table.get(pid)?.env === undefined) return;
    isAway = false;
    await cross('S');
  };
  const report = await sweepIn(eagerProject());
  expect(isAway).toBe(false);
  expect(report).toMatchObject({ success: true, cleaned: [{ pid, signal: 'SIGTERM' }] });
});

it('who goes there when his verdict is known is ended', async () => {
  const { pid, cross } = await startRipgrep();
  let isAway = false;
  onLook = async (table) => {
    if (isAway || table.get(pid)?.env === undefined) return;
    isAway = true;
    await cross('D');
  };
  const report = await sweepIn(eagerProject());
  expect(isAway).toBe(true);
  expect(report).toMatchObject({ success: true, cleaned: [{ pid, signal: 'SIGTERM' }] });
});
