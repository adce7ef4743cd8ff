/** The manager against a scripted addon: statuses, events, promises, log. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ProcessConfig, TerminationReport } from '../../src/types.js';
import { empty, exited, fake, member, type ScriptedEvent, started } from '../fixtures/process-fake-addon.js';

vi.mock('../../src/native.js', async (original) => ({
  ...(await original<object>()),
  ...(await import('../fixtures/process-fake-addon.js')).replaced,
}));
const terminate = vi.hoisted(() => vi.fn());
vi.mock('../../src/tree/terminate.js', () => ({ terminate }));
const scan = vi.hoisted(() => vi.fn());
vi.mock('../../src/tree/scan.js', async (original) => ({ ...(await original<object>()), scan }));

const { ProcessManager } = await import('../../src/process/manager.js');
const { ProcessTable } = await import('../../src/tree/table.js');

const SIGTERM = 15;
const SIGKILL = 9;
const config: ProcessConfig = { command: 'server', args: ['--port', '0'], stdout: 'ignore', stderr: 'ignore' };
const survivors = (pid: number, reason: number): ScriptedEvent[] => [
  { type: 'survivors', members: [member(pid, 'server', reason)] },
  { type: 'survivors', members: [] },
];

const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };

/** A manager and everything it says, in order. */
function watched() {
  const manager = new ProcessManager({ logger });
  const said: string[] = [];
  manager.on('status', ({ from, to, reason }) => {
    // The state is consistent when an event comes.
    expect(manager.status).toBe(to);
    said.push(`${from} -> ${to}: ${reason}`);
  });
  manager.on('exit', ({ exitCode, signal }) => said.push(`exit ${exitCode ?? signal} while ${manager.status}`));
  manager.on('survivors', (left) => said.push(`survivors ${left.map(({ pid }) => pid)} while ${manager.status}`));
  return { manager, said };
}

async function running(changes: Partial<ProcessConfig> = {}, options: { signal?: AbortSignal } = {}) {
  const { manager, said } = watched();
  const promise = manager.start({ ...config, ...changes }, options);
  fake.emit(started());
  await promise;
  said.length = 0;
  return { manager, said };
}

