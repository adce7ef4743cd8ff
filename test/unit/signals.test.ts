import { describe, expect, it } from 'vitest';
import { closest, endOf, signalName, signalNumber, signalNumberOrProbe } from '../../src/signals.js';
import type { Signal } from '../../src/types.js';

const invalid = (message: RegExp | string) =>
  expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringMatching(message) });

describe('signalNumber', () => {
  it.each<[Signal, number]>([
    ['SIGTERM', 15],
    ['SIGKILL', 9],
    ['SIGIOT', 6],
    [1, 1],
    [64, 64],
  ])('%s is %i', (value, number) => {
    expect(signalNumber(value, 'killSignal')).toBe(number);
  });

  it.each<[unknown, RegExp]>([
    ['sigterm', /^killSignal: expected a signal name .*, received "sigterm"; did you mean 'SIGTERM'\?$/],
    ['TERM', /did you mean 'SIGTERM'\?$/],
    ['kill', /did you mean 'SIGKILL'\?$/],
    ['SIGTREM', /did you mean 'SIGTERM'\?$/],
    ['SIGRTMIN', /received "SIGRTMIN"/],
    ['toString', /received "toString"$/],
    ['', /received ""$/],
    [0, /number from 1 to 64, received number 0$/],
    [65, /received number 65$/],
    [-15, /received number -15$/],
    [1.5, /received number 1.5$/],
    [Number.NaN, /received number NaN$/],
    [15n, /received bigint 15$/],
    [null, /received null$/],
    [undefined, /received undefined$/],
    [{}, /received an instance of Object$/],
  ])('refuses %s', (value, message) => {
    expect(() => signalNumber(value as Signal, 'killSignal')).toThrow(invalid(message));
  });
});

describe('signalNumberOrProbe', () => {
  it('takes 0 besides', () => {
    expect(signalNumberOrProbe(0, 'signal')).toBe(0);
    expect(signalNumberOrProbe('SIGHUP', 'signal')).toBe(1);
  });
  it.each([-1, 65, 0.5])('refuses %d', (value) => {
    expect(() => signalNumberOrProbe(value, 'signal')).toThrow(invalid(/from 0 to 64/));
  });
});

it.each([
  [15, 'SIGTERM'],
  [6, 'SIGABRT'],
  [29, 'SIGIO'],
  [0, null],
  [40, null],
])('the name of %i is %s', (number, name) => {
  expect(signalName(number)).toBe(name);
});

it.each<[number | null, ReturnType<typeof endOf>]>([
  [0, { exitCode: 0, signal: null }],
  [3 << 8, { exitCode: 3, signal: null }],
  [255 << 8, { exitCode: 255, signal: null }],
  [15, { exitCode: null, signal: 'SIGTERM' }],
  [6 | 0x80, { exitCode: null, signal: 'SIGABRT' }], // with core
  [null, { exitCode: null, signal: null }],
])('wait status %s', (status, end) => {
  expect(endOf(status)).toEqual(end);
});

it.each([
  ['nmae', ['name', 'state'], 'name'],
  ['Name', ['name', 'state'], 'name'],
  ['forceKillAfter', ['killSignal', 'forceKillAfterDelay'], 'forceKillAfterDelay'],
  ['xyz', ['name', 'state'], undefined],
])('closest to %s', (word, candidates, best) => {
  expect(closest(word, candidates)).toBe(best);
});
