/** healthCheck() looks at the process itself, and names what is wrong with it. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { ProcessManager } from '../../src/process/manager.js';
import { eventually } from '../helpers/eventually.js';
import { readStat } from '../helpers/proc.js';

async function running(script: string, containment: 'group' | 'tree', onLeaderExit: 'stop' | 'wait' = 'stop') {
  const manager = new ProcessManager();
  onTestFinished(async () => {
    await manager.kill();
  });
  await manager.start({ command: 'sh', args: ['-c', script], containment, onLeaderExit });
  return { manager, pid: manager.pid ?? 0 };
}

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('alive, stopped, alive again', async () => {
    const { manager, pid } = await running('while :; do sleep 1; done', containment);
    await manager.healthCheck();
    process.kill(pid, 'SIGSTOP');
    await eventually(() => readStat(pid)?.state === 'T');
    await expect(manager.healthCheck()).rejects.toMatchObject({
      code: 'ERR_UNHEALTHY',
      pid,
      message: expect.stringContaining('stopped (state T)'),
    });
    process.kill(pid, 'SIGCONT');
    await eventually(() => readStat(pid)?.state !== 'T');
    await manager.healthCheck();
  });

  it('gone, while members of its tree live', async () => {
    const { manager } = await running('sleep 300 & exit 0', containment, 'wait');
    await eventually(() => manager.metadata.exitCode === 0);
    expect(manager.status).toBe('running');
    await expect(manager.healthCheck()).rejects.toThrow('gone: it has exited, members of its tree live');
  });

  it('after the end', async () => {
    const { manager } = await running('exit 0', containment);
    await manager.wait();
    await expect(manager.healthCheck()).rejects.toThrow('not running (stopped)');
  });
});

it('a zombie, when its keeper does not come to reap it', async () => {
  const { manager, pid } = await running('while :; do sleep 1; done', 'tree');
  const keeper = readStat(pid)?.ppid ?? 0;
  process.kill(keeper, 'SIGSTOP');
  process.kill(pid, 'SIGKILL');
  try {
    await eventually(() => readStat(pid)?.state === 'Z');
    await expect(manager.healthCheck()).rejects.toThrow('zombie: it has ended and was not reaped');
  } finally {
    process.kill(keeper, 'SIGCONT');
  }
  expect(await manager.wait()).toMatchObject({ signal: 'SIGKILL' });
});
