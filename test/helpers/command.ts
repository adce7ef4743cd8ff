/**
 * Runs the built commands (dist/) as a user does: as processes of their own, with the streams a test gives them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const built = (name: string) => {
  const file = fileURLToPath(new URL(`../../dist/${name}`, import.meta.url));
  if (!existsSync(file)) throw new Error(`${file} is missing: run "npm run build" first`);
  return file;
};

export interface CommandOptions {
  /** Written and closed; 'open' = a pipe that is never closed; { open: text } = written and never closed. Default: /dev/null. */
  stdin?: string | { open: string };
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Called with the running process, e.g. to signal it. */
  meanwhile?: (child: ChildProcess) => Promise<void> | void;
}

export interface CommandResult {
  stdout: string;
  stderr: string;
  /** As a shell reports it: 128+n when a signal ended it (signal is set then, too). */
  code: number | null;
  signal: NodeJS.Signals | null;
  /** From the start until its stdout and stderr were closed by everybody. */
  durationMs: number;
}

/** With a deadline that no machine misses, unless `args` have another: by default it is five seconds from the start of the process. */
export const runHook = (args: string[] = [], options?: CommandOptions) =>
  runFile(process.execPath, [built('hook.cjs'), ...(args.includes('--timeout-ms') ? [] : ['--timeout-ms', '60000']), ...args], options);
export const runCorral = (args: string[] = [], options?: CommandOptions) =>
  runFile(process.execPath, [built('corral.cjs'), ...args], options);
/** The command lines, for tests that start them through something else. */
export const corralCommand = () => [process.execPath, built('corral.cjs')] as const;
export const hookCommand = () => [process.execPath, built('hook.cjs')] as const;

export async function runFile(file: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const startedAt = performance.now();
  const child = spawn(file, args, {
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
    child.stdin?.destroy();
  });
  const texts = [child.stdout, child.stderr].map((stream) => {
    const chunks: string[] = [];
    stream?.setEncoding('utf8').on('data', (text: string) => chunks.push(text));
    return chunks;
  });
  // A command need not read what it is given.
  child.stdin?.on('error', () => {});
  if (typeof options.stdin === 'string') child.stdin?.end(options.stdin);
  else if (options.stdin !== undefined) child.stdin?.write(options.stdin.open);

  const closed = new Promise<Pick<CommandResult, 'code' | 'signal'>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  // 'close' waits for all ends of the pipes, so a process that kept one open would be noticed.
  await options.meanwhile?.(child);
  const end = await closed;
  return { stdout: texts[0]!.join(''), stderr: texts[1]!.join(''), ...end, durationMs: performance.now() - startedAt };
}
