import { PassThrough, Readable } from 'node:stream';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { fake } from '../fixtures/process-fake-addon.js';

vi.mock('../../src/native.js', async (original) => ({
  ...(await original<object>()),
  ...(await import('../fixtures/process-fake-addon.js')).replaced,
}));

const { planSpawn, planTermination } = await import('../../src/process/options.js');

beforeEach(() => {
  fake.reset();
  vi.restoreAllMocks();
});

const request = (options: object = {}) => planSpawn('cmd', [], options).request;
const asRoot = () => vi.spyOn(process, 'geteuid').mockReturnValue(0);
const asUser = () => vi.spyOn(process, 'geteuid').mockReturnValue(1000);

describe('planSpawn', () => {
  it('has defaults that end everything', () => {
    const plan = planSpawn('cmd', undefined, undefined);
    expect(plan.request).toMatchObject({ containment: 1, file: 'cmd', argv: 'cmd\0', cwd: '', stdin: -2, stdout: -1, stderr: -1 });
    expect(plan.request).toMatchObject({
      killSignal: 15,
      graceMs: 5000,
      timeoutMs: 0,
      onLeaderExit: 0,
      onOwnerExit: 0,
      settings: undefined,
    });
    expect(plan).toMatchObject({ containment: 'tree', onLeaderExit: 'stop', labels: {} });
  });

  it.each([
    [{ containment: 'group' }, { containment: 0 }],
    [{ containment: 'cgroup' }, { containment: 2, leaf: expect.stringMatching(/^corral-[0-9a-f]{32}\.\d+$/) }],
    [{ argv0: '-sh' }, { file: 'cmd', argv: '-sh\0' }],
    [{ cwd: '/tmp' }, { cwd: '/tmp' }],
    [{ cwd: new URL('file:///tmp/a%20b') }, { cwd: '/tmp/a b' }],
    [
      { stdin: 'pipe', stdout: 'inherit', stderr: 'ignore' },
      { stdin: -1, stdout: 1, stderr: -2 },
    ],
    [
      { stdin: 'inherit', stdout: 2, stderr: 'inherit' },
      { stdin: 0, stdout: 2, stderr: 2 },
    ],
    [{ timeout: 500 }, { timeoutMs: 500 }],
    [
      { killSignal: 'SIGINT', forceKillAfterDelay: 0 },
      { killSignal: 2, graceMs: 0 },
    ],
    [
      { killSignal: 34, forceKillAfterDelay: false },
      { killSignal: 34, graceMs: -1 },
    ],
    [
      { onLeaderExit: 'wait', onOwnerExit: 'leave' },
      { onLeaderExit: 1, onOwnerExit: 2 },
    ],
    [{ umask: 0o027 }, { settings: { umask: 0o027 } }],
    [{ noNewPrivileges: true }, { settings: { noNewPrivs: true } }],
    [{ noNewPrivileges: false }, { settings: undefined }],
    [{ nice: 19, oomScoreAdj: -1000 }, { settings: { nice: 19, oomScoreAdj: -1000 } }],
    [
      { rlimits: { nofile: 64, core: { soft: 0, hard: Number.POSITIVE_INFINITY } } },
      { settings: { limits: [7, 64, 64, 4, 0, Number.POSITIVE_INFINITY] } },
    ],
    [
      { rlimits: { as: Number.POSITIVE_INFINITY, cpu: undefined } },
      { settings: { limits: [9, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] } },
    ],
    [
      { timeout: undefined, cwd: undefined, killSignal: undefined },
      { timeoutMs: 0, cwd: '', killSignal: 15 },
    ],
  ])('%o becomes %o', (options, expected) => {
    expect(request(options)).toMatchObject(expected);
  });

  it('names a cgroup for the level that has one, after the tree', () => {
    const plan = planSpawn('cmd', [], { containment: 'cgroup' });
    expect(plan).toMatchObject({ containment: 'cgroup', request: { leaf: `corral-${plan.request.treeId}` } });
    expect(planSpawn('cmd', []).request.leaf).toBe('');
  });

  it('encodes arguments with NUL after each, empty ones too', () => {
    expect(planSpawn('cmd', ['a b', '', 'ü'], {}).request.argv).toBe('cmd\0a b\0\0ü\0');
  });

  it.each([
    [['', []], 'command: expected the name or path of a program, received ""'],
    [[undefined, []], 'command: expected the name or path of a program, received undefined'],
    [['a\0b', []], 'command: expected the name or path of a program, without NUL, received "a\\u0000b"'],
    [['cmd', [], { cwd: new URL('file:///tmp%00x') }], 'cwd: expected a path or a file: URL, without NUL, received "/tmp\\u0000x"'],
    [['cmd', 'x'], 'args: expected an array of strings, received "x"'],
    [['cmd', { cwd: '/' }], 'args: expected an array of strings, received an instance of Object'],
    [['cmd', ['a', 3]], 'args[1]: expected a string, received number 3'],
    [['cmd', ['a\0']], 'args[0]: expected a string, without NUL, received "a\\u0000"'],
    [['cmd', [], 'x'], 'options of spawn(): expected an object, received "x"'],
    [['cmd', [], null], 'options of spawn(): expected an object, received null'],
    [['cmd', [], { timeOut: 5 }], "did you mean 'timeout'?"],
    [['cmd', [], { restart: {} }], 'received "restart"'],
    [['cmd', [], { containment: 'jail' }], 'containment: expected "group" or "tree" or "cgroup", received "jail"'],
    [['cmd', [], { timeout: -1 }], 'timeout: expected an integer from 0 to 2147483647 (milliseconds), received number -1'],
    [['cmd', [], { timeout: 2 ** 31 }], 'received number 2147483648'],
    [['cmd', [], { timeout: 1.5 }], 'received number 1.5'],
    [['cmd', [], { timeout: Number.NaN }], 'received number NaN'],
    [['cmd', [], { timeout: '5' }], 'received "5"'],
    [['cmd', [], { forceKillAfterDelay: true }], 'or false (never), received boolean true'],
    [['cmd', [], { killSignal: 'SIGFOO' }], 'killSignal: expected'],
    [['cmd', [], { killSignal: 'sigterm' }], "did you mean 'SIGTERM'?"],
    [['cmd', [], { killSignal: 0 }], 'killSignal: expected'],
    [['cmd', [], { signal: {} }], 'signal: expected an AbortSignal'],
    [['cmd', [], { onLeaderExit: 'kill' }], 'onLeaderExit: expected "stop" or "wait" or "leave", received "kill"'],
    [['cmd', [], { onOwnerExit: 'wait' }], 'onOwnerExit: expected "stop" or "leave", received "wait"'],
    [['cmd', [], { cwd: '' }], 'cwd: expected a path or a file: URL, received ""'],
    [['cmd', [], { cwd: new URL('https://example.org/') }], 'cwd: expected a path or a file: URL, received "https://example.org/"'],
    [['cmd', [], { env: 'A=1' }], 'env: expected an object of strings, received "A=1"'],
    [['cmd', [], { env: { A: 1 } }], 'env.A: expected a string, or undefined to remove it, received number 1'],
    [['cmd', [], { env: { 'A=B': '1' } }], 'env: expected names that are not empty'],
    [['cmd', [], { env: { '': '1' } }], 'env: expected names that are not empty'],
    [['cmd', [], { env: { A: 'secret\0' } }], 'env.A: expected a string without NUL, received one with NUL'],
    [['cmd', [], { inheritEnv: 1 }], 'inheritEnv: expected true or false, received number 1'],
    [['cmd', [], { argv0: 5 }], 'argv0: expected a string, received number 5'],
    [['cmd', [], { stdin: 'pip' }], 'stdin: expected "pipe", "ignore", "inherit", a descriptor or a Readable, received "pip"'],
    [['cmd', [], { stdin: -1 }], 'stdin: expected'],
    [['cmd', [], { stdout: 1.5 }], 'stdout: expected'],
    [['cmd', [], { stderr: 999_999 }], 'stderr: expected a descriptor that is open, received number 999999'],
    [['cmd', [], { stdout: Readable.from([]) }], 'stdout: expected "pipe", "ignore", "inherit", a descriptor or a Writable'],
    [['cmd', [], { user: 1.5 }], 'user: expected an integer from 0 to 4294967294, received number 1.5'],
    [['cmd', [], { user: 'nobody-here' }], 'user: expected the name of a user that exists, or a uid, received "nobody-here"'],
    [['cmd', [], { group: 'none-such' }], 'group: expected the name of a group that exists, or a gid, received "none-such"'],
    [['cmd', [], { groups: 5 }], 'groups: expected an array of group names and gids, received number 5'],
    [['cmd', [], { groups: [1, -1] }], 'groups[1]: expected an integer from 0 to 4294967294, received number -1'],
    [['cmd', [], { groups: Array.from({ length: 257 }, (_, i) => i) }], 'groups: expected at most 256, received number 257'],
    [['cmd', [], { umask: 0o1000 }], 'umask: expected an integer from 0 to 511, received number 512'],
    [['cmd', [], { nice: -21 }], 'nice: expected an integer from -20 to 19, received number -21'],
    [['cmd', [], { oomScoreAdj: 1001 }], 'oomScoreAdj: expected an integer from -1000 to 1000, received number 1001'],
    [['cmd', [], { noNewPrivileges: 'yes' }], 'noNewPrivileges: expected true or false, received "yes"'],
    [['cmd', [], { rlimits: 5 }], 'rlimits: expected an object, received number 5'],
    [
      ['cmd', [], { rlimits: { files: 5 } }],
      'rlimits: expected any of cpu, fsize, data, stack, core, nproc, nofile, memlock, as, received "files"',
    ],
    [['cmd', [], { rlimits: { nofile: -1 } }], 'rlimits.nofile: expected an integer of at least 0, or Infinity, received number -1'],
    [
      ['cmd', [], { rlimits: { nofile: { soft: 5 } } }],
      'rlimits.nofile.hard: expected an integer of at least 0, or Infinity, received undefined',
    ],
    [
      ['cmd', [], { rlimits: { nofile: { soft: 6, hard: 5 } } }],
      'rlimits.nofile.soft: expected at most the hard limit (5), received number 6',
    ],
    [['cmd', [], { labels: { a: 1 } }], 'labels.a: expected a string, received number 1'],
    [['cmd', [], { labels: [] }], 'labels: expected an object of strings'],
  ])('refuses %o', ([command, args, ...options], message) => {
    const attempt = () => planSpawn(command, args, ...options);
    expect(attempt).toThrow(message as string);
    expect(attempt).toThrow(expect.objectContaining({ name: 'ProcessError', code: 'ERR_INVALID_ARGUMENT' }));
  });

  describe('streams of the caller', () => {
    it('uses the descriptor of one that has it', () => {
      const stream = Object.assign(new PassThrough(), { fd: 9 });
      expect(request({ stdin: stream, stdout: stream })).toMatchObject({ stdin: 9, stdout: 9 });
    });

    it.each([
      ['has none', new PassThrough()],
      ['is not open yet', Object.assign(new PassThrough(), { fd: null })],
      ['keeps a position of its own', Object.assign(new PassThrough(), { fd: 9, start: 100 })],
    ])('makes a pipe for one that %s', (_, stream) => {
      expect(planSpawn('cmd', [], { stdin: stream, stdout: stream, stderr: stream })).toMatchObject({
        request: { stdin: -1, stdout: -1, stderr: -1 },
        source: stream,
        stdoutTarget: stream,
        stderrTarget: stream,
      });
    });

    it('makes a pipe for one that holds data its descriptor does not', async () => {
      const source = Object.assign(new PassThrough(), { fd: 9 });
      source.write('read ahead');
      expect(planSpawn('cmd', [], { stdin: source })).toMatchObject({ request: { stdin: -1 }, source });
    });
  });

  describe('user and groups', () => {
    beforeEach(() => {
      fake.users.set('worker', { uid: 1001, gid: 2001, groups: [2001, 2002] });
      fake.groups.set('staff', 50);
    });

    it.each([
      [{ user: 'worker' }, { uid: 1001, gid: 2001, groups: [2001, 2002] }],
      [
        { user: 'worker', group: 'staff' },
        { uid: 1001, gid: 50, groups: [2001, 2002] },
      ],
      [
        { user: 'worker', groups: ['staff', 7] },
        { uid: 1001, gid: 2001, groups: [50, 7] },
      ],
      [{ user: 1001 }, { uid: 1001, groups: [] }],
      [
        { user: 1001, group: 5, groups: [6] },
        { uid: 1001, gid: 5, groups: [6] },
      ],
      [{ group: 'staff' }, { gid: 50 }],
    ])('as root %o is %o', (options, expected) => {
      asRoot();
      expect(request(options).settings).toEqual(expected);
    });

    it.each([
      [{ user: 'worker' }, { uid: 1001 }],
      [{ user: 1001 }, { uid: 1001 }],
      [
        { user: 1001, groups: [6] },
        { uid: 1001, groups: [6] },
      ],
    ])('as an ordinary user %o asks for no more than what was named: %o', (options, expected) => {
      asUser();
      expect(request(options).settings).toEqual(expected);
    });
  });
});

describe('planTermination', () => {
  const otherwise = { killSignal: 2, graceMs: 700, abort: undefined };

  it('takes from spawn() what is not given', () => {
    expect(planTermination('stop', {}, otherwise)).toEqual(otherwise);
    expect(planTermination('stop', { forceKillAfterDelay: false }, otherwise)).toEqual({ ...otherwise, graceMs: -1 });
    expect(planTermination('stop', {}, { ...otherwise, graceMs: -1 })).toEqual({ ...otherwise, graceMs: -1 });
    expect(planTermination('stop', { killSignal: 'SIGKILL', forceKillAfterDelay: 1 }, otherwise)).toMatchObject({
      killSignal: 9,
      graceMs: 1,
    });
  });

  it('refuses what it does not know', () => {
    expect(() => planTermination('stop', { timeout: 5 }, otherwise)).toThrow(
      'options of stop(): expected any of killSignal, forceKillAfterDelay, signal',
    );
  });
});
