/** The handle against a scripted addon: what becomes of events, in every order they can come. */
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ProcessError } from '../../src/errors.js';
import type { TerminationReport } from '../../src/types.js';
import { empty, exited, fake, member, type ScriptedEvent, started } from '../fixtures/process-fake-addon.js';

vi.mock('../../src/native.js', async (original) => ({
  ...(await original<object>()),
  ...(await import('../fixtures/process-fake-addon.js')).replaced,
}));
const terminate = vi.hoisted(() => vi.fn());
vi.mock('../../src/tree/terminate.js', () => ({ terminate }));
const look = vi.hoisted(() => vi.fn());
vi.mock('../../src/tree/scan.js', async (original) => ({ ...(await original<object>()), scan: look }));

const { spawn } = await import('../../src/process/spawn.js');
const { ProcessTable } = await import('../../src/tree/table.js');

const TIMED_OUT = 1;
const FORCED = 2;
const LEFT = 4;
const CGROUP = 16;
const SIGKILL = 9;
const SIGTERM = 15;
const EPERM = -1;
const ESRCH = -3;

const report = (changes: Partial<TerminationReport> = {}): TerminationReport => ({
  terminated: [],
  survivors: [],
  escalated: false,
  durationMs: 1,
  proof: 'scan',
  ...changes,
});
const identity = (pid: number) => ({ pid, startTicks: BigInt(pid), bootId: 'boot' });
const tableOf = (...pids: number[]) =>
  ProcessTable.from(
    pids.map((pid) => ({ ...identity(pid), name: 'member', ppid: 1, pgid: 4242, sid: 4242, state: 'S' })),
    { nowTicks: 100n, nowMs: 0, bootId: 'boot' },
  );
const marked = (pid: number, request: { env: string } | undefined) => ({
  ...identity(pid),
  ppid: 1,
  state: 'S' as const,
  env: { CORRAL_TREE: request?.env.split('CORRAL_TREE=')[1]?.split('\0')[0] ?? 'other' },
});
const isPending = async (promise: Promise<unknown>) => (await Promise.race([promise, Promise.resolve('pending')])) === 'pending';

