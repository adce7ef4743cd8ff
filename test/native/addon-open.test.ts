/** open(), signal(), startTicks(), lineage(): processes we did not start, and every answer the kernel can give. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import { closeId, type NativeEvent, native, newId, receive, SCOPE_GROUP, SCOPE_PROCESS } from '../../src/native.js';
import { requireUnprivileged } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { isAlive, isZombie, openFiles, readStat } from '../helpers/proc.js';

const { ESRCH, ESTALE, EINVAL, EPERM } = constants.errno;
const { SIGKILL, SIGTERM } = constants.signals;

async function sleeper() {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { child, exited, pid: child.pid as number, startTicks: readStat(child.pid as number)?.startTicks ?? 0n };
}

/** An id, and a promise of its `gone` event. */
function watched() {
  let id = 0;
  const gone = new Promise<Extract<NativeEvent, { type: 'gone' }>>((resolve) => {
    id = newId({ [receive]: (event) => event.type === 'gone' && resolve(event) });
  });
  onTestFinished(() => closeId(id));
  return { id, gone };
}

describe('open', () => {
  it('takes a process by pid and start time, and tells when and how it ended', async () => {
    const { child, pid, startTicks } = await sleeper();
    const { id, gone } = watched();
    native().ref();
    onTestFinished(() => native().unref());
    expect(native().open(id, pid, startTicks)).toBe(startTicks);
    expect(native().signal(id, 0, SCOPE_PROCESS)).toBe(0);
    expect(native().signal(id, SIGTERM, SCOPE_PROCESS)).toBe(0);
    const { status } = await gone;
    expect([null, SIGTERM]).toContain(status); // null: the kernel did not tell
    await eventually(() => child.signalCode !== null);
    expect(child.signalCode).toBe('SIGTERM');
  });

  it('takes whoever has the pid when no start time is given', async () => {
    const { pid, startTicks } = await sleeper();
    expect(native().open(watched().id, pid, 0n)).toBe(startTicks);
  });

  it('refuses another process under the same number', async () => {
    const { pid, startTicks } = await sleeper();
    expect(native().open(watched().id, pid, startTicks + 1n)).toBe(-ESTALE);
  });

  it('answers ESRCH for a pid that nobody has', () => {
    expect(native().open(watched().id, 4_194_303, 0n)).toBe(-ESRCH);
  });

  it('answers ESRCH for a zombie: it can not be signalled into anything', async () => {
    // The shell becomes a sleep, which does not reap; only then its child may exit.
    const parent = spawn('sh', ['-c', 'exec 3<&0; sh -c "read word <&3; exit 7" & echo $!; exec sleep 1000'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    onTestFinished(async () => {
      parent.kill('SIGKILL');
      await once(parent, 'close');
    });
    const zombie = Number(String((await once(parent.stdout, 'data'))[0]));
    await eventually(() => readStat(parent.pid as number)?.name === 'sleep');
    parent.stdin.end('go\n');
    await eventually(() => isZombie(zombie));
    expect(native().open(watched().id, zombie, 0n)).toBe(-ESRCH);
    expect(native().startTicks(zombie)).toBe(readStat(zombie)?.startTicks);
  });

  it.each([0, -1, -4242])('never gives %i the meaning it has for kill(2)', (pid) => {
    expect(native().open(watched().id, pid, 0n)).toBe(-EINVAL);
  });

  it('refuses the id of a thread', () => {
    // Node has several threads; every one but the first has an id that is no process.
    const thread = readdirSync('/proc/self/task')
      .map(Number)
      .find((tid) => tid !== process.pid);
    expect(native().open(watched().id, thread ?? 0, 0n)).toBe(-EINVAL);
    expect(thread).toBeGreaterThan(0);
  });

  // pidfd_open(2) answers EINVAL for it, as for a thread.
  it('knows a number that only a process group bears any more for nobody', async () => {
    const leader = spawn('sh', ['-c', 'sleep 1001 & echo $!'], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    const exited = once(leader, 'exit');
    const member = Number(String((await once(leader.stdout, 'data'))[0]));
    await exited;
    expect(readStat(member)?.pgid).toBe(leader.pid);
    expect(native().open(watched().id, leader.pid as number, 0n)).toBe(-ESRCH);
    process.kill(member, 'SIGKILL');
    await once(leader, 'close');
  });

  it('says so when it may not signal', (context) => {
    requireUnprivileged(context, 'root may signal everybody');
    const { id } = watched();
    const opened = native().open(id, 1, 0n);
    // PID 1 of the namespace belongs to root, or (user namespace) to ourselves.
    if (statSync('/proc/1').uid === process.getuid?.()) return context.skip('PID 1 is our own here');
    expect(typeof opened).toBe('bigint');
    expect(native().signal(id, 0, SCOPE_PROCESS)).toBe(-EPERM);
  });
});

describe('lineage', () => {
  it('is our group, our session and all ancestors, as /proc shows them', () => {
    const { pgid, sid, ppid } = readStat(process.pid)!;
    const ancestors: number[] = [];
    for (let pid = ppid; pid > 0; pid = readStat(pid)?.ppid ?? 0) ancestors.push(pid);
    expect(ancestors.at(-1)).toBe(1);
    expect(native().lineage()).toEqual([pgid, sid, ...ancestors]);
  });
});

describe('signal', () => {
  it('answers ESRCH for an id that was never opened or is closed', async () => {
    const { pid } = await sleeper();
    const { id } = watched();
    expect(native().signal(id, 0, SCOPE_PROCESS)).toBe(-ESRCH);
    native().open(id, pid, 0n);
    closeId(id);
    expect(native().signal(id, SIGKILL, SCOPE_PROCESS)).toBe(-ESRCH);
    expect(isAlive(pid)).toBe(true);
  });

  it('answers ESRCH once it was reaped, whoever has the number now', async () => {
    const { child, exited, pid } = await sleeper();
    const { id } = watched();
    native().open(id, pid, 0n);
    child.kill('SIGKILL');
    await exited;
    expect(native().signal(id, SIGTERM, SCOPE_PROCESS)).toBe(-ESRCH);
  });

  it('answers EINVAL for a signal that does not exist', async () => {
    const { pid } = await sleeper();
    const { id } = watched();
    native().open(id, pid, 0n);
    expect(native().signal(id, 65, SCOPE_PROCESS)).toBe(-EINVAL);
  });

  it('reaches the group that the process leads', async () => {
    const leader = spawn('sh', ['-c', 'sleep 1001 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    const closed = once(leader, 'close');
    const member = Number(String((await once(leader.stdout, 'data'))[0]));
    const { id } = watched();
    native().open(id, leader.pid as number, 0n);
    expect(native().signal(id, SIGKILL, SCOPE_GROUP)).toBe(0);
    await closed; // both ends of the pipe are closed, so both are gone
    await eventually(() => !readStat(member) || isZombie(member));
  });

  it('answers ESRCH for the group of a process that leads none', async () => {
    const { pid } = await sleeper();
    const { id } = watched();
    native().open(id, pid, 0n);
    expect(native().signal(id, 0, SCOPE_GROUP)).toBe(native().kernel().pidfdGroupSignal ? -ESRCH : -constants.errno.EOPNOTSUPP);
  });
});

it('opening and closing leaves no descriptor', async () => {
  const { pid } = await sleeper();
  native().kernel();
  const openAndClose = () => {
    const { id } = watched();
    native().open(id, pid, 0n);
    closeId(id);
  };
  openAndClose();
  const before = openFiles().size;
  for (let i = 0; i < 200; i++) openAndClose();
  await eventually(() => openFiles().size <= before); // the watch thread lets go a moment later
});
