/** `corral run`: one command, contained, with the manners and exit statuses of coreutils' timeout(1). */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ProcessError } from '../errors.js';
import type { SpawnedChild } from '../process/child.js';
import { planSpawn } from '../process/options.js';
import { spawnPlanned } from '../process/spawn.js';
import type { Containment, Signal, SpawnOptions } from '../types.js';
import { type Act, durationArgument, explain, killAfterArgument, signalArgument, UsageError, warn } from './command.js';
import { EXIT_OWN_ERROR, signalStatus, statusOf, statusOfExecError } from './exit-code.js';
import { toJson, toJsonLine } from './format.js';
import { Job } from './job.js';
import { userName } from './users.js';

type Limits = NonNullable<SpawnOptions['rlimits']>;

interface RunOptions {
  timeout?: number;
  killAfter: number | false;
  signal: Signal;
  containment: Containment;
  onLeaderExit: 'stop' | 'wait' | 'leave';
  cwd?: string;
  env?: Record<string, string>;
  cleanEnv?: boolean;
  user?: string;
  rlimit?: Limits;
  newPrivs: boolean;
  label?: Record<string, string>;
  report?: string;
  json?: boolean;
}

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
const LIMITS = ['as', 'core', 'cpu', 'data', 'fsize', 'memlock', 'nofile', 'nproc', 'stack'] as const;

export function runCommand(act: Act): Command {
  return new Command('run')
    .summary('run a command; when it ends, nothing of it is left')
    .description(
      'Runs a command and ends its whole tree with it: background jobs, daemons that called setsid, members that ignore SIGTERM. ' +
        'The same happens at the timeout, at Ctrl-C, and when corral itself is killed. In a terminal the command has it as a job of ' +
        'the shell would, editors and shells included; otherwise, and beside others in a pipeline, it gets a session of its own.',
    )
    .usage('[options] -- command [args...]')
    .argument('<command>', 'program to run')
    .argument('[args...]', 'its arguments')
    .passThroughOptions()
    .option('--timeout <duration>', 'stop the tree after this time; 0 = never', durationArgument)
    .addOption(
      new Option('--kill-after <duration>', 'SIGKILL what is left so long after the first signal; never = wait')
        .argParser(killAfterArgument)
        .default(5000, '5s'),
    )
    .option('--signal <name>', 'first signal of a stop', signalArgument, 'SIGTERM')
    .addOption(
      new Option('--containment <level>', 'how far the tree reaches; cgroup: where one can be made')
        .choices(['group', 'tree', 'cgroup'])
        .default('tree'),
    )
    .addOption(
      new Option('--on-leader-exit <policy>', 'what becomes of the rest when the command itself ends')
        .choices(['stop', 'wait', 'leave'])
        .default('stop'),
    )
    .option('--cwd <dir>', 'working directory of the command')
    .option('--env <name=value>', 'set a variable (repeatable)', pairArgument)
    .option('--clean-env', 'start from an empty environment')
    .option('--user <user>', 'run as this user (name or uid), with the groups it has')
    .option('--rlimit <name=limit>', `resource limit, soft[:hard] (repeatable): ${LIMITS.join(', ')}`, limitArgument)
    .option('--no-new-privs', 'set-uid programs gain nothing')
    .option('--label <name=value>', 'label of the run (repeatable)', pairArgument)
    .option('--report <file>', 'write who was ended, and how, as JSON')
    .option('--json', 'print status and report as one JSON object on stderr')
    .addHelpText(
      'after',
      `
Exit status:
  the command's own; 128+n when signal n ended it; 124 when it timed out; 137 when it timed out and needed SIGKILL
  125 corral itself failed or was called wrongly; 126 the command can not be executed; 127 it was not found

Examples:
  corral run -- npm test                           nothing of it outlives it
  corral run --timeout 10m --kill-after 30s -- make -j8
  corral run --report end.json -- ./server         who was still there at the end
  corral run --clean-env --env PATH=/usr/bin --rlimit nofile=64 --rlimit core=0 -- ./untrusted`,
    )
    .action(act((command: string, args: string[], options: RunOptions) => run(command, args, options)));
}

async function run(command: string, args: string[], options: RunOptions): Promise<number> {
  // Opened before anything is started: a report that can not be written is an error while it costs nothing.
  const report = options.report === undefined ? undefined : openReport(options.report);
  const interrupt = new Interrupt();
  let job: Job | undefined;
  let status: number;
  try {
    const plan = planSpawn(command, args, { ...spawnOptions(options), signal: interrupt.beforeStart.signal });
    // At level `group` nobody but the owner would see the command stop, and only a session of its own can be ended as a whole.
    job = await Job.open(plan.containment !== 'group', () => interrupt.take('SIGHUP'));
    const child = await spawnPlanned(job.place(plan));
    job.started(child);
    interrupt.forwardTo(child, options);
    const leaderEnd = child.exited.then((leader) => {
      job?.ended(leader);
      return { leader, by: interrupt.by }; // what comes while the rest is being ended did not end the command
    });
    const { containment, containmentReason } = child;
    if (containmentReason !== null) warn(`run: containment "${containment}" is used: ${containmentReason}`);
    const [{ leader, by }, end] = await Promise.all([leaderEnd, child.empty]);
    // The timeout is that of the whole run: it may have come for those who outlived the command.
    const exit = { ...leader, timedOut: child.timedOut };
    report?.write(toJson(end));
    if (options.json) process.stderr.write(`${toJsonLine({ ...exit, containment, containmentReason, report: end })}\n`);
    if (end.survivors.length > 0 && options.onLeaderExit !== 'leave') {
      warn(`run: not everything could be ended: ${end.survivors.map((one) => `${one.pid} ${one.name} (${one.reason})`).join(', ')}`);
      status = EXIT_OWN_ERROR;
    } else {
      status = statusOf(exit, by);
    }
  } catch (error) {
    job?.ended();
    status = interrupt.by === undefined ? statusOfFailure(error) : signalStatus(interrupt.by);
  } finally {
    report?.discard();
  }
  return job === undefined ? status : job.leave(status, interrupt.by);
}

