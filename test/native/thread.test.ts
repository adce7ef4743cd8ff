/** A thread that lets others go first: its slice becomes longer, and nothing else about it changes. */
import { execFileSync } from 'node:child_process';
import { release } from 'node:os';
import { beforeAll, expect, it } from 'vitest';
import { build } from '../fixtures/c/build.js';
import { compile } from './cc/build.js';

const built = build('restrict');
let driver: string;
beforeAll(async () => {
  driver = await compile({ source: 'thread_driver.cc', sys: ['thread.cc'] });
}, 120_000);

const LONG_NS = 5_000_000;
const [major = 0, minor = 0] = release().split('.').map(Number);
/** Before, an ordinary thread has no slice of its own, and what is asked for is ignored. */
const hasSlices = major > 6 || (major === 6 && minor >= 12);

/** [policy, nice, slice] of the thread before, after, of one that it starts then, and of the first thread. */
function threads(...prefix: string[]): Array<Array<number>> {
  const [file = driver, ...args] = [...prefix, driver];
  const lines = execFileSync(file, args, { encoding: 'utf8' }).trim().split('\n');
  expect(lines).toHaveLength(4);
  return lines.map((line) => line.split(' ').map(Number));
}

it.each([
  ['an ordinary thread', [], 0, 0],
  ['one that is nice', ['nice', '-n', '7'], 0, 7],
] as const)('%s', (_, prefix, policy, nice) => {
  const [before, after, below, first] = threads(...prefix);
  expect(before).toEqual([policy, nice, expect.any(Number)]);
  expect(before?.[2]).toBeLessThan(LONG_NS);
  const changed = [policy, nice, hasSlices ? LONG_NS : before?.[2]];
  expect(after).toEqual(changed);
  expect(below).toEqual(changed);
  expect(first).toEqual(before);
});

it.each([
  ['--batch', 3],
  ['--idle', 5],
] as const)('one under chrt %s is left as it is', (option, policy) => {
  const all = threads('chrt', option, '0');
  for (const one of all) expect(one).toEqual([policy, 0, all[0]?.[2]]);
});

it('nothing happens where it is refused', () => {
  const [before, after, below, first] = threads(built.program('restrict'), 'deny=sched_setattr:EPERM', '--');
  expect([after, below, first]).toEqual([before, before, before]);
});
