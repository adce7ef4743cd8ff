/** What the doors of tree/ refuse, and how they say it; nothing here reaches a process. */
import type { ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { attach } from '../../src/tree/attach.js';
import { reasonToRefuseKind, refuse, refuseTarget, type Self } from '../../src/tree/identity.js';
import { killTree } from '../../src/tree/kill-tree.js';
import { checkOptions, terminationSettings } from '../../src/tree/options.js';
import { listProcesses, scan, snapshot } from '../../src/tree/scan.js';
import type { ProcessField, ProcessIdentity, TerminationOptions } from '../../src/types.js';

const error = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) });

describe('refuse', () => {
  const ourselves: Self = { pid: 50, pgid: 45, sid: 40, ancestors: new Set([49, 40, 1]), keepers: new Set([60]) };

  it.each([
    [-1, /^PID: -1 is refused: to kill\(2\) it means every process there is$/],
    [0, /our own process group/],
    [1, /init/],
    [50, /this process itself/],
    [49, /descends from it/],
    [40, /descends from it/],
    [45, /leads the process group/],
    [60, /keeper of a tree of this program/],
  ])('pid %i', (pid, why) => {
    expect(() => refuse(pid, 'PID', () => ourselves)).toThrow(
      expect.objectContaining({ code: 'ERR_REFUSED_TARGET', pid, message: expect.stringMatching(why) }),
    );
  });

  it.each([-2, -50, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '50', null, undefined, 50n])(
    '%s, which is no process id',
    (pid) => {
      expect(() => refuse(pid, 'PID', () => ourselves)).toThrow(
        error('ERR_INVALID_ARGUMENT', /^PID: expected a process id \(an integer from 2 to 2147483647\), received /),
      );
    },
  );

  it('nobody else', () => {
    for (const pid of [2, 39, 51, 2 ** 31 - 1]) expect(() => refuse(pid, 'PID', () => ourselves)).not.toThrow();
  });

  it('our real self, parent and their ancestors', () => {
    for (const pid of [process.pid, process.ppid])
      expect(() => refuse(pid, 'PID')).toThrow(error('ERR_REFUSED_TARGET', new RegExp(`^PID: ${pid} `)));
  });
});

describe('what is no process of its own', () => {
  const stat = (flags: number) => `7 (a) (\n) S 2 0 0 0 -1 ${flags} 0`;
  const status = (tgid: number, pid: number) =>
    `Name:\tx\\nTgid:\t1\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t${tgid}\nNgid:\t0\nPid:\t${pid}\nPPid:\t1\n`;

  it.each([
    ['a process', stat(0x400000), status(7, 7), undefined],
    ['a thread', stat(0x400040), status(5, 7), 'it is a thread of process 5'],
    ['a thread of the kernel', stat(0x208040), status(7, 7), 'it is a thread of the kernel'],
    ['nobody', undefined, undefined, undefined],
    ['somebody hidden', stat(0), undefined, undefined],
  ])('%s', (_, statText, statusText, expected) => {
    expect(reasonToRefuseKind(statText, statusText)).toBe(expected);
  });

  it('the real threads of this program', () => {
    const other = readdirSync('/proc/self/task')
      .map(Number)
      .find((tid) => tid !== process.pid);
    expect(() => refuseTarget(other, 'PID')).toThrow(
      error('ERR_REFUSED_TARGET', new RegExp(`^PID: ${other} is refused: it is a thread of process ${process.pid}$`)),
    );
    expect(() => refuseTarget(4_194_304, 'PID')).not.toThrow();
  });
});

describe('terminationSettings', () => {
  it.each<[TerminationOptions, object]>([
    [{}, { killSignal: 15, graceMs: 5000, abort: undefined }],
    [
      { killSignal: 'SIGINT', forceKillAfterDelay: 0 },
      { killSignal: 2, graceMs: 0 },
    ],
    [
      { killSignal: 10, forceKillAfterDelay: false },
      { killSignal: 10, graceMs: null },
    ],
  ])('%o', (options, settings) => {
    expect(terminationSettings(options)).toMatchObject(settings);
  });
});

it.each<[unknown, RegExp]>([
  [null, /^options of stop\(\): expected an object, received null$/],
  ['x', /received "x"$/],
  [
    { forceKillAfter: 5 },
    /^options of stop\(\): expected any of killSignal, forceKillAfterDelay, received "forceKillAfter"; did you mean 'forceKillAfterDelay'\?$/,
  ],
  [{ nonsense: 5 }, /received "nonsense"$/],
])('options %o', (options, message) => {
  expect(() => checkOptions('stop', options, ['killSignal', 'forceKillAfterDelay'])).toThrow(error('ERR_INVALID_ARGUMENT', message));
});

