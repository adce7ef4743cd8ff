/** Signals to `corral run` mean the tree: the first one stops it, Ctrl-C once more kills it. Nobody is left in any case. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { corralCommand } from '../helpers/command.js';
import { eventually } from '../helpers/eventually.js';
import { fixtureCommand } from '../helpers/fixture.js';
import { isAlive } from '../helpers/proc.js';

interface Family {
  corral: ChildProcess;
  members: number[];
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  nextLine(): Promise<string | undefined>;
}

async function startFamily(mode: string, options: string[] = []): Promise<Family> {
  const [file, ...args] = corralCommand();
  const corral = spawn(file, [...args, 'run', '--rlimit', 'core=0', ...options, '--', ...fixtureCommand('family.sh', [mode])], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    corral.once('exit', (code, signal) => resolve({ code, signal }));
  });
  onTestFinished(async () => {
    corral.kill('SIGKILL');
    await exited;
    corral.stdout?.destroy();
  });
  const lines = createInterface({ input: corral.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const anyLine = async () => (await lines.next()).value as string | undefined;
  const nextLine = async () => {
    for (;;) {
      const line = await anyLine();
      if (line !== 'heard') return line;
    }
  };
  const [ready, ...members] = (await nextLine())?.split(' ') ?? [];
  expect(ready).toBe('READY');
  if (mode !== 'exit') {
    // The command may run before corral has heard of it, which passes on no signal until then.
    const again = setInterval(() => corral.kill('SIGUSR2'), 20);
    expect(await anyLine().finally(() => clearInterval(again))).toBe('heard');
  }
  return { corral, members: members.map(Number), exited, nextLine };
}

const alive = (family: Family) => family.members.filter((pid) => isAlive(pid));

describe('one signal', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
  ] as const)('%s stops the tree, status %d', async (signal, code) => {
    const family = await startFamily('wait', ['--kill-after', '300ms']);
    family.corral.kill(signal);
    expect(await family.exited).toEqual({ code, signal: null });
    expect(alive(family)).toEqual([]);
  });

  it('is passed on as it is, and a command that cleans up keeps its status', async () => {
    const family = await startFamily('trap', ['--kill-after', '10s']);
    family.corral.kill('SIGINT');
    expect(await family.nextLine()).toBe('stopping');
    expect(await family.exited).toEqual({ code: 5, signal: null });
    expect(alive(family)).toEqual([]);
  });
});

describe('Ctrl-C twice', () => {
  it('kills now, and still says 130', async () => {
    // Without the second one this would take an hour: one member ignores what the first one sends.
    const family = await startFamily('wait', ['--kill-after', '1h']);
    family.corral.kill('SIGINT');
    family.corral.kill('SIGINT');
    const again = setInterval(() => family.corral.kill('SIGINT'), 100);
    const end = await family.exited.finally(() => clearInterval(again));
    expect(end).toEqual({ code: 130, signal: null });
    expect(alive(family)).toEqual([]);
  });

  it('a second SIGHUP or SIGTERM does not shorten the grace period: terminals and supervisors send them twice', async () => {
    const family = await startFamily('wait', ['--kill-after', '1s']);
    const startedAt = performance.now();
    family.corral.kill('SIGHUP');
    let times = 0;
    const again = setInterval(() => {
      family.corral.kill('SIGHUP');
      family.corral.kill('SIGTERM');
      if (++times === 10) clearInterval(again);
    }, 50);
    expect(await family.exited.finally(() => clearInterval(again))).toEqual({ code: 129, signal: null });
    expect(performance.now() - startedAt).toBeGreaterThan(950);
    expect(alive(family)).toEqual([]);
  });
});

describe('other ends', () => {
  it('the command exits by itself: nothing of it is left, and the status is its own', async () => {
    const family = await startFamily('exit', ['--kill-after', '300ms']);
    expect(await family.exited).toEqual({ code: 0, signal: null });
    expect(alive(family)).toEqual([]);
  });

  it('corral is killed: the tree ends without it', async () => {
    const family = await startFamily('wait', ['--kill-after', '300ms']);
    family.corral.kill('SIGKILL');
    expect(await family.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await eventually(() => alive(family).length === 0);
  });
});
