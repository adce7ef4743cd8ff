import { describe, expect, it } from 'vitest';
import { formatAge, formatMs, parseDuration } from '../../src/cli/duration.js';

describe('durations', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['30', 30_000],
    ['0', 0],
    ['1.5s', 1500],
    ['.5', 500],
    ['0.3ms', 0],
    ['2.', 2000],
  ])('%s → %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', 's', '-1', '+1', '1x', '1 s', '5M', '1e3', 'NaN', 'Infinity', '1m30s', '0x10', '99999999999999999999'])(
    '%j is none',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  it.each([
    [0, '0s'],
    [59.99, '59s'],
    [60, '1m00s'],
    [3599, '59m59s'],
    [3600, '1h00m'],
    [86_399, '23h59m'],
    [90_061, '1d01h'],
    [-5, '0s'],
  ])('an age of %d s reads %s', (seconds, text) => {
    expect(formatAge(seconds)).toBe(text);
  });

  it('shows short times in ms and longer ones in s', () => {
    expect([formatMs(0.4), formatMs(840), formatMs(3210)]).toEqual(['0 ms', '840 ms', '3.2 s']);
  });
});