beforeEach(() => {
  fake.reset();
  vi.clearAllMocks();
});

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);
beforeEach(() => void process.on('unhandledRejection', onUnhandled));
afterEach(async () => {
  await new Promise(setImmediate);
  process.off('unhandledRejection', onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

describe('start', () => {
  it('goes through starting to running', async () => {
    const { manager, said } = watched();
    expect([manager.status, manager.getStatus(), manager.isRunning(), manager.pid]).toEqual(['stopped', 'stopped', false, undefined]);
    const promise = manager.start(config);
    expect(manager.status).toBe('starting');
    fake.emit(started());
    await promise;
    expect([manager.status, manager.isRunning(), manager.pid, manager.getPid()]).toEqual(['running', true, 4242, 4242]);
    expect(said).toEqual(['stopped -> starting: start() was called', 'starting -> running: exec has succeeded']);
  });

  it('refuses a second one, and does not disturb the first', async () => {
    const { manager } = await running();
    await expect(manager.start(config)).rejects.toMatchObject({ code: 'ERR_ALREADY_RUNNING', pid: 4242, status: 'running' });
    expect(manager.status).toBe('running');
    expect(fake.requests).toHaveLength(1);
  });

  it('fails with the error of exec, which wait() gives as well; and can be tried again', async () => {
    const { manager, said } = watched();
    const promise = manager.start(config);
    fake.emit({ type: 'failed', stage: 13, errno: -2 });
    await expect(promise).rejects.toMatchObject({ code: 'ENOENT', stage: 'exec' });
    expect(manager.status).toBe('error');
    expect(said.at(-1)).toBe('starting -> error: "server" can not be executed: ENOENT, no such file or directory (not found in PATH)');
    await expect(manager.wait()).rejects.toMatchObject({ code: 'ENOENT' });
    const again = manager.start(config);
    fake.emit(started());
    await again;
    expect(manager.metadata.attempt).toBe(2);
  });

  it.each([
    [{ ...config, health: {} }, 'health: expected to be left out, since this version does not support it yet'],
    [{ ...config, restart: { policy: 'always' } }, 'restart: expected to be left out'],
    [{ ...config, resources: {} }, 'resources: expected to be left out'],
    [{ ...config, successCodes: [256] }, 'successCodes: expected an array of exit codes from 0 to 255'],
    [{ ...config, comand: 'x' }, "did you mean 'command'?"],
    [{ ...config, timeout: '5' }, 'timeout: expected'],
    [{ args: [] }, 'command: expected the name or path of a program, received undefined'],
    ['server', 'config: expected an object such as { command, args }, received "server"'],
  ])('refuses %o without leaving its status', async (wrong, message) => {
    const { manager, said } = watched();
    await expect(manager.start(wrong as ProcessConfig)).rejects.toThrow(message);
    expect(manager.status).toBe('stopped');
    expect(said).toEqual([]);
    await expect(manager.wait()).rejects.toMatchObject({ code: 'ERR_NOT_RUNNING' });
  });

  it('spawns nothing when its signal was aborted before', async () => {
    const { manager, said } = watched();
    const reason = new Error('no');
    await expect(manager.start(config, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: 'ERR_ABORTED',
      cause: reason,
    });
    expect(fake.requests).toEqual([]);
    expect(manager.status).toBe('stopped');
    expect(said.at(-1)).toMatch(/^starting -> stopped: the start was aborted/);
    await expect(manager.wait()).rejects.toBe(reason);
  });
});

describe('exit', () => {
  it.each([
    ['code 0', [exited(0), empty()], {}, 'stopped', 'exited with code 0'],
    ['another code', [exited(3 << 8), empty()], {}, 'error', 'exited with code 3'],
    ['a code that counts as success', [exited(3 << 8), empty()], { successCodes: [0, 3] }, 'stopped', 'exited with code 3'],
    ['code 0 that does not', [exited(0), empty()], { successCodes: [1] }, 'error', 'exited with code 0'],
    ['a signal', [exited(SIGKILL), empty()], {}, 'error', 'ended by SIGKILL'],
    ['its timeout', [exited(0, 1), empty(1)], { timeout: 5 }, 'error', 'timed out; exited with code 0'],
    ['the timeout of those it left', [exited(0), empty(1)], { timeout: 5 }, 'error', 'timed out; exited with code 0'],
  ] as const)('by %s', async (_, events, changes, status, reason) => {
    const { manager, said } = await running({
      ...changes,
      successCodes: 'successCodes' in changes ? [...changes.successCodes] : undefined,
    });
    fake.emit(...events);
    const exit = await manager.wait();
    expect(manager.status).toBe(status);
    expect(said).toEqual([`running -> ${status}: ${reason}`, `exit ${exit.exitCode ?? exit.signal} while ${status}`]);
    expect(manager.pid).toBeUndefined();
    // As often as one likes.
    expect(await manager.wait()).toBe(exit);
  });

  it('counts when nothing is left, not when the leader has gone', async () => {
    const { manager } = await running();
    fake.emit(exited(0));
    await new Promise(setImmediate);
    expect(manager.status).toBe('running');
    await expect(manager.healthCheck()).rejects.toThrow('gone: it has exited, members of its tree live');
    fake.emit(empty());
    await manager.wait();
    expect(manager.status).toBe('stopped');
  });
});

describe('stop', () => {
  it('resolves with the report, in status stopped, however the leader ended', async () => {
    const { manager, said } = await running();
    const promise = manager.stop({ timeout: 250 });
    expect(manager.status).toBe('stopping');
    await Promise.resolve();
    fake.emit({ type: 'terminated', members: [member(4242, 'server', SIGTERM)] }, exited(SIGTERM), empty(0, 5000));
    expect(await promise).toMatchObject({ terminated: [{ pid: 4242, signal: 'SIGTERM' }], proof: 'echild' });
    expect(manager.status).toBe('stopped');
    expect(fake.callsOf('stop')).toEqual([[fake.id, SIGTERM, 250]]);
    expect(said).toEqual(['running -> stopping: stop() was called', 'stopping -> stopped: ended by SIGTERM', 'exit SIGTERM while stopped']);
    expect(await manager.wait()).toMatchObject({ signal: 'SIGTERM' });
  });

  it('joins one that runs', async () => {
    const { manager, said } = await running();
    const promises = [manager.stop(), manager.stop({ timeout: 20 })];
    await new Promise(setImmediate);
    expect(fake.callsOf('stop').map(([, , graceMs]) => graceMs)).toEqual([5000, 20]);
    fake.emit(exited(SIGTERM), empty());
    const [first, second] = await Promise.all(promises);
    expect(first).toBe(second);
    expect(said).toHaveLength(3);
  });

  it.each(['stopped', 'error'])('is refused in status %s', async (status) => {
    const { manager } = await running();
    fake.emit(exited(status === 'error' ? 1 << 8 : 0), empty());
    await manager.wait();
    await expect(manager.stop()).rejects.toMatchObject({ code: 'ERR_NOT_RUNNING', status });
    expect((await manager.kill()).survivors).toEqual([]);
  });

  it('waits for a start that is under way', async () => {
    const { manager, said } = watched();
    const start = manager.start(config);
    const stop = manager.stop();
    expect(manager.status).toBe('stopping');
    fake.emit(started());
    await start;
    await new Promise(setImmediate);
    fake.emit(exited(SIGTERM), empty());
    await stop;
    expect(said.map((line) => line.split(':')[0])).toEqual([
      'stopped -> starting',
      'starting -> stopping',
      'stopping -> stopped',
      'exit SIGTERM while stopped',
    ]);
  });

  it('of a start that fails has nothing to do', async () => {
    const { manager } = watched();
    const start = manager.start(config);
    const stop = manager.stop();
    fake.emit({ type: 'failed', stage: 13, errno: -13 });
    await expect(start).rejects.toMatchObject({ code: 'EACCES' });
    expect((await stop).terminated).toEqual([]);
    expect(manager.status).toBe('error');
  });

  it('with a leader that withstands is running again, and survivors are said', async () => {
    const { manager, said } = await running();
    const outcome = manager.stop().catch((error) => error);
    await Promise.resolve();
    fake.emit(...survivors(4242, 1));
    expect(await outcome).toMatchObject({ code: 'ERR_SURVIVORS', report: { survivors: [{ pid: 4242, reason: 'eperm' }] } });
    expect(said).toEqual([
      'running -> stopping: stop() was called',
      'stopping -> running: not ended: 4242 server (eperm)',
      'survivors 4242 while running',
    ]);
    fake.emit(exited(0), empty());
    await manager.wait();
    expect(manager.status).toBe('stopped');
  });

  it('that may not force is the same, and a second one with force ends it', async () => {
    const { manager } = await running({ forceKillAfterDelay: false });
    const outcome = manager.stop().catch((error) => error);
    await Promise.resolve();
    fake.emit(...survivors(4242, 3));
    expect(await outcome).toMatchObject({ code: 'ERR_SURVIVORS', report: { survivors: [{ reason: 'not-forced' }] } });
    expect(manager.status).toBe('running');
    const kill = manager.kill();
    await new Promise(setImmediate);
    fake.emit(exited(SIGKILL, 2), empty(2));
    await kill;
    expect(manager.status).toBe('stopped');
  });

  it('with others that withstand is an error, after which it can be started again', async () => {
    const { manager, said } = await running();
    const outcome = manager.stop().catch((error) => error);
    await Promise.resolve();
    fake.emit(exited(SIGTERM), ...survivors(99, 2));
    expect(await outcome).toMatchObject({ code: 'ERR_SURVIVORS' });
    expect(manager.status).toBe('error');
    expect(said).toContain('stopping -> error: not ended: 99 server (uninterruptible)');
    expect(await manager.wait()).toMatchObject({ signal: 'SIGTERM' });
    const again = manager.start(config);
    fake.emit(started(5000));
    await again;
    expect(manager.pid).toBe(5000);
  });
});

describe('kill', () => {
  it('is SIGKILL at once', async () => {
    const { manager } = await running();
    const promise = manager.kill();
    await new Promise(setImmediate);
    expect(fake.callsOf('kill')).toEqual([[fake.id]]);
    fake.emit(exited(SIGKILL, 2), empty(2));
    expect(await promise).toMatchObject({ escalated: true });
    expect(manager.status).toBe('stopped');
  });

  it('of what never ran does nothing', async () => {
    const manager = new ProcessManager({ logger });
    expect(await manager.kill()).toMatchObject({ terminated: [], survivors: [] });
  });
});

describe('cancellation', () => {
  it.each(['options', 'config'])('by the signal in the %s stops it; wait() rejects with the reason', async (where) => {
    const controller = new AbortController();
    const { manager, said } = await running(
      where === 'config' ? { signal: controller.signal } : {},
      where === 'options' ? { signal: controller.signal } : {},
    );
    const reason = new Error('enough');
    controller.abort(reason);
    expect(manager.status).toBe('stopping');
    fake.emit(exited(SIGTERM), empty());
    await expect(manager.wait()).rejects.toBe(reason);
    expect(manager.status).toBe('stopped');
    expect(said[0]).toBe('running -> stopping: the signal was aborted');
  });

  it('by a timeout signal that nobody else holds, garbage collected or not', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    const { manager } = await running({ signal: new AbortController().signal }, { signal: AbortSignal.timeout(100) });
    for (let turn = 0; turn < 10; turn++) {
      await nextTurn(); // what only a turn of the loop lets go
      collectGarbage();
    }
    await vi.waitUntil(() => manager.status === 'stopping', 5000);
    fake.emit(exited(SIGTERM), empty());
    await expect(manager.wait()).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it('takes both signals', async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const { manager } = await running({ signal: first.signal }, { signal: second.signal });
    second.abort('two');
    fake.emit(exited(SIGTERM), empty());
    await expect(manager.wait()).rejects.toBe('two');
  });
});

describe('the keeper is lost', () => {
  const ended: TerminationReport = { terminated: [], survivors: [], escalated: false, durationMs: 1, proof: 'scan' };

  it('is an error', async () => {
    terminate.mockResolvedValue(ended);
    const { manager, said } = await running();
    fake.emit({ type: 'lost', status: SIGKILL, atTicks: 1_000_000_000n });
    expect(await manager.wait()).toMatchObject({ exitCode: null, signal: null });
    expect(said[0]).toBe('running -> error: the keeper of the tree was killed');
  });

  it('and nothing can be seen: unknown, until kill() could tell', async () => {
    terminate.mockRejectedValue(new Error('blind'));
    const { manager, said } = await running();
    fake.emit({ type: 'lost', status: SIGKILL, atTicks: 1_000_000_000n });
    await manager.wait();
    expect(manager.status).toBe('unknown');
    expect(said).toContain('running -> unknown: not ended: 4242  (unknown)');
    await expect(manager.start(config)).rejects.toMatchObject({ code: 'ERR_ALREADY_RUNNING' });
    terminate.mockResolvedValue(ended);
    await manager.kill();
    expect(manager.status).toBe('stopped');
  });
});

describe('healthCheck', () => {
  const row = { pid: 4242, startTicks: 77n, bootId: 'boot', name: 'server', state: 'S', threads: 1 } as const;
  const see = (...rows: object[]) => scan.mockResolvedValue(ProcessTable.from(rows as never, { nowTicks: 100n, nowMs: 0 }));

  it.each([
    ['a living one', [row], undefined],
    ['one whose first thread has ended', [{ ...row, state: 'Z', threads: 3 }], undefined],
    ['gone', [], 'gone'],
    ['recycled', [{ ...row, startTicks: 78n }], 'recycled: its number belongs to another process'],
    ['a zombie', [{ ...row, state: 'Z' }], 'zombie: it has ended and was not reaped'],
    ['stopped', [{ ...row, state: 'T' }], 'stopped (state T): it does not run until SIGCONT'],
    ['traced', [{ ...row, state: 't' }], 'stopped (state t)'],
  ])('%s', async (_, rows, message) => {
    const { manager } = await running();
    see(...rows);
    if (message === undefined) await manager.healthCheck();
    else await expect(manager.healthCheck()).rejects.toThrow(message);
    if (message !== undefined)
      await expect(manager.healthCheck()).rejects.toMatchObject({ code: 'ERR_UNHEALTHY', pid: 4242, status: 'running' });
  });

  it('of what does not run', async () => {
    await expect(new ProcessManager({ logger }).healthCheck()).rejects.toMatchObject({
      code: 'ERR_UNHEALTHY',
      message: 'not running (stopped)',
    });
  });
});

it('metadata follows the run', async () => {
  const { manager } = await running({ cwd: '/srv', labels: { job: '7' } });
  expect(manager.metadata).toMatchObject({
    pid: 4242,
    pgid: 4242,
    sid: 4242,
    command: 'server',
    args: ['--port', '0'],
    cwd: '/srv',
    attempt: 1,
    labels: { job: '7' },
  });
  expect(manager.metadata.startedAt).toBeInstanceOf(Date);
  expect(manager.metadata.uptimeMs).toBeGreaterThanOrEqual(0);
  fake.emit(exited(3 << 8), empty());
  await manager.wait();
  expect(manager.metadata).toMatchObject({ exitCode: 3, signal: null, cpuMs: 3, rssBytes: 4096, uptimeMs: 1.5 });
});

it('logs pid, command, args and status', async () => {
  await running();
  const facts = { command: 'server', args: ['--port', '0'] };
  expect(logger.info).toHaveBeenCalledWith({ ...facts, pid: undefined, status: 'starting' }, 'stopped -> starting: start() was called');
  expect(logger.info).toHaveBeenCalledWith({ ...facts, pid: 4242, status: 'running' }, 'starting -> running: exec has succeeded');
  fake.emit(exited(SIGKILL), empty());
  await new Promise(setImmediate);
  expect(logger.warn).toHaveBeenCalledWith({ ...facts, pid: 4242, status: 'error' }, 'running -> error: ended by SIGKILL');
});

it('await using stops what runs, and nothing else', async () => {
  await new ProcessManager({ logger })[Symbol.asyncDispose]();
  const { manager } = await running();
  const disposed = manager[Symbol.asyncDispose]();
  await new Promise(setImmediate);
  fake.emit(exited(SIGTERM), empty());
  await disposed;
  expect(manager.status).toBe('stopped');
});

it('a listener that throws is an uncaught error, and breaks nothing here', async () => {
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
  try {
    const manager = new ProcessManager({ logger });
    manager.once('status', () => {
      throw new Error('bad listener');
    });
    const promise = manager.start(config);
    fake.emit(started());
    await promise;
    expect(await caught).toMatchObject({ message: 'bad listener' });
    expect(manager.status).toBe('running');
    await new Promise(setImmediate);
  } finally {
    for (const listener of listeners) process.on('uncaughtException', listener);
  }
});

describe('its options', () => {
  it.each([
    [{ logger: 5 }, /logger: expected an object with the functions debug, info, warn and error .*received number 5/],
    [{ logger: { debug() {} } }, /logger/],
    [{ loger: logger }, /loger/],
  ])('%j are refused by name', (options, message) => {
    expect(() => new ProcessManager(options as never)).toThrow(message);
  });
});