async function start(options: object = {}, ...rest: Parameters<typeof fake.emit>) {
  const promise = spawn('cmd', [], { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore', ...options });
  fake.emit(started(), ...rest);
  return (await promise) as Awaited<ReturnType<typeof spawn>> & { timedOut: boolean; keeperLost: boolean };
}

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);

beforeEach(() => {
  fake.reset();
  terminate.mockReset().mockResolvedValue(report());
  look.mockReset().mockResolvedValue(tableOf());
  process.on('unhandledRejection', onUnhandled);
});
afterEach(async () => {
  await new Promise(setImmediate);
  process.off('unhandledRejection', onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

describe('start', () => {
  it('resolves when exec has succeeded', async () => {
    const child = await start({ labels: { job: '7' } });
    expect(child).toMatchObject({
      pid: 4242,
      pgid: 4242,
      sid: 4242,
      containment: 'tree',
      containmentReason: null,
      exitCode: null,
      signalCode: null,
    });
    expect(child).toMatchObject({
      identity: { pid: 4242, startTicks: 77n, bootId: 'boot' },
      stdin: null,
      stdout: null,
      labels: { job: '7' },
    });
    expect('then' in child).toBe(false);
    expect(fake.refs).toBe(1);
  });

  it('tells the same to whoever asks again, and to whoever asks only when all is over', async () => {
    const asked = await start();
    const { identity: who, exited: exit, empty: end } = asked;
    fake.emit(exited(3 << 8), empty());
    expect(asked.identity).toBe(who);
    expect(asked.exited).toBe(exit);
    expect(asked.empty).toBe(end);

    const silent = await start();
    fake.emit(exited(3 << 8), empty());
    expect(silent).toMatchObject({ exitCode: 3, signalCode: null, timedOut: false, keeperLost: false });
    expect(await silent.exited).toEqual(await exit);
    expect(await silent.empty).toEqual(await end);
  });

  it('shares what nobody has an opinion on, so that it can not be changed for others', async () => {
    const [first, second] = [await start(), await start()];
    expect(first.labels).toBe(second.labels);
    expect(Object.isFrozen(first.labels)).toBe(true);
  });

  it('spawns nothing when the signal was aborted before', async () => {
    const reason = new Error('enough');
    const error = await spawn('cmd', [], { signal: AbortSignal.abort(reason) }).catch((caught) => caught);
    expect(error).toMatchObject({ name: 'ProcessError', type: 'ABORTED', code: 'ERR_ABORTED', cause: reason });
    expect(fake.requests).toEqual([]);
    expect(fake.refs).toBe(0);
  });

  it('ends what had started meanwhile when the signal is aborted during the start', async () => {
    const controller = new AbortController();
    const promise = spawn('cmd', [], {
      signal: controller.signal,
      killSignal: 'SIGINT',
      forceKillAfterDelay: 70,
      stdout: 'ignore',
      stderr: 'ignore',
    });
    controller.abort('why');
    fake.emit(started());
    expect(fake.callsOf('stop')).toEqual([[fake.id, 2, 70]]);
    const outcome = promise.catch((error) => error);
    expect(await isPending(outcome)).toBe(true);
    fake.emit(exited(2), empty());
    expect(await outcome).toMatchObject({ code: 'ERR_ABORTED', cause: 'why' });
    expect(fake.refs).toBe(0);
    expect(fake.openIds).toEqual([]);
  });

  it.each([
    [13, -2, {}, '"cmd" can not be executed: ENOENT, no such file or directory (not found in PATH)', 'ENOENT', 'exec'],
    [13, -13, {}, '"cmd" can not be executed: EACCES, permission denied (somewhere in PATH)', 'EACCES', 'exec'],
    [9, -2, { cwd: '/no/where' }, 'cwd "/no/where": ENOENT, no such file or directory', 'ENOENT', 'cwd'],
    [8, -1, { user: 5 }, 'the user step before "cmd" failed: EPERM, operation not permitted', 'EPERM', 'user'],
    [14, -38, {}, 'the keeper step before "cmd" failed: ENOSYS, function not implemented', 'ENOSYS', 'keeper'],
  ])('stage %i with errno %i rejects and leaves nothing', async (stage, errno, options, message, code, name) => {
    const promise = spawn('cmd', [], options);
    fake.emit({ type: 'failed', stage, errno });
    const error = await promise.catch((caught) => caught);
    expect(error).toMatchObject({ type: 'SPAWN_FAILED', message, code, errno, syscall: 'spawn cmd', stage: name });
    expect(fake.refs).toBe(0);
    expect(fake.openIds).toEqual([]);
  });

  it.each([
    ['/tmp', -13, '(it is a directory)'],
    ['/etc/passwd', -2, '(the interpreter or loader it names is missing)'],
  ])('explains %s with errno %i', async (file, errno, hint) => {
    const promise = spawn(file);
    fake.emit({ type: 'failed', stage: 13, errno });
    await expect(promise).rejects.toThrow(hint);
  });

  it('looks for what a keeper may have started that was killed before it could say so', async () => {
    terminate.mockImplementation(async (select: () => Promise<unknown[]>) => {
      look.mockResolvedValue(ProcessTable.from([marked(4300, fake.requests[0]), marked(4301, undefined)], { nowTicks: 100n, nowMs: 0 }));
      expect(await select()).toMatchObject([{ pid: 4300 }]);
      return report();
    });
    const promise = spawn('cmd');
    fake.emit({ type: 'failed', stage: 14, errno: -32 });
    await expect(promise).rejects.toMatchObject({ code: 'EPIPE', stage: 'keeper' });
    expect(terminate).toHaveBeenCalledOnce();
    expect(fake.refs).toBe(0);
  });

  it('gives back the id when the addon refuses', async () => {
    fake.spawnThrows = new TypeError('no');
    await expect(spawn('cmd')).rejects.toThrow('no');
    expect(fake.openIds).toEqual([]);
    expect(fake.refs).toBe(0);
  });
});

describe('exit', () => {
  it('is right when everything comes in one batch, as after a blocked event loop', async () => {
    const child = await start({}, exited(3 << 8), empty());
    expect(child.exitCode).toBe(3);
    expect(await child.exited).toEqual({
      exitCode: 3,
      signal: null,
      timedOut: false,
      isCanceled: false,
      isForcefullyTerminated: false,
      durationMs: 1.5,
      resourceUsage: { userCpuMs: 2, systemCpuMs: 1, maxRssBytes: 4096 },
    });
    expect(await child.empty).toEqual({ terminated: [], survivors: [], escalated: false, durationMs: 0, proof: 'echild' });
    expect(fake.refs).toBe(0);
    expect(fake.openIds).toEqual([]);
  });

  it.each([
    ['a signal', SIGKILL, 0, { signal: 'SIGKILL', isForcefullyTerminated: false, timedOut: false }],
    ['a core dump', 11 | 0x80, 0, { signal: 'SIGSEGV', exitCode: null }],
    ['our SIGKILL', SIGKILL, FORCED, { signal: 'SIGKILL', isForcefullyTerminated: true }],
    ['the timeout', SIGTERM, TIMED_OUT, { signal: 'SIGTERM', timedOut: true, isForcefullyTerminated: false }],
    ['the timeout, at the end by force', SIGKILL, TIMED_OUT | FORCED, { signal: 'SIGKILL', timedOut: true, isForcefullyTerminated: true }],
    ['itself, while others were forced', 0, FORCED, { exitCode: 0, isForcefullyTerminated: false }],
  ])('by %s', async (_, status, flags, expected) => {
    const child = await start({}, exited(status, flags));
    expect(await child.exited).toMatchObject(expected);
    expect(await isPending(child.empty)).toBe(true);
    fake.emit(empty());
    await child.empty;
  });

  it('tells a timeout that only came for those who were left', async () => {
    const child = await start({}, exited(0));
    expect(child.timedOut).toBe(false);
    fake.emit(empty(TIMED_OUT));
    expect(child.timedOut).toBe(true);
  });

  it('after an abort is canceled, and the signal is forgotten', async () => {
    const controller = new AbortController();
    const child = await start({ signal: controller.signal });
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    controller.abort();
    expect(fake.callsOf('stop')).toEqual([[fake.id, SIGTERM, 5000]]);
    fake.emit(exited(SIGTERM), empty());
    expect(await child.exited).toMatchObject({ isCanceled: true, signal: 'SIGTERM' });
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('before an abort is not canceled; what is left is stopped all the same', async () => {
    const controller = new AbortController();
    const child = await start({ signal: controller.signal }, exited(0));
    controller.abort();
    expect(fake.callsOf('stop')).toHaveLength(1);
    fake.emit(empty());
    expect(await child.exited).toMatchObject({ isCanceled: false });
  });
});

describe('kill', () => {
  it('signals the leader or its group', async () => {
    const child = await start();
    expect([child.kill(), child.kill('SIGINT'), child.kill(0), child.killGroup('SIGHUP')]).toEqual([true, true, true, true]);
    expect(fake.callsOf('signal')).toEqual([
      [fake.id, SIGTERM, 0],
      [fake.id, 2, 0],
      [fake.id, 0, 0],
      [fake.id, 1, 1],
    ]);
  });

  it('is false for what is gone, and asks nobody then', async () => {
    const child = await start();
    fake.signalResult = ESRCH;
    expect(child.kill()).toBe(false);
    fake.emit(exited());
    fake.signalResult = 0;
    const { length } = fake.calls;
    expect(child.kill(0)).toBe(false);
    expect(fake.calls).toHaveLength(length);
    expect(child.killGroup()).toBe(true);
    fake.emit(empty());
    expect(child.killGroup()).toBe(false);
  });

  it('throws what the kernel says, and for signals that do not exist', async () => {
    const child = await start();
    fake.signalResult = EPERM;
    expect(() => child.kill()).toThrow(
      expect.objectContaining({ type: 'SIGNAL_FAILED', code: 'EPERM', pid: 4242, syscall: 'pidfd_send_signal' }),
    );
    expect(() => child.kill('SIGTRM' as 'SIGTERM')).toThrow("did you mean 'SIGTERM'?");
  });
});

describe('stop', () => {
  it('reports who was ended', async () => {
    const child = await start();
    const promise = child.stop();
    fake.emit({ type: 'terminated', members: [member(5, 'sh', SIGTERM), member(6, 'cat', 0)] }, exited(SIGTERM));
    fake.emit({ type: 'terminated', members: [member(7, 'sleep', SIGKILL), member(8, 'gone', -1)] }, empty(FORCED, 20_500));
    expect(await promise).toEqual({
      terminated: [
        { ...identity(5), name: 'sh', signal: 'SIGTERM' },
        { ...identity(6), name: 'cat', signal: null },
        { ...identity(7), name: 'sleep', signal: 'SIGKILL' },
        { ...identity(8), name: 'gone', signal: null },
      ],
      survivors: [],
      escalated: true,
      durationMs: 20.5,
      proof: 'echild',
    });
  });

  it('joins the one that runs, and passes on what may shorten it', async () => {
    const child = await start({ killSignal: 'SIGINT', forceKillAfterDelay: 900 });
    const promises = [child.stop(), child.stop({ forceKillAfterDelay: 10 }), child.stop({ killSignal: 'SIGKILL' })];
    await Promise.resolve();
    expect(fake.callsOf('stop')).toEqual([
      [fake.id, 2, 900],
      [fake.id, 2, 10],
    ]);
    expect(fake.callsOf('kill')).toEqual([[fake.id]]);
    fake.emit(exited(2), empty());
    const reports = await Promise.all(promises);
    expect(new Set(reports).size).toBe(1);
  });

  it('of something that is gone gives the report again', async () => {
    const child = await start({}, exited(), empty());
    expect(await child.stop()).toBe(await child.empty);
    expect(fake.callsOf('stop')).toEqual([]);
  });

  it('means no more patience when its signal is aborted', async () => {
    const child = await start();
    const controller = new AbortController();
    const promise = child.stop({ signal: controller.signal });
    controller.abort();
    expect(fake.callsOf('stop')).toEqual([
      [fake.id, SIGTERM, 5000],
      [fake.id, SIGTERM, 0],
    ]);
    fake.emit(exited(SIGKILL, FORCED), empty());
    await promise;
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('rejects when anything is left; empty resolves with the same report', async () => {
    const child = await start({}, exited(0));
    const outcome = child.stop().catch((error) => error);
    fake.emit(
      { type: 'survivors', members: [member(9, 'sudo', 1), member(10, 'nfs', 2)] },
      { type: 'survivors', members: [member(11, 'odd', 0)] },
      { type: 'survivors', members: [] },
    );
    const error = await outcome;
    expect(error).toBeInstanceOf(ProcessError);
    expect(error).toMatchObject({
      code: 'ERR_SURVIVORS',
      message: 'not everything could be ended: 9 sudo (eperm), 10 nfs (uninterruptible), 11 odd (unknown)',
    });
    expect(error.report).toMatchObject({
      escalated: true,
      survivors: [{ pid: 9, reason: 'eperm' }, { reason: 'uninterruptible' }, { reason: 'unknown' }],
    });
    expect(await child.empty).toBe(error.report);
    expect(fake.refs).toBe(0);
    // They end after all.
    fake.emit(empty());
    expect(fake.openIds).toEqual([]);
    expect((await child.stop()).survivors).toEqual([]);
  });

  it('that may not force leaves the child as it is', async () => {
    const child = await start();
    const outcome = child.stop({ forceKillAfterDelay: false }).catch((error) => error);
    expect(fake.callsOf('stop')).toEqual([[fake.id, SIGTERM, -1]]);
    fake.emit({ type: 'survivors', members: [member(4242, 'cmd', 3)] }, { type: 'survivors', members: [] });
    expect(await outcome).toMatchObject({ code: 'ERR_SURVIVORS', report: { escalated: false, survivors: [{ reason: 'not-forced' }] } });
    expect(await isPending(child.empty)).toBe(true);
    expect(fake.refs).toBe(1);
    const second = child.stop();
    fake.emit(exited(SIGKILL, FORCED), empty(FORCED));
    expect((await second).survivors).toEqual([]);
  });

  it('is what `await using` does', async () => {
    const child = await start();
    const disposed = child[Symbol.asyncDispose]();
    fake.emit(exited(SIGTERM), empty());
    await disposed;
    expect(fake.callsOf('stop')).toHaveLength(1);
  });

  it('refuses wrong options by rejecting', async () => {
    const child = await start();
    await expect(child.stop({ timeout: 5 } as object)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    expect(fake.callsOf('stop')).toEqual([]);
  });
});

describe('ref and unref', () => {
  it('count once each, and end with the tree', async () => {
    const child = await start();
    expect(child.unref().unref()).toBe(child);
    expect(fake.refs).toBe(0);
    child.ref().ref();
    expect(fake.refs).toBe(1);
    child.unref();
    fake.emit(exited(), empty());
    await child.empty;
    child.ref();
    expect(fake.refs).toBe(0);
  });
});

describe('the keeper is lost', () => {
  it('ends the rest by itself, and does not know how the leader ended', async () => {
    const ended = report({ terminated: [{ ...identity(4242), name: 'cmd', signal: null }] });
    terminate.mockResolvedValue(ended);
    const child = await start({ killSignal: 'SIGINT', forceKillAfterDelay: 30 });
    fake.emit({ type: 'lost', status: SIGKILL, atTicks: 1_000_000_000n });
    expect(await child.empty).toBe(ended);
    expect(await child.exited).toMatchObject({ exitCode: null, signal: null });
    expect(child.keeperLost).toBe(true);
    expect(terminate).toHaveBeenCalledExactlyOnceWith(
      expect.any(Function),
      expect.objectContaining({ killSignal: 2, forceKillAfterDelay: 30 }),
    );
    expect(fake.openIds).toEqual([]);
    expect(await child.stop()).toBe(ended);
  });

  it('during a stop: the stop ends with what the scan says', async () => {
    const child = await start({}, exited(SIGTERM));
    const promise = child.stop();
    fake.emit({ type: 'lost', status: SIGKILL, atTicks: 1_000_000_000n });
    expect(await promise).toMatchObject({ proof: 'scan' });
    expect(await child.exited).toMatchObject({ signal: 'SIGTERM' });
  });

  it('and /proc can not be read: says that it does not know', async () => {
    terminate.mockRejectedValue(new ProcessError('ERR_SCAN', 'no'));
    const child = await start();
    fake.emit({ type: 'lost', status: SIGKILL, atTicks: 1_000_000_000n });
    expect(await child.empty).toMatchObject({ survivors: [{ pid: 4242, reason: 'unknown' }] });
    expect(await child.exited).toMatchObject({ exitCode: null, signal: null });
    await expect(child.stop()).rejects.toMatchObject({ code: 'ERR_SURVIVORS' });
    expect(terminate).toHaveBeenCalledTimes(2);
  });

  it('looks by session, descent and mark', async () => {
    terminate.mockImplementation(async (select: () => Promise<unknown[]>) => {
      await select();
      return report();
    });
    const child = await start();
    fake.emit({ type: 'lost', status: SIGKILL, atTicks: 1_000_000_000n });
    await child.empty;
    expect(look).toHaveBeenCalledExactlyOnceWith({ fields: ['name', 'state', 'env'] });
  });
});

describe('containment cgroup', () => {
  const cgroup = { containment: 'cgroup', forceKillAfterDelay: 200 } as const;
  const leaf = { flags: 15, stage: 0, errno: 0, directory: '/sys/fs/cgroup/user.slice' };
  const failed = (stage: number, errno: number) => ({ flags: 0, stage, errno, directory: '/cg' });
  const begin = async (event: ScriptedEvent) => {
    const promise = spawn('cmd', [], { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore', ...cgroup });
    fake.emit(event);
    return promise;
  };
  const name = () => fake.requests.at(-1)?.leaf;

  it('is what it says, and what the proof says', async () => {
    const child = await begin(started(4242, 4241, leaf));
    expect(child).toMatchObject({ containment: 'cgroup', containmentReason: null });
    fake.emit(exited(0), empty(CGROUP));
    expect(await child.empty).toMatchObject({ survivors: [], proof: 'cgroup' });
    expect(fake.openIds).toEqual([]);
  });

  it.each([
    [failed(1, -38), /no cgroup v2 hierarchy is mounted/],
    [failed(2, -2), /does not show the cgroup this program is in \(\/cg\)/],
    [failed(3, -13), /made in \/cg: EACCES, permission denied \(it is not delegated/],
    [failed(3, -30), /made in \/cg: EROFS, .*read-only/],
    [failed(3, -11), /made in \/cg: EAGAIN, .*cgroup\.max/],
    [failed(4, -95), /\/cg is threaded/],
    [failed(5, -1), /put into a cgroup in \/cg: EPERM/],
  ])('falls back to tree: %o', async (failure, reason) => {
    const child = await begin(started(4242, 4241, failure));
    expect(child).toMatchObject({ containment: 'tree', containmentReason: expect.stringMatching(reason) });
    expect(child.containmentReason).toMatch(/; the keeper alone holds the tree$/);
    fake.emit(exited(0), empty());
    expect(await child.empty).toMatchObject({ proof: 'echild' });
  });

  it('members are also those in the cgroup', async () => {
    const child = await begin(started(4242, 4241, leaf));
    look.mockResolvedValue(
      ProcessTable.from(
        [
          { pid: 4242, ppid: 4241, cgroup: `0::/user.slice/${name()}` },
          { pid: 4300, ppid: 1, cgroup: `7:freezer:/\n0::/user.slice/${name()}/below` },
          { pid: 4301, ppid: 1, cgroup: `0::/user.slice/${name()}1` },
          { pid: 4302, ppid: 1, cgroup: `7:freezer:/${name()}\n0::/` },
        ].map((row) => ({ pgid: row.pid, sid: row.pid, startTicks: 1n, bootId: 'boot', state: 'S', threads: 1, ...row })),
        { nowTicks: 100n, nowMs: 0 },
      ),
    );
    expect((await child.members()).map(({ pid }) => pid)).toEqual([4242, 4300]);
    fake.emit(exited(0), empty(CGROUP));
    await child.empty;
  });

  it('a lost keeper: the cgroup is removed when nobody is left', async () => {
    const child = await begin(started(4242, 4241, leaf));
    terminate.mockImplementationOnce(async (select) => {
      await select();
      expect(look).toHaveBeenCalledWith({ fields: ['name', 'state', 'env', 'cgroup'] });
      expect(fake.callsOf('removeLeaf')).toEqual([]);
      return report();
    });
    fake.emit({ type: 'lost', status: SIGKILL, atTicks: 1_000_000_000n });
    await child.empty;
    expect(fake.callsOf('removeLeaf')).toEqual([[leaf.directory, name()]]);
    expect(fake.openIds).toEqual([]);
  });

  it('one that could say nothing: the same', async () => {
    const promise = spawn('cmd', [], cgroup);
    fake.emit({ type: 'failed', stage: 14, errno: -32, leaf: { ...leaf, flags: 0 } });
    await expect(promise).rejects.toMatchObject({ code: 'EPIPE', stage: 'keeper' });
    expect(fake.callsOf('removeLeaf')).toEqual([[leaf.directory, name()]]);
  });

  it('survivors, and those left by policy, keep it until they have been ended', async () => {
    const child = await begin(started(4242, 4241, leaf));
    look.mockResolvedValue(tableOf(4300));
    fake.emit(exited(0), empty(LEFT));
    expect(await child.empty).toMatchObject({ survivors: [{ pid: 4300 }] });
    expect(fake.callsOf('removeLeaf')).toEqual([]);
    await child.stop();
    expect(fake.callsOf('removeLeaf')).toEqual([[leaf.directory, name()]]);
  });

  it('a keeper that has removed it leaves nothing to be done', async () => {
    const child = await begin(started(4242, 4241, leaf));
    fake.emit(exited(0), empty(CGROUP));
    await child.empty;
    expect(fake.callsOf('removeLeaf')).toEqual([]);
  });
});

describe('policy leave', () => {
  it('names those who stay', async () => {
    look.mockResolvedValue(tableOf(4300));
    const child = await start({ onLeaderExit: 'leave' }, exited(0), empty(LEFT));
    expect(await child.empty).toMatchObject({ survivors: [{ pid: 4300, name: 'member', reason: 'not-forced' }], proof: 'scan' });
    expect(fake.openIds).toEqual([]);
    expect(fake.refs).toBe(0);
    // Still ours to end, when asked to.
    await child.stop();
    expect(terminate).toHaveBeenCalledOnce();
  });

  it('is the usual end when nobody stays', async () => {
    const child = await start({ onLeaderExit: 'leave' }, exited(0), empty());
    expect(await child.empty).toMatchObject({ survivors: [], proof: 'echild' });
    expect(look).not.toHaveBeenCalled();
  });
});

describe('containment group', () => {
  const group = { containment: 'group', forceKillAfterDelay: 200 };

  it('proves by a scan of the session that nobody is left', async () => {
    terminate.mockImplementation(async (select: () => Promise<unknown[]>) => {
      await select();
      return report();
    });
    const child = await start(group, exited(0));
    expect(child.containment).toBe('group');
    expect(await child.empty).toMatchObject({ proof: 'scan' });
    expect(look).toHaveBeenCalledExactlyOnceWith({ fields: ['name', 'state'], sid: 4242 });
    expect(fake.openIds).toEqual([]);
  });

  it('stops by a scan, with a native SIGKILL to the group behind it', async () => {
    let finish!: (report: TerminationReport) => void;
    terminate.mockReturnValue(new Promise((resolve) => (finish = resolve)));
    const child = await start(group);
    const promise = child.stop({ killSignal: 'SIGINT' });
    expect(terminate).toHaveBeenCalledExactlyOnceWith(
      expect.any(Function),
      expect.objectContaining({ killSignal: 2, forceKillAfterDelay: 200 }),
    );
    expect(fake.callsOf('stop')).toEqual([[fake.id, 0, 300]]);
    fake.emit(exited(2));
    expect(await isPending(child.empty)).toBe(true);
    finish(report({ durationMs: 9 }));
    expect(await promise).toMatchObject({ durationMs: 9 });
    expect(await child.empty).toBe(await promise);
    expect(terminate).toHaveBeenCalledOnce();
  });

  it('a second stop shortens the first', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      let signal!: AbortSignal;
      terminate.mockImplementation((_, options) => {
        signal = options.signal;
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve(report({ escalated: true }))));
      });
      const child = await start({ ...group, forceKillAfterDelay: 5000 });
      const promises = [child.stop(), child.stop({ forceKillAfterDelay: 40 }), child.stop({ forceKillAfterDelay: 9000 })];
      await vi.advanceTimersByTimeAsync(39);
      expect(signal.aborted).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(signal.aborted).toBe(true);
      expect(fake.callsOf('stop')).toEqual([
        [fake.id, 0, 5100],
        [fake.id, 0, 140],
      ]);
      // The scan is quicker than the news of the leader's exit, which belongs to the end.
      expect(await isPending(promises[0] as Promise<unknown>)).toBe(true);
      fake.emit(exited(SIGKILL));
      const reports = await Promise.all(promises);
      expect(new Set(reports).size).toBe(1);
      expect(reports[0]).toMatchObject({ escalated: true });
      expect(await child.exited).toMatchObject({ signal: 'SIGKILL', isForcefullyTerminated: true });
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('a second stop with SIGKILL is for now', async () => {
    let signal!: AbortSignal;
    terminate.mockImplementation((_, options) => {
      signal = options.signal;
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve(report())));
    });
    const child = await start(group);
    const promises = [child.stop({ forceKillAfterDelay: false }), child.stop({ killSignal: 'SIGKILL', forceKillAfterDelay: false })];
    fake.emit(exited(SIGKILL));
    await Promise.all(promises);
    expect(signal.aborted).toBe(true);
    expect(fake.callsOf('stop')).toEqual([[fake.id, 0, 100]]);
  });

  it('keeps the id while its leader withstands, and gives it back with the exit', async () => {
    terminate.mockResolvedValue(report({ survivors: [{ ...identity(4242), name: 'sudo', reason: 'eperm' }] }));
    const child = await start(group);
    await expect(child.stop()).rejects.toMatchObject({ code: 'ERR_SURVIVORS' });
    expect(fake.openIds).toEqual([fake.id]);
    expect(await isPending(child.exited)).toBe(true);
    terminate.mockResolvedValue(report());
    fake.emit(exited(0));
    expect(await child.exited).toMatchObject({ exitCode: 0 });
    await new Promise(setImmediate);
    expect(fake.openIds).toEqual([]);
  });

  it('policy leave names those who stay', async () => {
    look.mockResolvedValue(tableOf(4300));
    const child = await start({ ...group, onLeaderExit: 'leave' }, exited(0));
    expect(await child.empty).toMatchObject({ survivors: [{ pid: 4300, reason: 'not-forced' }] });
    expect(terminate).not.toHaveBeenCalled();
    expect(fake.openIds).toEqual([]);
  });

  it('policy wait looks until nobody is there', async () => {
    const child = await start({ ...group, onLeaderExit: 'wait' }, exited(0));
    expect(await child.empty).toMatchObject({ survivors: [], proof: 'scan' });
    expect(look).toHaveBeenCalledTimes(2);
    expect(terminate).not.toHaveBeenCalled();
  });

  it('completes the report by what the watch thread did at the timeout', async () => {
    terminate.mockResolvedValue(report({ terminated: [{ ...identity(4300), name: 'member', signal: 'SIGTERM' }] }));
    const child = await start({ ...group, timeout: 10 }, exited(SIGKILL, TIMED_OUT | FORCED));
    expect(await child.empty).toMatchObject({
      terminated: [
        { pid: 4242, startTicks: 77n, name: 'cmd', signal: 'SIGKILL' },
        { pid: 4300, signal: 'SIGTERM' },
      ],
      escalated: true,
    });
  });

  it('the timeout ends the rest whatever the policy', async () => {
    const child = await start({ ...group, onLeaderExit: 'wait', timeout: 10 }, exited(SIGTERM, TIMED_OUT));
    await child.empty;
    expect(terminate).toHaveBeenCalledOnce();
    expect(child.timedOut).toBe(true);
  });
});
