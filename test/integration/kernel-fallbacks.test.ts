/**
 * Every operation on every kind of kernel: it keeps its promise, or it fails with a clear error before anything was started or signalled.
 *
 * Each cell is a program of its own (fallback-operations.mjs, or the command line) under the restrictions of restrict.c; who is left is
 * counted from outside, by the name of the one program the trees are made of.
 */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { build } from '../fixtures/c/build.js';
import { corralCommand, runFile } from '../helpers/command.js';
import { requireRoot } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { eagerProject, startOrphan } from '../helpers/leftovers.js';
import { allProcesses, isAlive, signalIfAlive } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const built = build('restrict', 'artist', 'storm.so');
const fixture = fileURLToPath(new URL('../fixtures/fallback-operations.mjs', import.meta.url));

// ---- the kernels --------------------------------------------------------------------------------------------------------

/** PIDFD_SIGNAL_PROCESS_GROUP is the only flag in use; before 6.9 every flag is refused. */
const NO_GROUP_SIGNAL = 'deny=pidfd_send_signal:EINVAL:3&0xffffffff';
/** PIDFD_GET_INFO. */
const NO_EXIT_INFO = 'deny=ioctl:ENOTTY:1=0xc040ff0b';
const NO_MFD_EXEC = 'deny=memfd_create:EINVAL:1&0x10';
/** CLONE_PIDFD. */
const NO_CLONE_PIDFD = 'deny=clone:EINVAL:0&0x1000';
const missing = (...calls: string[]) => calls.map((call) => `deny=${call}:ENOSYS`);
const BEFORE_6_3 = [NO_GROUP_SIGNAL, NO_EXIT_INFO, NO_MFD_EXEC];
const BEFORE_5_9 = [...BEFORE_6_3, ...missing('epoll_pwait2', 'close_range', 'faccessat2')];
/** P_PIDFD of waitid is from 5.4. */
const LIKE_5_3 = [...BEFORE_5_9, ...missing('openat2', 'pidfd_getfd', 'clone3'), 'deny=waitid:EINVAL:0=3'];
const NO_PIDFD = [...missing('pidfd_open', 'pidfd_send_signal'), NO_CLONE_PIDFD];

/** Before 6.15 the status of a stranger is only known as long as its zombie is there. */
const STATUS_MAY_BE_LOST = { attach: { end: { exitCode: null } } };

interface Refusal {
  code: string;
  message: RegExp;
  stage?: string;
}

interface Kernel {
  rules?: string[];
  /** Default: all. */
  operations?: readonly Operation[];
  /** Makes the surroundings; gets the rest of the command line. May skip. */
  inside?: (context: TestContext, command: string[]) => string[];
  /** Signals for every program that is involved, over and over until the operation is done. */
  storm?: readonly NodeJS.Signals[];
  /** Operations that fail, and how; none of them may have started or signalled anything. */
  refused?: Partial<Record<Operation, Refusal>>;
  /** What is told otherwise than elsewhere. */
  outcome?: Partial<Record<Operation, object>>;
  /** What `corral doctor` finds other than on this kernel, and its exit status. */
  doctor?: { status: 0 | 1; findings: Record<string, string> };
}

const OPERATIONS = [
  ...(['stop', 'kill', 'timeout', 'leader', 'members', 'run', 'owner', 'group-stop', 'group-timeout', 'group-leader'] as const),
  ...(['killTree', 'attach', 'list'] as const),
];
type Operation = (typeof OPERATIONS)[number];

const each = (operations: readonly Operation[], refusal: Refusal) => Object.fromEntries(operations.map((name) => [name, refusal]));
const KEPT: readonly Operation[] = ['stop', 'kill', 'timeout', 'leader', 'members', 'run', 'owner'];
const GROUP: readonly Operation[] = ['group-stop', 'group-timeout', 'group-leader'];
const BY_NUMBER: readonly Operation[] = ['killTree', 'attach'];
/** For a kernel that is like another one in most respects. */
const FEW: readonly Operation[] = ['stop', 'leader', 'owner', 'group-stop', 'killTree', 'attach'];