describe('listProcesses, snapshot, scan', () => {
  it.each<[unknown, RegExp]>([
    [{ fields: ['nmae'] }, /^fields: expected any of name, ppid, .*, received "nmae"; did you mean 'name'\?$/],
    [{ fields: ['pid'] }, /received "pid"/],
    [{ fields: ['constructor'] }, /received "constructor"$/],
    [{ fields: [7] }, /received number 7$/],
    [{ fields: 'name' }, /^fields: expected an array of process fields \(name, .*\), received "name"$/],
    [{ pids: 5 }, /^pids: expected an array of process ids, received number 5$/],
    [{ pids: [5, 0] }, /^pids\[1\]: expected a process id .*, received number 0$/],
    [{ pid: 5 }, /^options of listProcesses\(\): expected any of fields, pids, received "pid"; did you mean 'pids'\?$/],
  ])('%o', async (options, message) => {
    await expect(listProcesses(options as { fields: ProcessField[] })).rejects.toThrow(error('ERR_INVALID_ARGUMENT', message));
  });

  it('snapshot takes no pids', async () => {
    await expect(snapshot({ pids: [1] } as object)).rejects.toThrow(/^options of snapshot\(\)/);
  });

  it.each([{ pgid: 0 }, { sid: -1 }])('scan %o', async (options) => {
    await expect(scan(options)).rejects.toThrow(error('ERR_INVALID_ARGUMENT', /^(pgid|sid): expected a process id/));
  });
});

describe('killTree', () => {
  const child = (state: Partial<ChildProcess>) => ({ pid: 4_000_000, exitCode: null, signalCode: null, ...state }) as ChildProcess;
  const nothing = { terminated: [], survivors: [], escalated: false, durationMs: 0, proof: 'scan' };

  it.each<[string, ChildProcess]>([
    ['failed to start', child({ pid: undefined })],
    ['has exited', child({ exitCode: 0 })],
    ['was killed', child({ signalCode: 'SIGKILL' })],
  ])('a ChildProcess that %s: nothing to do', async (_, target) => {
    expect(await killTree(target)).toEqual(nothing);
  });

  it.each<[unknown, string, RegExp]>([
    [0, 'ERR_REFUSED_TARGET', /^target: 0 is refused/],
    [-1, 'ERR_REFUSED_TARGET', /^target: -1 is refused/],
    [1, 'ERR_REFUSED_TARGET', /^target: 1 is refused/],
    [process.pid, 'ERR_REFUSED_TARGET', /this process itself/],
    [process.ppid, 'ERR_REFUSED_TARGET', /descends from it/],
    [child({ pid: process.ppid }), 'ERR_REFUSED_TARGET', /descends from it/],
    [Number.NaN, 'ERR_INVALID_ARGUMENT', /^target: expected a process id/],
    ['123', 'ERR_INVALID_ARGUMENT', /^target: expected a process id, a ChildProcess or a ProcessIdentity, received "123"$/],
    [null, 'ERR_INVALID_ARGUMENT', /received null$/],
    [{ pid: 5 }, 'ERR_INVALID_ARGUMENT', /received an instance of Object$/],
    [{ pid: 5, startTicks: 5, bootId: 'b' }, 'ERR_INVALID_ARGUMENT', /^target\.startTicks: expected a bigint, received number 5$/],
    [{ pid: 5, startTicks: 5n }, 'ERR_INVALID_ARGUMENT', /^target\.bootId: expected a string, received undefined$/],
    [{ pid: 'x', startTicks: 5n, bootId: 'b' }, 'ERR_INVALID_ARGUMENT', /^target\.pid: expected a process id, received "x"$/],
  ])('%s', async (target, code, message) => {
    await expect(killTree(target as number)).rejects.toThrow(error(code, message));
  });

  it.each<[unknown, RegExp]>([
    [{ timeout: 5 }, /^options of killTree\(\): .* received "timeout"/],
    [{ killSignal: 'TERM' }, /^killSignal: .* did you mean 'SIGTERM'\?/],
    [{ forceKillAfterDelay: '5s' }, /^forceKillAfterDelay: .* received "5s"/],
  ])('options %o, before anything is looked at', async (options, message) => {
    await expect(killTree(4_000_000, options as TerminationOptions)).rejects.toThrow(error('ERR_INVALID_ARGUMENT', message));
  });
});

describe('attach', () => {
  it.each<[unknown, RegExp]>([
    [0, /^target: expected a process id or a ProcessIdentity, received number 0$/],
    [-5, /received number -5/],
    [undefined, /received undefined/],
    [{ pid: 5, startTicks: '5', bootId: 'b' }, /^target\.startTicks: expected a bigint, received "5"$/],
  ])('%o', async (target, message) => {
    await expect(attach(target as ProcessIdentity)).rejects.toThrow(error('ERR_INVALID_ARGUMENT', message));
  });
});
