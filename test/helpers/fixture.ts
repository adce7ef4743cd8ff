/**
 * Starts the little programs of test/fixtures. A fixture prints one line "READY [word...]" on stdout when what it promises is true;
 * nobody sleeps. They are started with node:child_process, not with the product.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export interface FixtureExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface Fixture {
  readonly pid: number;
  /** The words after READY. */
  readonly ready: string[];
  readonly child: ChildProcess;
  /** The next line of stdout after READY; rejects when stdout has ended. */
  nextLine(): Promise<string>;
  /** Settles once it has exited and been reaped. */
  readonly exited: Promise<FixtureExit>;
}

export interface FixtureOptions extends Pick<SpawnOptions, 'cwd' | 'env' | 'detached'> {
  /** 'pipe' keeps it open, for fixtures that wait for a word or for end of file. Default 'ignore'. */
  stdin?: 'ignore' | 'pipe';
  /** To wait for READY. Default 25000. */
  deadlineMs?: number;
}

const directory = fileURLToPath(new URL('../fixtures/', import.meta.url));

/** The command that runs a fixture: node for .mjs and .cjs, sh for .sh, the file itself otherwise. */
export function fixtureCommand(name: string, args: readonly string[] = []): [string, ...string[]] {
  const file = path.join(directory, name);
  if (/\.[mc]js$/.test(name)) return [process.execPath, file, ...args];
  if (name.endsWith('.sh')) return ['sh', file, ...args];
  return [file, ...args];
}

/**
 * Resolves when the fixture has said READY; rejects with its stderr when it does not. When the test ends it is killed if it still
 * runs; what it started is the test's business, and the guard of setup-contained.ts reports it.
 */
export async function startFixture(name: string, args: readonly string[] = [], options: FixtureOptions = {}): Promise<Fixture> {
  const { stdin = 'ignore', deadlineMs = 25_000, ...spawnOptions } = options;
  const [file, ...rest] = fixtureCommand(name, args);
  const child = spawn(file, rest, { ...spawnOptions, stdio: [stdin, 'pipe', 'pipe'] });
  const exited = new Promise<FixtureExit>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  exited.catch(() => {}); // Reported through READY below; a test may await it as well.

  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited.catch(() => {});
    // Members the fixture left may hold the other ends; ours must not outlive the test.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  });

  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const lines = createInterface({ input: child.stdout as Readable })[Symbol.asyncIterator]();
  const nextLine = async () => {
    const line = await lines.next();
    if (line.done) throw new Error(`fixture ${name}: stdout ended${stderr && `\n${stderr}`}`);
    return line.value;
  };
  const untilReady = async () => {
    for (;;) {
      const words = (await nextLine()).split(/\s+/);
      if (words[0] === 'READY') return words.slice(1);
    }
  };

  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`fixture ${name}: not READY within ${deadlineMs} ms${stderr && `\n${stderr}`}`)), deadlineMs);
    exited.catch(reject); // It could not be started.
  });
  const ready = await Promise.race([untilReady(), tooLate]).finally(() => clearTimeout(timer));
  return { pid: child.pid as number, ready, child, nextLine, exited };
}