const unsupported = { code: 'ERR_UNSUPPORTED_PLATFORM', message: /pidfd_open\(2\).* need Linux 5\.3 or newer \(this is \d.*seccomp/ };
const withoutPidfd = each([...KEPT, ...GROUP, ...BY_NUMBER], unsupported);
const foreignProc = { code: 'EXDEV', message: /\/proc is not mounted, or it is that of another pid namespace/ };
const keeperRefused = { code: 'EACCES', stage: 'keeper', message: /keeper step before "sh" failed: EACCES/ };

const asRoot = (why: string, script: string) => (context: TestContext, command: string[]) => {
  requireRoot(context, why);
  return ['unshare', '--mount', 'sh', '-c', `${script} && exec "$@"`, 'sh', ...command];
};

const kernels: Record<string, Kernel> = {
  'the one there is': { doctor: { status: 0, findings: {} } },
  'no clone3': { rules: missing('clone3'), operations: FEW },
  'clone3 refused by an old filter': {
    rules: ['deny=clone3:ENOSYS', 'deny=close_range:EPERM', 'deny=faccessat2:EPERM'],
    operations: FEW,
  },
  'no close_range': { rules: missing('close_range'), operations: FEW, doctor: { status: 0, findings: { close_range: 'limited' } } },
  'clone refuses CLONE_PIDFD only': { rules: [NO_CLONE_PIDFD], operations: FEW },
  'like 6.8': {
    rules: [NO_GROUP_SIGNAL, NO_EXIT_INFO],
    outcome: STATUS_MAY_BE_LOST,
    doctor: { status: 0, findings: { 'group signal by pidfd': 'limited', 'exit status by pidfd': 'limited' } },
  },
  'like 5.10': { rules: [...BEFORE_6_3, ...missing('epoll_pwait2')], operations: FEW, outcome: STATUS_MAY_BE_LOST },
  'like 5.4': { rules: BEFORE_5_9, operations: FEW, outcome: STATUS_MAY_BE_LOST },
  'like 5.3': {
    rules: LIKE_5_3,
    outcome: STATUS_MAY_BE_LOST,
    doctor: { status: 0, findings: { 'group signal by pidfd': 'limited', 'exit status by pidfd': 'limited', close_range: 'limited' } },
  },
  'like 5.2: no pidfd_open': {
    rules: [...LIKE_5_3, ...missing('pidfd_open')],
    refused: withoutPidfd,
    doctor: { status: 1, findings: { pidfd: 'missing' } },
  },
  'like 4.18: no pidfd at all': {
    rules: [...LIKE_5_3, ...NO_PIDFD],
    refused: withoutPidfd,
    doctor: { status: 1, findings: { pidfd: 'missing' } },
  },
  'pidfd refused by a filter': {
    rules: ['deny=pidfd_open:EPERM', 'deny=pidfd_send_signal:EPERM'],
    refused: withoutPidfd,
    doctor: { status: 1, findings: { pidfd: 'missing' } },
  },
  'like gVisor: no pidfd, no list of children': {
    rules: [...NO_PIDFD, ...missing('close_range', 'clone3', 'epoll_pwait2', 'openat2'), 'deny=faccessat:ENOENT'],
    refused: withoutPidfd,
    doctor: { status: 1, findings: { pidfd: 'missing' } },
  },
  'no list of children': { rules: ['deny=faccessat:ENOENT'] },
  'no list of children, like 6.8': { rules: ['deny=faccessat:ENOENT', NO_GROUP_SIGNAL], operations: FEW },
  'no memfd': { rules: missing('memfd_create'), operations: FEW, doctor: { status: 0, findings: { keeper: 'ok' } } },
  'memfd forbidden': { rules: ['deny=memfd_create:EACCES'], operations: FEW, doctor: { status: 0, findings: { keeper: 'ok' } } },
  'vm.memfd_noexec=2': {
    operations: FEW,
    inside: (context, command) => {
      requireRoot(context, 'sets a sysctl of a pid namespace of its own');
      if (!existsSync('/proc/sys/vm/memfd_noexec')) context.skip('needs Linux 6.3: vm.memfd_noexec');
      const script = 'echo 2 > /proc/sys/vm/memfd_noexec && "$@"; exit $?';
      return ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c', script, 'sh', ...command];
    },
  },
  'a signal for every thread, every millisecond': {
    inside: (_, command) => ['env', `LD_PRELOAD=${built.program('storm.so')}`, ...command],
  },
  // Stopping and continuing interrupts calls of the threads and of the keeper too, which block all signals (signal(7)).
  'stopped and continued all the time': {
    storm: ['SIGSTOP', 'SIGCONT'],
    operations: [...FEW, 'timeout', 'group-timeout', 'run', 'list'],
  },
  'no program may be run from a descriptor': {
    rules: ['deny=execveat:EACCES'],
    operations: [...KEPT, 'group-stop'],
    refused: each(KEPT, keeperRefused),
  },
  'no subreaper': {
    operations: [...KEPT, 'group-stop'],
    rules: ['deny=prctl:EINVAL:0=36', 'deny=prctl:EINVAL:0=37'], // PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER
    refused: each(KEPT, { code: 'EINVAL', stage: 'keeper', message: /keeper step before "sh" failed: EINVAL/ }),
    doctor: { status: 1, findings: { subreaper: 'missing' } },
  },
  'hidepid=2, as an ordinary user': {
    inside: (context, command) => {
      requireRoot(context, 'mounts /proc, then becomes an ordinary user');
      // Whoever may not enter the checkout can not run it.
      const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
      const readable = spawnSync(user[0]!, [...user.slice(1), process.execPath, '--check', fixture]).status === 0;
      if (!readable) context.skip('the ordinary user can not read this checkout');
      return asRoot('', 'mount -t proc -o hidepid=2 proc /proc')(context, [...user, ...command]);
    },
    doctor: { status: 0, findings: { hidepid: 'limited' } },
  },
  '/proc not mounted': {
    inside: asRoot('mounts something else at /proc', 'mount -t tmpfs none /proc'),
    refused: each(['members', ...GROUP, ...BY_NUMBER, 'list'], foreignProc),
    doctor: { status: 1, findings: { '/proc': 'missing' } },
  },
  '/proc of another pid namespace': {
    inside: (context, command) => {
      requireRoot(context, 'makes a pid namespace without a /proc of its own');
      return ['unshare', '--pid', '--fork', '--kill-child', 'sh', '-c', '"$@"; exit $?', 'sh', ...command];
    },
    refused: each(['members', ...GROUP, ...BY_NUMBER, 'list'], foreignProc),
    doctor: { status: 1, findings: { '/proc': 'missing' } },
  },
};

// ---- the operations -----------------------------------------------------------------------------------------------------

/** What the trees are made of, alive or stopped. */
const artists = () => allProcesses().filter(({ name, state }) => name === 'artist' && state !== 'Z' && state !== 'X');

interface Cell {
  outcome: Record<string, unknown> & { error?: { name: string; code: string; message: string; stage?: string; stack?: string } };
  hasStarted: boolean;
  /** Lets the program end, and what it knows of with it. */
  finish(): Promise<void>;
  child: ReturnType<typeof spawn>;
}

/** Programs where every user finds them. */
function publicPrograms() {
  const directory = tempDirectory();
  spawnSync('chmod', ['0777', directory]);
  const artist = path.join(directory, 'artist');
  copyFileSync(built.program('artist'), artist);
  return { artist, marker: path.join(directory, 'marker') };
}

function commandLine(context: TestContext, { rules = [], inside = (_, command) => command }: Kernel, command: string[]): string[] {
  const restricted = rules.length === 0 ? command : [built.program('restrict'), ...rules, '--', ...command];
  return inside(context, restricted);
}

async function perform(context: TestContext, kernel: Kernel, operation: Operation): Promise<Cell> {
  const { artist, marker } = publicPrograms();
  const [file, ...args] = commandLine(context, kernel, [process.execPath, fixture, operation, artist, marker]) as [string, ...string[]];
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = new Promise((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    for (const { pid, startTicks } of artists()) signalIfAlive(pid, 'SIGKILL', startTicks);
    await closed;
  });
  const stopStorm = beginStorm(kernel.storm ?? [], child.pid as number);
  for await (const line of createInterface({ input: child.stdout })) {
    stopStorm();
    const finish = async () => {
      child.stdin.end();
      await closed;
      await eventually(() => artists().length === 0, 10_000);
    };
    return { outcome: JSON.parse(line), hasStarted: existsSync(marker), finish, child };
  }
  throw new Error(`${operation} said nothing: ${stderr}`);
}

/** For the program itself and its keeper, whoever that is by now. Ends with the test at the latest. */
function beginStorm(signals: readonly NodeJS.Signals[], pid: number): () => void {
  if (signals.length === 0) return () => {};
  const timer = setInterval(() => {
    for (const stat of allProcesses().filter(({ pid: of, name }) => of === pid || name === 'corral-keeper')) {
      for (const signal of signals) signalIfAlive(stat.pid, signal, stat.startTicks);
    }
  }, 3);
  const stop = () => clearInterval(timer);
  onTestFinished(stop);
  return stop;
}

const nobody = { survivors: [] };
const expectations: Record<Operation, object> = {
  stop: { ...nobody, proof: 'echild' },
  kill: { ...nobody, proof: 'echild' },
  timeout: { ...nobody, proof: 'echild' },
  leader: { ...nobody, proof: 'echild', exit: { exitCode: 3 } },
  members: { members: 6 },
  run: { ...nobody, stdout: 'out', proof: 'echild' },
  owner: {},
  'group-stop': { ...nobody, proof: 'scan' },
  'group-timeout': { ...nobody, proof: 'scan' },
  'group-leader': { ...nobody, proof: 'scan' },
  killTree: { ...nobody, proof: 'scan' },
  attach: { wasAlive: true, end: { exitCode: null, signal: 'SIGKILL' } },
  list: { self: true, child: 'artist' },
};

/** Who is left of a tree of five that child_process started: everybody, or all but the leader that attach killed. */
const LEFT: Partial<Record<Operation, number>> = { killTree: 0, attach: 4, list: 5 };
const FOREIGN = 5;

describe.each(Object.entries(kernels))('%s', (_name, kernel) => {
  const { refused = {}, operations = OPERATIONS, doctor } = kernel;

  it.for(operations.map((operation) => [operation, refused[operation] === undefined ? 'keeps its promise' : 'is refused'] as const))(
    '%s %s',
    async ([operation], context) => {
      const { outcome, hasStarted, finish, child } = await perform(context, kernel, operation);
      const refusal = refused[operation];
      if (refusal === undefined) {
        expect(outcome).toMatchObject({ ...expectations[operation], ...kernel.outcome?.[operation] });
        if (operation === 'owner') {
          expect(artists()).toHaveLength(6);
          // The program itself, which may be below a shell here. Its first thread has a name of its own from Node 24 on, another from 26 on.
          for (const { pid } of allProcesses().filter(
            ({ name, ppid }) => /^(node|MainThread|node-MainThread)$/.test(name) && ppid !== process.ppid,
          )) {
            if (pid !== process.pid && isBelow(pid, child.pid ?? 0)) signalIfAlive(pid);
          }
          await eventually(() => artists().length === 0, 10_000);
          return;
        }
        expect(artists()).toHaveLength(LEFT[operation] ?? 0);
      } else {
        const { message, ...rest } = refusal;
        const error = { name: operation === 'run' ? 'RunError' : 'ProcessError', message: expect.stringMatching(message), ...rest };
        // run() leaves to others what is no failure of its command.
        if (refusal.code === 'ERR_UNSUPPORTED_PLATFORM') error.name = 'ProcessError';
        expect(outcome).toMatchObject({ error });
        const isForeign = LEFT[operation] !== undefined;
        expect(hasStarted).toBe(isForeign || (operation === 'members' && refused.stop === undefined));
        expect(artists()).toHaveLength(isForeign ? FOREIGN : 0);
        // One of them stops itself. Nobody else was stopped.
        await eventually(() => artists().filter(({ state }) => state === 'T').length === (isForeign ? 1 : 0));
      }
      await finish();
    },
  );

  it('doctor says so', async (context) => {
    const [file, ...args] = commandLine(context, kernel, [...corralCommand(), 'doctor', '--json']) as [string, ...string[]];
    const { stdout, code } = await runFile(file, args);
    const findings = Object.fromEntries(
      (JSON.parse(stdout).findings as { subject: string; state: string }[]).map(({ subject, state }) => [subject, state]),
    );
    expect(code).toBe(doctor?.status ?? 0);
    expect(findings).toMatchObject(doctor?.findings ?? {});
    if (doctor?.status !== 1) expect(Object.values(findings)).not.toContain('missing');
  });
});

function isBelow(pid: number, ancestor: number): boolean {
  const parents = new Map(allProcesses().map((stat) => [stat.pid, stat.ppid]));
  for (let at: number | undefined = pid; at !== undefined; at = parents.get(at)) if (at === ancestor) return true;
  return false;
}

// Seldom enough to be asked of the kernels that differ.
describe.each(['the one there is', 'like 6.8', 'like 5.3', 'like 4.18: no pidfd at all', 'no memfd'])('%s: a sweep', (name) => {
  const kernel = kernels[name] as Kernel;

  it('looks, and ends the leftover or says why not', async (context) => {
    const project = eagerProject();
    const pid = await startOrphan('rg');
    const corral = (...args: string[]) => {
      const [file, ...rest] = commandLine(context, kernel, [...corralCommand(), ...args]) as [string, ...string[]];
      return runFile(file, rest, { env: project.env, cwd: project.directory });
    };
    const dry = await corral('sweep', '--dry-run');
    expect(dry).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(new RegExp(`\\b${pid}\\b.*would end`)) });
    const real = await corral('sweep');
    if (kernel.refused?.killTree === undefined) {
      expect(real).toMatchObject({ code: 0, stderr: '' });
      expect(isAlive(pid)).toBe(false);
    } else {
      expect(real.code).not.toBe(0);
      expect(real.stderr).toMatch(/need Linux 5\.3/);
      expect(isAlive(pid)).toBe(true);
    }
  });
});
