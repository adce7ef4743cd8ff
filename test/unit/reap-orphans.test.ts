/** Which zombie is nobody's: the decision, without processes. */
import { describe, expect, it } from 'vitest';
import { judge, type Zombie } from '../../src/process/reap-orphans.js';

const child = (pid: number, startTicks = 1n) => ({ pid, startTicks, name: 'x', detail: 0 });
const GRACE = { graceMs: 100 };
const nobody: ReadonlyMap<string, Zombie> = new Map();
const pids = (children: Iterable<{ pid: number }>) => [...children].map(({ pid }) => pid);
const waitingPids = (waiting: ReadonlyMap<string, Zombie>) => pids([...waiting.values()].map((zombie) => zombie.child));

/** Seen first at 1000 ms, after 5 signals. */
const first = judge([child(7)], nobody, { nowMs: 1000, signals: 5, ...GRACE });

describe('a zombie', () => {
  it('is never taken at the first look, however little patience is asked for', () => {
    expect(first).toMatchObject({ adopted: [], needsSignal: true, dueMs: 1100 });
    expect(waitingPids(first.waiting)).toEqual([7]);
    expect(judge([child(7)], nobody, { nowMs: 1000, signals: 5, graceMs: 0 })).toMatchObject({
      adopted: [],
      needsSignal: true,
      dueMs: undefined,
    });
  });

  it.each([
    ['old enough, but libuv had no chance', 9999, 5, []],
    ['old enough, and libuv had half a chance', 9999, 6, []],
    ['libuv had its chance, but it is young', 1099, 50, []],
    ['both', 1100, 7, [7]],
  ])('%s', (_, nowMs, signals, expected) => {
    const next = judge([child(7)], first.waiting, { nowMs, signals, ...GRACE });
    expect(pids(next.adopted)).toEqual(expected);
    expect(waitingPids(next.waiting)).toEqual(expected.length === 0 ? [7] : []);
  });

  it('of the same number as another begins anew', () => {
    const next = judge([child(7, 2n)], first.waiting, { nowMs: 9999, signals: 99, ...GRACE });
    expect(next).toMatchObject({ adopted: [], needsSignal: true, dueMs: 10_099 });
  });

  it('that somebody has reaped is forgotten', () => {
    const next = judge([], first.waiting, { nowMs: 1100, signals: 7, ...GRACE });
    expect(next).toEqual({ adopted: [], waiting: new Map(), needsSignal: false, dueMs: undefined });
  });
});

it('the next look is due when the eldest of those that wait is', () => {
  const second = judge([child(7), child(8)], first.waiting, { nowMs: 1050, signals: 7, ...GRACE });
  expect(second).toMatchObject({ adopted: [], needsSignal: true, dueMs: 1100 });
  const third = judge([child(8)], second.waiting, { nowMs: 1100, signals: 9, ...GRACE });
  expect(third).toMatchObject({ adopted: [], needsSignal: false, dueMs: 1150 });
});