function statusOfFailure(error: unknown): number {
  warn(`run: ${explain(error)}`);
  return error instanceof ProcessError && error.stage === 'exec' ? statusOfExecError(error.code) : EXIT_OWN_ERROR;
}

function spawnOptions(options: RunOptions): SpawnOptions {
  return {
    stdin: 'inherit',
    stdout: 'inherit',
    stderr: 'inherit',
    timeout: options.timeout ?? 0,
    killSignal: options.signal,
    forceKillAfterDelay: options.killAfter,
    containment: options.containment,
    onLeaderExit: options.onLeaderExit,
    env: options.env ?? {},
    inheritEnv: options.cleanEnv !== true,
    rlimits: options.rlimit ?? {},
    noNewPrivileges: !options.newPrivs,
    labels: options.label ?? {},
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.user === undefined ? {} : { user: userArgument(options.user) }),
  };
}

/**
 * The signals somebody sends to corral mean the command. The first one begins a graceful stop of the whole tree with that very
 * signal; Ctrl-C (or Ctrl-\) once more kills now, and so does the first that comes when the command has ended and the rest is being ended
 * already: on a terminal the one before was the command's own. A closing terminal sends SIGHUP twice, so no other repetition counts.
 */
class Interrupt {
  /** The first signal that came. */
  by: NodeJS.Signals | undefined;
  readonly beforeStart = new AbortController();
  #stop: ((signal: NodeJS.Signals, again: boolean) => void) | undefined;
  #pass: ((signal: NodeJS.Signals) => void) | undefined;

  constructor() {
    // Never removed: one that comes while corral is about to exit must not change its status.
    for (const signal of FORWARDED) process.on(signal, () => this.take(signal));
    // These two are words for the command and no wish to end it; unheard, the first would start a debugger here.
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => this.#pass?.(signal));
  }

  take(signal: NodeJS.Signals): void {
    const again = this.by !== undefined;
    this.by ??= signal;
    if (this.#stop === undefined) this.beforeStart.abort(new Error(`${signal} came before the command was started`));
    else this.#stop(signal, again);
  }

  forwardTo(child: SpawnedChild, { killAfter, onLeaderExit }: RunOptions): void {
    this.#pass = (signal) => {
      try {
        child.kill(signal);
      } catch {
        // Another user's by now (sudo): not for us to signal.
      }
    };
    this.#stop = (signal, again) => {
      const isKey = signal === 'SIGINT' || signal === 'SIGQUIT';
      if (again && !isKey) return;
      const hasEnded = child.exitCode !== null || child.signalCode !== null;
      const now = again || (isKey && hasEnded && (onLeaderExit === 'stop' || child.timedOut));
      const options = now
        ? { killSignal: 'SIGKILL' as const, forceKillAfterDelay: 0 }
        : { killSignal: signal, forceKillAfterDelay: killAfter };
      // Survivors reach us through child.empty.
      child.stop(options).catch(() => {});
    };
  }
}

/** A file that is complete or absent: written beside its name and moved there at the end. */
function openReport(path: string): { write(text: string): void; discard(): void } {
  const temporary = `${path}.${process.pid}.tmp`;
  let fd: number | undefined;
  try {
    fd = openSync(temporary, 'wx', 0o666);
  } catch (error) {
    throw new UsageError(
      `run: --report: expected a file that can be written, received ${JSON.stringify(path)}: ${(error as Error).message}`,
    );
  }
  const close = () => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  return {
    write(text) {
      if (fd === undefined) return;
      writeSync(fd, `${text}\n`);
      fsyncSync(fd);
      close();
      renameSync(temporary, path);
    },
    discard() {
      close();
      rmSync(temporary, { force: true });
    },
  };
}

/** By name, since only that brings the groups: a bare uid would keep those of root. */
function userArgument(text: string): string {
  const name = /^\d+$/.test(text) ? userName(Number(text)) : text;
  if (/^\d+$/.test(name))
    throw new UsageError(`run: --user: expected the name or uid of a user that exists, received ${JSON.stringify(text)}`);
  return name;
}

function pairArgument(text: string, before: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError(`Expected NAME=VALUE, received ${JSON.stringify(text)}.`);
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
}

function limitArgument(text: string, before: Limits = {}): Limits {
  const match = /^([a-z]+)=(\d+|unlimited)(?::(\d+|unlimited))?$/.exec(text);
  const name = LIMITS.find((limit) => limit === match?.[1]);
  if (match === null || name === undefined) {
    throw new InvalidArgumentError(
      `Expected NAME=SOFT or NAME=SOFT:HARD with NAME one of ${LIMITS.join(', ')}, received ${JSON.stringify(text)}.`,
    );
  }
  const number = (part: string) => (part === 'unlimited' ? Number.POSITIVE_INFINITY : Number(part));
  const soft = number(match[2] as string);
  return { ...before, [name]: match[3] === undefined ? soft : { soft, hard: number(match[3]) } };
}
