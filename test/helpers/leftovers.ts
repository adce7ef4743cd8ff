/** What agents leave behind, made on purpose: real processes that the rules of the clean-up fit, and projects that lower the thresholds. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { eventually } from './eventually.js';
import { readStat, signalIfAlive } from './proc.js';
import { tempDirectory } from './temp.js';

export interface Project {
  /** Its root, with .moai/. */
  directory: string;
  /** The environment in which the user's configuration is `config`, and state goes to a directory of this test's own. */
  env: Record<string, string>;
  /** The entries of its log. */
  log(): Array<{ timestamp: string; event?: string; stats: Record<string, unknown> }>;
}

/** A project of a user who wants leftovers ended at once. */
export function eagerProject(config: object = {}): Project {
  const directory = tempDirectory();
  const home = tempDirectory();
  mkdirSync(path.join(directory, '.moai'));
  mkdirSync(path.join(home, 'config/corral'), { recursive: true });
  const eager = {
    min_age_seconds: 0,
    classes: { ripgrep: { max_age_seconds: 0 }, shell_agent: { max_age_seconds: 0 } },
    // As long as a busy machine may need; nobody waits for it to pass.
    term_grace_ms: 10_000,
    kill_wait_ms: 10_000,
  };
  writeFileSync(path.join(home, 'config/corral/config.json'), JSON.stringify({ ...eager, ...config }));
  return {
    directory,
    env: { HOME: home, XDG_CONFIG_HOME: path.join(home, 'config'), XDG_STATE_HOME: path.join(home, 'state') },
    log: () => JSON.parse(readFileSync(path.join(directory, '.moai/cache/process_cleanup_log.json'), 'utf8')),
  };
}

/**
 * Starts a program under another name, in a session of its own, adopted by PID 1: an orphan. Resolves with its pid once it runs. It is
 * ended with the test.
 */
export async function startOrphan(name: string, args: string[] = ['300'], program = '/bin/sleep'): Promise<number> {
  const file = path.join(tempDirectory(), name);
  symlinkSync(program, file);
  // The shell prints the pid of its background process and ends; setsid(1) execs in that very process, as it leads no group.
  const script = 'setsid "$@" < /dev/null > /dev/null 2>&1 & echo $!';
  const shell = spawn('sh', ['-c', script, 'sh', file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = Number(await new Promise<string>((resolve) => shell.stdout.once('data', (data: Buffer) => resolve(data.toString()))));
  onTestFinished(() => signalIfAlive(pid));
  // Not by its name alone: before the first exec it is a shell too.
  const runs = () => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(`${file}\0`) && readStat(pid)?.state !== 'D';
  await eventually(() => runs() && readStat(pid)?.ppid === 1, 5000, `${name} runs and is adopted`);
  // An age of 0 ticks is not above a threshold of 0 seconds.
  await eventually(() => isOlderThanATick(pid), 5000, `${name} is older than a clock tick`);
  return pid;
}

function isOlderThanATick(pid: number): boolean {
  const uptimeTicks = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 100;
  return uptimeTicks - Number(readStat(pid)?.startTicks ?? Number.POSITIVE_INFINITY) >= 2;
}
