/** spawn(), stop(), kill(), pipes(), lookups: what the addon answers to each request, per containment. */
import { closeSync, openSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SPAWN_STAGES } from '../../src/errors.js';
import {
  type ChildSettings,
  CONTAIN_CGROUP,
  CONTAIN_GROUP,
  CONTAIN_TREE,
  closeId,
  END_ALONE,
  END_FORCED,
  END_TIMED_OUT,
  type NativeEvent,
  NEVER,
  native,
  newId,
  receive,
  requestSpawn,
  type SpawnRequest,
  STDIO_IGNORE,
  STDIO_PIPE,
} from '../../src/native.js';
import { requireOtherUsers, requireUnprivileged } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses, isAlive, openFiles } from '../helpers/proc.js';

const { ENOENT, EACCES, ENOTDIR, EPERM, EINVAL, E2BIG } = constants.errno;
const { SIGTERM, SIGKILL } = constants.signals;
const RLIMIT_NOFILE = 7;

type EventOf<T extends NativeEvent['type']> = Extract<NativeEvent, { type: T }>;

/** Starts a request; `event(type)` resolves with the first event of that type, also when it has come already. */
function begin(request: Partial<SpawnRequest>) {
  const seen: NativeEvent[] = [];
  let wake = () => {};
  const id = newId({
    [receive](event) {
      seen.push(event);
      wake();
    },
  });
  onTestFinished(() => {
    native().unref();
    closeId(id);
  });
  const { argv = 'sh\0-c\0exec sleep 1000\0' } = request;
  requestSpawn(id, {
    containment: CONTAIN_TREE,
    leaf: '',
    file: 'sh',
    argv,
    argc: argv.split('\0').length - 1,
    env: '',
    inheritEnv: true,
    treeId: 'tree',
    cwd: '',
    stdin: STDIO_IGNORE,
    stdout: STDIO_IGNORE,
    stderr: STDIO_IGNORE,
    killSignal: SIGTERM,
    graceMs: 5000,
    timeoutMs: 0,
    onLeaderExit: 0,
    onOwnerExit: 0,
    ...request,
  });
  const event = async <T extends NativeEvent['type']>(type: T): Promise<EventOf<T>> => {
    for (;;) {
      const found = seen.find((one) => one.type === type);
      if (found !== undefined) return found as EventOf<T>;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { id, event, seen };
}

const shell = (script: string) => ({ argv: `sh\0-c\0${script}\0` });

describe.each([
  ['group', CONTAIN_GROUP],
  ['tree', CONTAIN_TREE],
])('containment %s', (_, containment) => {
  it.each<[string, Partial<SpawnRequest>, string, number]>([
    ['a name that PATH does not have', { file: 'no-such-command' }, 'exec', ENOENT],
    ['a path that does not exist', { file: '/no/such/file' }, 'exec', ENOENT],
    ['a file that is not executable', { file: '/etc/passwd' }, 'exec', EACCES],
    ['a directory', { file: '/tmp' }, 'exec', EACCES],
    ['a cwd that does not exist', { cwd: '/no/such/directory' }, 'cwd', ENOENT],
    ['a cwd that is a file', { cwd: '/etc/passwd' }, 'cwd', ENOTDIR],
    ['a limit above its maximum', { settings: { limits: [RLIMIT_NOFILE, 20, 10] } }, 'rlimits', EINVAL],
    ['a limit that does not exist', { settings: { limits: [99, 1, 1] } }, 'rlimits', EINVAL],
  ])('%s: failed, and nothing is left', async (_name, request, stage, errno) => {
    const { event, seen } = begin({ containment, ...request });
    const failed = await event('failed');
    expect([SPAWN_STAGES[failed.stage], failed.errno]).toEqual([stage, -errno]);
    expect(seen).toHaveLength(1);
  });

  it('an argument longer than the kernel takes: failed', async () => {
    const { event } = begin({ containment, argv: `sh\0-c\0${'x'.repeat(200_000)}\0` });
    expect((await event('failed')).errno).toBe(-E2BIG);
  });

  it('another user, as an ordinary one: failed', async (context) => {
    requireUnprivileged(context, 'root may become anybody');
    requireOtherUsers(context, 'the kernel has to know the id to refuse it');
    const { event } = begin({ containment, settings: { uid: 1 } });
    const failed = await event('failed');
    expect([SPAWN_STAGES[failed.stage], failed.errno]).toEqual(['user', -EPERM]);
  });

  it('says pid and start time, exit status and what it used', async () => {
    const { event } = begin({ containment, ...shell('exit 7') });
    const { pid, startTicks, keeperPid } = await event('started');
    expect([pid > 0, startTicks > 0n, keeperPid > 0]).toEqual([true, true, containment === CONTAIN_TREE]);
    const { status, elapsedUs, maxRssBytes } = await event('exited');
    expect([status, elapsedUs > 0, maxRssBytes > 0]).toEqual([7 << 8, true, true]);
  });

  it('pipes: hands over our ends once, and the child has the others', async () => {
    const { event } = begin({ containment, stdin: STDIO_PIPE, stdout: STDIO_PIPE, ...shell('read line; echo "got $line"') });
    const { stdin, stdout, stderr, id } = await event('started');
    expect([stdin >= 0, stdout >= 0, stderr]).toEqual([true, true, -1]);
    expect(native().pipes(id)).toEqual([-1, -1, -1]);
    closeSync(stdin); // end of file: read fails, the shell goes on
    await event('exited');
    const buffer = Buffer.alloc(64);
    expect(buffer.toString('utf8', 0, readSync(stdout, buffer))).toBe('got \n');
    closeSync(stdout);
  });

  it('a descriptor that is lent may be closed as soon as the call has returned', async () => {
    const fd = openSync('/dev/null', 'w');
    const { event } = begin({ containment, stdout: fd, ...shell('echo x') });
    closeSync(fd);
    expect((await event('exited')).status).toBe(0);
  });

  it('stop: the signal, then SIGKILL after the grace period', async () => {
    const { id, event } = begin({ containment, stdout: STDIO_PIPE, ...shell('trap "" TERM; echo READY; while :; do sleep 1000; done') });
    const { pid, stdout } = await event('started');
    await eventually(() => readSync(stdout, Buffer.alloc(16)) > 0);
    native().stop(id, SIGTERM, 100);
    const { status, flags } = await event('exited');
    expect([status & 0x7f, flags & END_FORCED]).toEqual([SIGKILL, END_FORCED]);
    await eventually(() => !isAlive(pid));
    closeSync(stdout);
  });

  it('stop without force, made shorter by a second one', async () => {
    const { id, event } = begin({ containment, stdout: STDIO_PIPE, ...shell('trap "" TERM; echo READY; while :; do sleep 1000; done') });
    const { stdout } = await event('started');
    await eventually(() => readSync(stdout, Buffer.alloc(16)) > 0);
    native().stop(id, SIGTERM, NEVER);
    native().stop(id, SIGTERM, 50);
    expect((await event('exited')).status & 0x7f).toBe(SIGKILL);
    closeSync(stdout);
  });

  it.runIf(containment === CONTAIN_GROUP)('stop with signal 0: nothing before SIGKILL', async () => {
    const { id, event } = begin({
      containment,
      stdout: STDIO_PIPE,
      ...shell('trap "echo CONT" CONT; echo READY; while :; do sleep 0.01; done'),
    });
    const { stdout } = await event('started');
    await eventually(() => readSync(stdout, Buffer.alloc(16)) > 0);
    native().stop(id, 0, 200);
    expect((await event('exited')).status & 0x7f).toBe(SIGKILL);
    // Until end of file: the sleep it was waiting for may hold the pipe a moment longer (EAGAIN).
    let said = '';
    await eventually(() => {
      const buffer = Buffer.alloc(16);
      for (let length = readSync(stdout, buffer); length > 0; length = readSync(stdout, buffer)) said += buffer.toString('utf8', 0, length);
      return true;
    });
    expect(said).toBe('');
    closeSync(stdout);
  });

  it('kill: SIGKILL at once', async () => {
    const { id, event } = begin({ containment });
    await event('started');
    native().kill(id);
    expect((await event('exited')).status & 0x7f).toBe(SIGKILL);
  });

  it('a timeout is the end of the run', async () => {
    const { event } = begin({ containment, timeoutMs: 50 });
    const { status, flags } = await event('exited');
    expect([status & 0x7f, flags & END_TIMED_OUT]).toEqual([SIGTERM, END_TIMED_OUT]);
  });

  it('closing an id ends what it held, and leaves no descriptor', async () => {
    const before = openFiles().size;
    const { id, event } = begin({ containment, stdin: STDIO_PIPE, stdout: STDIO_PIPE, stderr: STDIO_PIPE });
    const { pid, stdin, stdout, stderr } = await event('started');
    for (const fd of [stdin, stdout, stderr]) closeSync(fd);
    closeId(id);
    await eventually(() => !isAlive(pid));
    await eventually(() => openFiles().size <= before + 3); // watch thread and keeper image may have been opened here first
  });
});

describe('the number of a leader that has ended, containment group', () => {
  it('is free when it was alone', async (context) => {
    if (!native().kernel().pidfdGroupSignal) context.skip('needs a kernel of which this is known (6.9)');
    const { event } = begin({ containment: CONTAIN_GROUP, ...shell('exit 0') });
    expect((await event('exited')).flags & END_ALONE).toBe(END_ALONE);
  });

  it.each([
    ['of its group', 'cat <&3 &'],
    ['of its session, in a group of its own', 'set -m; cat <&3 &'],
  ])('is used as long as there is a member %s', async (_, member) => {
    const { event } = begin({ containment: CONTAIN_GROUP, stdin: STDIO_PIPE, ...shell(`exec 3<&0; ${member} kill -9 $$`) });
    const { pid, stdin } = await event('started');
    const { status, flags } = await event('exited');
    expect([status & 0x7f, flags & END_ALONE]).toEqual([SIGKILL, 0]);
    const isMember = (one: { sid: number; state: string }) => one.sid === pid && one.state !== 'Z';
    expect(allProcesses().filter(isMember)).toHaveLength(1);
    closeSync(stdin);
    await eventually(() => !allProcesses().some(isMember));
  });
});

it('refuses requests that are none', () => {
  const numbers = new Float64Array(14);
  const text = 'true\0\0\0tree\0true\0';
  numbers[13] = 1; // argc
  const wrong = (given: unknown, strings: unknown, settings?: object) => () =>
    native().spawn(given as Float64Array, strings as string, settings as ChildSettings);
  expect(wrong(undefined, text)).toThrow(/needs a request/);
  expect(wrong(new Float64Array(13), text)).toThrow(/needs a request/);
  expect(wrong(new Int32Array(14), text)).toThrow(/needs a request/);
  for (const strings of [undefined, '', 'true\0\0\0tree\0', 'true\0\0\0tree\0true', `${text}LAST=1`]) {
    expect(wrong(numbers, strings)).toThrow(/malformed text/);
  }
  expect(wrong(numbers.with(1, CONTAIN_CGROUP), text)).toThrow(/name of a leaf/);
  expect(wrong(numbers.with(4, 999_999), text)).toThrow(/descriptor is not open/);
  expect(wrong(numbers, text, { groups: new Array(1000).fill(0) })).toThrow(/groups/);
  expect(wrong(numbers, text, { limits: [1, 2] })).toThrow(/limits/);
  expect(() => native().scan({ id: 1, fields: 1, pids: [1] as unknown as Int32Array })).toThrow(/Int32Array/);
});

it('takes one listener', () => {
  expect(() => native().listen(() => {})).toThrow(/listener/);
});

it('knows users and groups by name', () => {
  expect(native().lookupUser('root')).toMatchObject({ uid: 0, gid: 0, groups: expect.arrayContaining([0]) });
  expect(native().lookupUser('no-such-user-here')).toBeNull();
  expect(native().lookupGroup('root')).toBe(0);
  expect(native().lookupGroup('no-such-group-here')).toBeNull();
});
