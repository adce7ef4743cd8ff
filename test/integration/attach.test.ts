/** attach() watches a process that somebody else started, and tells its end as far as the kernel tells it. */
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native.js';
import { attach } from '../../src/tree/attach.js';
import { identityOf } from '../../src/tree/identity.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { isAlive, isZombie, openFiles } from '../helpers/proc.js';

const pidfds = () => [...openFiles().values()].filter((target) => target.includes('pidfd')).length;

/** A process that is not our child and exits with 7 when told so. */
async function stranger(mode: 'wait' | 'leave') {
  const fixture = await startFixture('tree-nonchild.sh', [mode], { stdin: 'pipe' });
  const pid = Number(fixture.ready[0]);
  return { ...fixture, pid, release: () => fixture.child.stdin!.write('\n') };
}

describe('the end of a process that is not our child', () => {
  it.each(['wait', 'leave'] as const)('its exit code, where the kernel tells (its parent: %s)', async (mode) => {
    const { pid, release } = await stranger(mode);
    const attached = await attach(pid);
    expect(attached.identity).toEqual(identityOf(pid));
    expect(attached.isAlive()).toBe(true);
    release();
    const end = await attached.exited;
    // A zombie shows it to its own user. After that only Linux 6.15 does.
    if (native().tryKernel().pidfdExitInfo || mode === 'leave') expect(end).toEqual({ exitCode: 7, signal: null });
    else expect([7, null]).toContain(end.exitCode);
    expect(attached.isAlive()).toBe(false);
    expect(attached.kill()).toBe(false);
    expect(attached.kill(0)).toBe(false);
    await eventually(() => pidfds() === 0);
  });

  it('the signal that ended it', async () => {
    const { pid } = await stranger('leave');
    const attached = await attach(pid);
    expect(attached.kill(0)).toBe(true);
    expect(attached.kill('SIGKILL')).toBe(true);
    expect(await attached.exited).toEqual({ exitCode: null, signal: 'SIGKILL' });
    expect(isZombie(pid)).toBe(true); // nobody waited for it, and neither did we
  });

  it('is told to everybody who watches it', async () => {
    const { pid } = await stranger('leave');
    const watchers = await Promise.all([attach(pid), attach(pid), attach(identityOf(pid)!)]);
    watchers[0]!.kill();
    expect(await Promise.all(watchers.map(({ exited }) => exited))).toEqual(Array(3).fill({ exitCode: null, signal: 'SIGTERM' }));
  });
});

it('a child of our own: Node’s exit event comes as well', async () => {
  const { child, exited } = await startFixture('ready.sh');
  const attached = await attach(child.pid as number);
  attached.kill('SIGTERM');
  expect(await exited).toEqual({ code: null, signal: 'SIGTERM' });
  expect([
    { exitCode: null, signal: 'SIGTERM' },
    { exitCode: null, signal: null },
  ]).toContainEqual(await attached.exited);
});

it('disposal ends the watching, not the process', async () => {
  const { pid } = await startFixture('ready.sh');
  const attached = await attach(pid);
  await eventually(() => pidfds() === 1); // that of the last test is closed on the watch thread
  attached[Symbol.dispose]();
  attached[Symbol.dispose]();
  await eventually(() => pidfds() === 0);
  await expect(attached.exited).rejects.toMatchObject({ code: 'ERR_ABORTED', pid });
  expect(attached.isAlive()).toBe(false);
  expect(() => attached.kill()).toThrow(expect.objectContaining({ code: 'ERR_ABORTED' }));
  expect(isAlive(pid)).toBe(true);
});

describe('nobody to attach to', () => {
  it('a number that nobody has', async () => {
    await expect(attach(4_194_304)).rejects.toMatchObject({ code: 'ERR_NO_SUCH_PROCESS', pid: 4_194_304 });
  });

  it('a zombie', async () => {
    const { pid, release } = await stranger('leave');
    release();
    await eventually(() => isZombie(pid));
    await expect(attach(pid)).rejects.toMatchObject({ code: 'ERR_NO_SUCH_PROCESS' });
  });

  it('an identity whose number is another’s now', async () => {
    const { pid } = await startFixture('ready.sh');
    const identity = identityOf(pid)!;
    await expect(attach({ ...identity, startTicks: identity.startTicks - 1n })).rejects.toMatchObject({ code: 'ERR_NO_SUCH_PROCESS' });
    await expect(attach({ ...identity, bootId: 'another boot' })).rejects.toMatchObject({ code: 'ERR_NO_SUCH_PROCESS' });
  });
});

it('our parent may be watched, but not signalled', async () => {
  const parent = await attach(process.ppid);
  expect(parent.kill(0)).toBe(true);
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGCONT'] as const) {
    expect(() => parent.kill(signal)).toThrow(expect.objectContaining({ code: 'ERR_REFUSED_TARGET' }));
  }
  expect(() => parent.kill('term' as 'SIGTERM')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }));
  parent[Symbol.dispose]();
});
