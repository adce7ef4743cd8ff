/** Leftovers as they happen, for the tests of the sweep: they run in sessions of their own, since what shares our group is spared. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, chmodSync, constants, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { loadConfig } from '../../src/orphans/config.js';
import { type SweepOptions, sweep } from '../../src/orphans/sweep.js';
import type { SweepReport, Verdict } from '../../src/types.js';
import { eventually } from './eventually.js';
import type { Project } from './leftovers.js';
import { allProcesses, isAlive, readStat, signalIfAlive } from './proc.js';
import { tempDirectory } from './temp.js';

export const RIPGREP =
  find('rg') ?? fileURLToPath(new URL(`../../node_modules/@vscode/ripgrep-linux-${process.arch}/bin/rg`, import.meta.url));

function find(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(':')
    .map((directory) => path.join(directory, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The sweep of a project's user, in this process. A shell of ours that has ended and was not waited for would be a finding. */
export async function sweepIn(project: Project, options: SweepOptions = {}): Promise<SweepReport> {
  await eventually(() => !allProcesses().some(({ ppid, state }) => ppid === process.pid && state === 'Z'), 5000, 'our own are reaped');
  return sweep({
    config: loadConfig({ cwd: project.directory, env: project.env }),
    env: { PATH: process.env.PATH, ...project.env },
    ...options,
  });
}

export const verdictOn = (report: SweepReport, pid: number): Verdict | undefined =>
  report.verdicts.find(({ process }) => process.pid === pid);

export interface Leftover {
  pid: number;
  /** Its parent as we started it, when it has one that stays. */
  child: ChildProcess;
}

/**
 * Runs a shell script in a session of its own; descriptor 3 is a pipe that nobody writes to and nobody closes. The script prints the pids
 * it wants to be known by, one a line; resolves when there are `count` of them. All are ended with the test.
 */
export async function leave(
  script: string,
  { count = 1, env = {}, name }: { count?: number; env?: Record<string, string>; name?: string } = {},
): Promise<number[]> {
  const command = name === undefined ? ['sh', '-c', script] : [asProgram(name, script)];
  const child = spawn(command[0] as string, command.slice(1), {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
    env: { ...process.env, ...env },
  });
  let problem: Error | undefined;
  child.once('error', (error) => {
    problem = error;
  });
  const pids: number[] = [];
  onTestFinished(async () => {
    for (const pid of [...pids, child.pid ?? 0]) if (pid > 1) signalIfAlive(pid);
    for (const stream of child.stdio) stream?.destroy();
    await eventually(() => pids.every((pid) => !isAlive(pid)));
  });
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await eventually(
    () => {
      if (problem !== undefined) throw problem;
      return text.split('\n').length > count;
    },
    10_000,
    `${count} pids from: ${script}`,
  );
  pids.push(...text.trim().split('\n').map(Number));
  return pids;
}

/** An executable script: the kernel names the process after the file, as it does for pytest or claude. */
function asProgram(name: string, script: string): string {
  const file = path.join(tempDirectory(), name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** A ripgrep that waits for ever on an open stdin, its parent gone: what `rg PATTERN` without a path does under an agent. */
export async function stuckRipgrep(args = 'corral-needle', env: Record<string, string> = {}): Promise<number> {
  const [pid] = await leave(`setsid ${RIPGREP} ${args} <&3 >/dev/null 2>&1 & echo $!`, { env });
  await named(pid as number, 'rg');
  await eventually(() => readStat(pid as number)?.ppid === 1, 5000, 'rg is adopted');
  await olderThan(pid as number, 0.01);
  return pid as number;
}

/** Age in seconds, by the clock that start times are on. */
export function ageOf(pid: number): number {
  const now = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
  return now - Number(readStat(pid)?.startTicks ?? 0n) / 100;
}

/** No event tells that time has passed for another process. */
export async function olderThan(pid: number, seconds: number): Promise<void> {
  await eventually(() => ageOf(pid) > seconds + 0.02, seconds * 1000 + 10_000, `${pid} is older than ${seconds} s`);
}

/** It runs under that name, and waits for something: while it starts, it may be in the kernel (state D) for longer than a sweep looks. */
export async function named(pid: number, name: string): Promise<void> {
  const isWaiting = () => {
    const stat = readStat(pid);
    return stat?.name === name && stat.state === 'S';
  };
  await eventually(isWaiting, 5000, `${pid} is called ${name} and waits`);
}
