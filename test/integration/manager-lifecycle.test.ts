/** A managed command from start to end and again, on real processes. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { ProcessManager } from '../../src/process/manager.js';
import type { ProcessConfig } from '../../src/types.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses, isAlive, readStat } from '../helpers/proc.js';

function managed() {
  const manager = new ProcessManager();
  const changes: string[] = [];
  manager.on('status', ({ from, to }) => changes.push(`${from} -> ${to}`));
  onTestFinished(async () => {
    await manager.kill();
  });
  return { manager, changes };
}
const command = (script: string, more: Partial<ProcessConfig> = {}): ProcessConfig => ({ command: 'sh', args: ['-c', script], ...more });
const sleepers = () => allProcesses().filter(({ name, state }) => name === 'sleep' && state !== 'Z');

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('start, healthCheck, metadata, stop, start again', async () => {
    const { manager, changes } = managed();
    await manager.start(
      command('x=$(head -c 2000000 /dev/zero | tr "\\0" x); sleep 300 & wait', {
        containment,
        cwd: '/',
        labels: { role: 'test' },
      }),
    );
    const { pid = 0 } = manager;
    expect(isAlive(pid)).toBe(true);
    await manager.healthCheck();
    expect(manager.metadata).toMatchObject({
      pid,
      pgid: pid,
      sid: pid,
      command: 'sh',
      cwd: '/',
      attempt: 1,
      labels: { role: 'test' },
      exitCode: undefined,
    });
    // The kernel counts the memory of a small process with some delay.
    await eventually(() => (manager.metadata.rssBytes ?? 0) > 0);
    expect(manager.metadata.cpuMs).toBeGreaterThanOrEqual(0);

    await eventually(() => sleepers().length === 1);
    const report = await manager.stop();
    expect(report.survivors).toEqual([]);
    expect([manager.status, sleepers().length, isAlive(pid)]).toEqual(['stopped', 0, false]);
    expect(await manager.wait()).toMatchObject({ signal: 'SIGTERM' });
    expect(manager.metadata).toMatchObject({ signal: 'SIGTERM', exitCode: null });

    await manager.start(command('exit 0', { containment }));
    await manager.wait();
    expect(manager.metadata.attempt).toBe(2);
    expect(changes).toEqual([
      ...['stopped -> starting', 'starting -> running', 'running -> stopping', 'stopping -> stopped'],
      ...['stopped -> starting', 'starting -> running', 'running -> stopped'],
    ]);
  });

  it('kill() ends every member at once, whatever they ignore', async () => {
    const { manager } = managed();
    await manager.start(command('trap "" TERM; sleep 300 & wait; sleep 300', { containment }));
    await eventually(() => sleepers().length === 1);
    const report = await manager.kill();
    expect(report).toMatchObject({ survivors: [], escalated: true });
    expect(sleepers()).toEqual([]);
    expect(await manager.wait()).toMatchObject({ signal: 'SIGKILL' });
    expect(manager.status).toBe('stopped');
  });

  it('a failed start leaves no process and no zombie', async () => {
    const { manager } = managed();
    await expect(manager.start({ command: '/no/such/command', containment })).rejects.toMatchObject({ code: 'ENOENT' });
    expect(manager.status).toBe('error');
    await eventually(() => allProcesses().every(({ ppid }) => ppid !== process.pid), 5000, 'no child and no zombie');
    await expect(manager.start(command('exit 0', { containment, cwd: '/no/where' }))).rejects.toThrow('cwd "/no/where"');
  });

  it('is stopped when nothing is left, and in error when it ended otherwise than expected', async () => {
    const { manager } = managed();
    await manager.start(command('sleep 300 & exit 0', { containment }));
    expect(await manager.wait()).toMatchObject({ exitCode: 0 });
    expect([manager.status, sleepers().length]).toEqual(['stopped', 0]);
    await manager.start(command('exit 9', { containment }));
    await manager.wait();
    expect(manager.status).toBe('error');
    await manager.start(command('exit 9', { containment, successCodes: [9] }));
    await manager.wait();
    expect(manager.status).toBe('stopped');
  });

  it('an abort stops the tree; wait() rejects with the reason', async () => {
    const { manager } = managed();
    const controller = new AbortController();
    await manager.start(command('sleep 300 & wait', { containment }), { signal: controller.signal });
    await eventually(() => sleepers().length === 1);
    const waiting = [manager.wait(), manager.wait()].map((promise) => promise.catch((error) => error));
    const reason = new Error('shutting down');
    controller.abort(reason);
    expect(await Promise.all(waiting)).toEqual([reason, reason]);
    expect([manager.status, sleepers().length]).toEqual(['stopped', 0]);
  });

  it('asyncDispose leaves nothing', async () => {
    const manager = new ProcessManager();
    await manager.start(command('sleep 300 & wait', { containment }));
    const { pid = 0 } = manager;
    await manager[Symbol.asyncDispose]();
    expect(readStat(pid)).toBeUndefined();
    expect(sleepers()).toEqual([]);
  });
});
