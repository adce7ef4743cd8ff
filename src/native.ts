/**
 * The only importer of the addon: its typed contract and the error that says how to repair a failed load.
 *
 * Everything here is mechanism. Calls never throw for what the kernel says: they return 0 or a negative
 * errno, or answer later with an event that carries the id of the request (`newId`, `closeId`). The event loop
 * is kept alive only between `ref` and `unref`.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
// @ts-expect-error: it comes without types
import loadFitting from 'node-gyp-build';
import { ProcessError } from './errors.js';

/** Values of `SpawnRequest.stdio` besides a descriptor number. */
export const STDIO_PIPE = -1;
export const STDIO_IGNORE = -2;
export const CONTAIN_GROUP = 0;
export const CONTAIN_TREE = 1;
/** CONTAIN_TREE, in a cgroup of its own if one can be made; `started` says so. */
export const CONTAIN_CGROUP = 2;
/** Values of `SpawnRequest.terminal`. */
export const TERMINAL_BACKGROUND = 1;
export const TERMINAL_FOREGROUND = 2;
export const POLICY_STOP = 0;
export const POLICY_WAIT = 1;
export const POLICY_LEAVE = 2;
/** `graceMs` for "never SIGKILL". */
export const NEVER = -1;
export const SCOPE_PROCESS = 0;
export const SCOPE_GROUP = 1;

/** Bits of `ScanRequest.fields`; pid and startTicks always come. What needs only /proc/PID/stat is FIELD_STAT. */
export const FIELD_STAT = 1;
export const FIELD_ARGS = 2;
export const FIELD_UID = 4;
export const FIELD_CWD = 8;
export const FIELD_EXE = 16;
export const FIELD_ENV = 32;
export const FIELD_CGROUP = 64;

export interface ChildSettings {
  uid?: number;
  gid?: number;
  groups?: number[];
  umask?: number;
  noNewPrivs?: boolean;
  nice?: number;
  oomScoreAdj?: number;
  /** Triples: resource number (RLIMIT_*), soft, hard; Infinity = unlimited. */
  limits?: number[];
}

export interface SpawnRequest {
  containment: number;
  /** CONTAIN_CGROUP: the name of the cgroup; else ''. */
  leaf: string;
  /**
   * Containment `tree`, with our controlling terminal as stdin: the leader stays in our session, in a process group of its own, which
   * becomes the terminal's foreground group (TERMINAL_FOREGROUND) or not yet (TERMINAL_BACKGROUND). Absent: a session of its own.
   */
  terminal?: number | undefined;
  file: string;
  /** argv (argv[0] included), each ended by NUL, and how many. */
  argv: string;
  argc: number;
  /** KEY=VALUE, each ended by NUL. */
  env: string;
  /**
   * `env` is laid over `environ` as it is at the call (copied by the addon, bytes unchanged): an entry replaces the one of the same
   * name, an entry without "=" deletes it. False: `env` is everything.
   */
  inheritEnv: boolean;
  /** Value of CORRAL_TREE; the trees around it, as `environ` had them when the addon was loaded, go into CORRAL_TREE_PARENTS. */
  treeId: string;
  /** '' = unchanged. */
  cwd: string;
  stdin: number;
  stdout: number;
  stderr: number;
  killSignal: number;
  graceMs: number;
  /** 0 = none. */
  timeoutMs: number;
  onLeaderExit: number;
  onOwnerExit: number;
  settings?: ChildSettings | undefined;
  /** The soft limit RLIMIT_RTTIME that marks the tree (tree/mark.ts). Absent: the tree may be left, or none can be set here. */
  mark?: number | undefined;
}

export interface Member {
  pid: number;
  startTicks: bigint;
  name: string;
  /** Terminated: signal number, 0 = exited by itself, -1 = not seen. Survivor: 0 unknown, 1 EPERM, 2 D state, 3 not forced. */
  detail: number;
}

/** Flags of exited and empty. */
export const END_TIMED_OUT = 1;
export const END_FORCED = 2;
export const END_LEFT = 4;
/** Of exited, containment `group`: nobody else is in the leader's group and session, proven. Not set: not known. */
export const END_ALONE = 8;
/** Of empty: there is nobody in the cgroup of the tree either, and it was removed. */
export const END_CGROUP = 16;

/** What became of the cgroup of a tree. */
export interface LeafReport {
  /** LEAF_* bits; 0 = there is none. */
  flags: number;
  /** What failed: enum LeafStage of native/sys/cgroup_parse.h, and a negative errno. */
  stage: number;
  errno: number;
  /** Where it is, or was tried; '' = there is no such place. */
  directory: string;
}

/** Bits of LeafReport.flags. */
/** The leader was born in it (CLONE_INTO_CGROUP, Linux 5.7); otherwise it moved before exec. */
export const LEAF_CLONED = 2;
/** It has cgroup.kill (Linux 5.14) and cgroup.freeze (5.2). */
export const LEAF_KILL = 4;
export const LEAF_FREEZE = 8;

export type NativeEvent =
  /** exec succeeded. Our ends of the pipes, or -1. keeperPid is 0 for containment `group`. */
  | {
      id: number;
      type: 'started';
      pid: number;
      startTicks: bigint;
      keeperPid: number;
      /** Containment `cgroup` only. */
      leaf?: LeafReport;
      hasPipes: boolean;
      stdin: number;
      stdout: number;
      stderr: number;
    }
  /** Nothing was left behind. `stage` indexes SPAWN_STAGES of errors.ts, `errno` is negative. Last event of the id. */
  | { id: number; type: 'failed'; stage: number; errno: number; leaf?: LeafReport }
  /** The leader ended and was reaped; `status` as wait(2). */
  /** `elapsedUs`: from the hand-over of the request until the exit was seen, on the monotonic clock of the watch thread. */
  /** `atTicks`, also of `lost`: when the leader was not reaped yet, on the clock of start times; 0n = not known. */
  | {
      id: number;
      type: 'exited';
      status: number;
      flags: number;
      elapsedUs: number;
      atTicks: bigint;
      userUs: number;
      systemUs: number;
      maxRssBytes: number;
    }
  | { id: number; type: 'terminated'; members: Member[] }
  /** SIGKILL (or, with NEVER, killSignal) did not end these. In batches; an empty one ends the list. */
  | { id: number; type: 'survivors'; members: Member[] }
  /** Containment `tree`: no member is left (ECHILD). Last event of the id. */
  | { id: number; type: 'empty'; flags: number; durationUs: number }
  /** With `terminal`: the leader was stopped (SIGTSTP, SIGTTIN, SIGTTOU or SIGSTOP). */
  | { id: number; type: 'stopped'; signal: number }
  /** With `terminal`: it is gone, its other end was closed. */
  | { id: number; type: 'hungUp' }
  /** The keeper died before it said `empty`: the tree is not held any more. Last event of the id. */
  | { id: number; type: 'lost'; status: number; atTicks: bigint }
  /** A process opened with `open` is dead. `status` as wait(2) where the kernel tells (>= 6.15), else null. */
  | { id: number; type: 'gone'; status: number | null }
  | { id: number; type: 'scanned'; table: ScanColumns }
  | { id: number; type: 'scanFailed'; errno: number; syscall: string };

export interface ScanRequest {
  id: number;
  /** FIELD_* bits. */
  fields: number;
  /** Only these (unknown ones are skipped); otherwise every process. */
  pids?: Int32Array | undefined;
  /** Only members of this process group, and of this session when both are given (cheap: no file is opened for the others). 0 = no restriction. */
  pgid?: number;
  sid?: number;
}

/**
 * One row per process, in ascending order of pid. Columns that were not asked for are absent.
 * `text` holds UTF-8 (invalid bytes as they are); row i of a string column is text[offsets[i]..offsets[i+1]].
 */
export interface ScanColumns {
  count: number;
  /** CLOCK_BOOTTIME at the start of the scan, in clock ticks (1/100 s), and wall clock at the same time in ms. */
  nowTicks: bigint;
  nowMs: number;
  text: Uint8Array;
  pid: Int32Array;
  /** 2^64 - 1 where `unread` has FIELD_STAT: there is a process, but we may not look at it (hidepid). */
  startTicks: BigUint64Array;
  /** FIELD_STAT: */
  ppid?: Int32Array;
  pgid?: Int32Array;
  sid?: Int32Array;
  tty?: Int32Array;
  /** ASCII code of the state letter. */
  state?: Uint8Array;
  /** utime + stime, and the same of reaped children, in ticks. */
  cpuTicks?: Float64Array;
  childCpuTicks?: Float64Array;
  rssPages?: Float64Array;
  threads?: Int32Array;
  /** PF_* of the kernel; 0x00200000 = kernel thread. */
  flags?: Uint32Array;
  name?: Uint32Array;
  uid?: Uint32Array;
  /** Arguments, each ended by NUL (as /proc/PID/cmdline). */
  args?: Uint32Array;
  cwd?: Uint32Array;
  exe?: Uint32Array;
  env?: Uint32Array;
  cgroup?: Uint32Array;
  /** One byte per row: FIELD_* bits whose file could not be read (EACCES, ESRCH), or not to its end: unknown, not empty. */
  unread?: Uint8Array;
}

export interface KernelReport {
  release: string;
  bootId: string;
  clockTicksPerSecond: number;
  pageSize: number;
  pidfd: boolean;
  /** PIDFD_SIGNAL_PROCESS_GROUP, 6.9. */
  pidfdGroupSignal: boolean;
  procChildren: boolean;
  closeRange: boolean;
  subreaper: boolean;
}

/** What can only be tried. */
export interface KernelTrial {
  /** PIDFD_GET_INFO with exit status, 6.15. */
  pidfdExitInfo: boolean;
  /** How the keeper is executed: 'memfd', 'file', or '' when it can not be; then `keeperErrno` (negative) says why. */
  keeper: 'memfd' | 'file' | '';
  keeperErrno: number;
}

export interface NativeAddon {
  /** Sets the receiver of this environment's events; called in batches, in order of occurrence per id. Once. */
  listen(receive: (events: NativeEvent[]) => void): void;
  /** While the count is above zero the environment's event loop is kept alive. */
  ref(): void;
  unref(): void;

  /**
   * Queues a spawn; answers `started` or `failed`. Counts as one `ref`. Blocks for the hand-over only. Use `requestSpawn()` below, which
   * packs the request.
   */
  spawn(numbers: Float64Array, text: string, settings: ChildSettings | undefined): void;
  /**
   * Begins the ladder (signal + SIGCONT, grace, SIGKILL) on a spawned id, or shortens a running one. Enforced outside the
   * event loop. Signal 0, containment `group` only: nothing is sent before SIGKILL, since the
   * caller sends signals of its own. Containment `group`: reaches the leader's process group only; who else is in the session is the caller's.
   */
  stop(id: number, signal: number, graceMs: number): void;
  /** SIGKILL to all members (group: to the process group) at once. */
  kill(id: number): void;

  /**
   * Takes a pidfd of a running process, verified against startTicks (0n = whatever runs under that pid now), and reports
   * `gone` when it dies. Returns its startTicks, or -ESRCH (gone, or only a zombie is left), -ESTALE (the pid was recycled),
   * -EINVAL (a thread id), -EMFILE...
   */
  open(id: number, pid: number, startTicks: bigint): bigint | number;
  /** Takes our ends of a started child's pipes, -1 for none: the caller owns them from here on. `dispatch` does it for the receiver. */
  pipes(id: number): [stdin: number, stdout: number, stderr: number];
  /** They belong to streams now, which close them with the environment; until this is said the addon does, should it end. */
  pipesTaken(id: number): void;

  /** Signals the process (or its process group) behind a started or opened id through its pidfd. 0 or -errno. Signal 0 probes. */
  signal(id: number, signal: number, scope: number): number;
  /** Drops the id: no further event, descriptors closed. A spawned id that still runs is left to its policy (onOwnerExit); a
   * ladder of containment `group` goes on, unless `isEmpty` says that nobody of it is alive any more. */
  close(id: number, isEmpty: boolean): void;

  /** Removes the cgroup of a tree that its keeper did not remove, if nobody is in there. Only queues, and never fails. */
  removeLeaf(directory: string, name: string): void;

  /** Reads /proc on a thread of its own; answers `scanned` or `scanFailed`. */
  scan(request: ScanRequest): void;
  /** Start time of a pid in ticks, now; -ESRCH when there is none. */
  startTicks(pid: number): bigint | number;
  /**
   * Our process group, session, parent, its parent and so on, as far as /proc shows them; or a negative errno, -EXDEV: this is the /proc
   * of another pid namespace.
   */
  lineage(): number[] | number;

  /**
   * Children of the first thread (adopted ones, and what it has forked itself) that have ended and are not reaped; `detail` is the
   * status as wait(2). Only on that thread: -EPERM elsewhere; -EINVAL before Linux 4.7.
   */
  endedChildren(): Member[] | number;
  /** Reaps one of them. 0, or -ECHILD when somebody else has. */
  reapAdopted(pid: number): number;
  /** prctl(2) PR_SET_CHILD_SUBREAPER. What it was before (0, 1), or -errno. */
  setSubreaper(on: boolean): number;

  /** Capability probe; use `kernel()` below, which keeps the answer. */
  kernel(): KernelReport;
  /** Starts a process and makes an image of the keeper, which takes as long as a spawn each: for `corral doctor`. */
  tryKernel(): KernelTrial;
  /**
   * Local time to the second, without zone, of whole seconds since the epoch: 2026-02-03T04:05:06; '' outside of the years 0 to 9999. As the
   * C library has it: UTC where the files of a named zone are missing. Not there in a binary that is older.
   */
  localTime?(seconds: number): string;
  /**
   * The first `size` bytes of a file as memory, which is not copied (mmap(2)): whoever writes to it ends the process, and so does reading it
   * once the file has been cut shorter. undefined: it can not be had that way. For the launcher (corral.cts).
   */
  mapFile(fd: number, size: number): Buffer | undefined;
  /** A variable as `environ` has it; null = unset. Tells whether this environment's process.env writes through to `environ`. */
  getenv(name: string): string | null;
  /** uid, gid and all groups of a user name from the name service; null = unknown. */
  lookupUser(name: string): { uid: number; gid: number; groups: number[] } | null;
  lookupGroup(name: string): number | null;

  /** Foreground process group of the terminal behind `fd`; negative errno: ENOTTY (no terminal, or not our controlling one), EIO (hung up). */
  terminalGroup(fd: number): number;
  /** Makes another group of our session the foreground one, also when we are in the background ourselves. 0 or -errno. */
  setTerminalGroup(fd: number, pgid: number): number;
  /** Modes of a terminal, to be put back later (termios(3)); null when it has none or hung up. */
  terminalModes(fd: number): Uint8Array | null;
  setTerminalModes(fd: number, modes: Uint8Array): number;
  /**
   * Stops this process (its whole process group) by a stop signal, whatever listens to it. Returns when it was continued, or at once
   * where nobody could continue it and the kernel discards the signal (orphaned process group, setpgid(2)). 0 or -errno.
   */
  suspend(signal: number, wholeGroup: boolean): number;
  /**
   * Ends this process at once: by `signal` (0 = none; `wholeGroup`: the others of the process group get it too), else with `status`.
   * Nothing runs before it, above all not what Node does to the terminal on its way out.
   */
  leave(status: number, signal: number, wholeGroup: boolean): never;

  /**
   * Arms a thread that, at the deadline, writes `fallback` to the descriptor and ends the process with `exitCode`,
   * whatever JavaScript is doing. Calling again replaces deadline and text. `disarm` returns false when it is too late.
   */
  watchdogArm(deadlineMs: number, fd: number, fallback: string, exitCode: number): void;
  watchdogDisarm(): boolean;
}

let addon: NativeAddon | undefined;
let lastId = 0;
const NO_PIPES = [-1, -1, -1] as const;

/** How the events of the addon come in. */
export const receive = Symbol('receive');
export interface Receiver {
  [receive](event: NativeEvent): void;
}
const receivers = new Map<number, Receiver>();

let report: KernelReport | undefined;

/** What this kernel offers; asked once, and again when it was asked without a descriptor free. */
export function kernel(): KernelReport {
  if (report !== undefined) return report;
  const answer = native().kernel();
  if (answer.bootId !== '') report = answer;
  return answer;
}

/**
 * Where a process can not be held nothing is started and nothing signalled: a number alone may be another's at any moment.
 * @throws ProcessError ERR_UNSUPPORTED_PLATFORM
 */
export function requirePidfd(): void {
  const { pidfd, release } = kernel();
  if (pidfd) return;
  throw new ProcessError(
    'ERR_UNSUPPORTED_PLATFORM',
    `processes can not be held: pidfd_open(2) and pidfd_send_signal(2) need Linux 5.3 or newer (this is ${release}) and a seccomp filter that allows them`,
  );
}

/** Takes an id for spawn, open or scan, unique in this environment, and names who receives its events. */
export function newId(receiver: Receiver): number {
  do lastId = lastId >= 0x7fffffff ? 1 : lastId + 1;
  while (receivers.has(lastId));
  receivers.set(lastId, receiver);
  return lastId;
}

/** Names another who receives the events of an id from now on. */
export function passId(id: number, receiver: Receiver): void {
  receivers.set(id, receiver);
}

/** Gives an id back: no event reaches its receiver any more, the addon drops what it holds for it. */
export function closeId(id: number, isEmpty = false): void {
  receivers.delete(id);
  addon?.close(id, isEmpty);
}

/** The same, once those who wait for what has just happened have been told: it wakes a thread, which takes longer than all else they wait for. */
export function closeIdSoon(id: number, isEmpty: boolean): void {
  receivers.delete(id);
  queueMicrotask(() => addon?.close(id, isEmpty));
}

/** Reading an object with twenty properties would take the addon as long as the rest of the call: one array, used again, and one text. */
const spawnNumbers = new Float64Array(14);

/** Queues a spawn; the receiver of `id` gets `started` or `failed`. Counts as one `ref`. Blocks for the hand-over only. */
export function requestSpawn(id: number, request: SpawnRequest): void {
  // As enum SpawnNumber of native/convert.cc has them.
  spawnNumbers[0] = id;
  spawnNumbers[1] = request.containment;
  spawnNumbers[2] = request.terminal ?? 0;
  spawnNumbers[3] = request.stdin;
  spawnNumbers[4] = request.stdout;
  spawnNumbers[5] = request.stderr;
  spawnNumbers[6] = request.killSignal;
  spawnNumbers[7] = request.graceMs;
  spawnNumbers[8] = request.timeoutMs;
  spawnNumbers[9] = request.onLeaderExit;
  spawnNumbers[10] = request.onOwnerExit;
  spawnNumbers[11] = request.mark ?? 0;
  spawnNumbers[12] = request.inheritEnv ? 1 : 0;
  spawnNumbers[13] = request.argc;
  const text = `${request.file}\0${request.cwd}\0${request.leaf}\0${request.treeId}\0${request.argv}${request.env}`;
  native().spawn(spawnNumbers, text, request.settings);
}

function dispatch(event: NativeEvent): void {
  const receiver = receivers.get(event.id);
  if (receiver === undefined) return; // given up; what it held is closed with the id
  if (event.type === 'started') {
    const ends = event.hasPipes ? native().pipes(event.id) : NO_PIPES;
    event.stdin = ends[0];
    event.stdout = ends[1];
    event.stderr = ends[2];
  }
  receiver[receive](event);
  if (event.type === 'started' && event.hasPipes) native().pipesTaken(event.id);
}

/** The addon, if somebody has loaded it. */
export function loadedNative(): NativeAddon | undefined {
  return addon;
}

/**
 * Loads the addon on first use, so that importing corral works on every platform.
 * @throws ProcessError ERR_UNSUPPORTED_PLATFORM elsewhere than on Linux, ERR_NATIVE_LOAD when no binary fits.
 */
export function native(): NativeAddon {
  if (addon !== undefined) return addon;
  if (process.platform !== 'linux') {
    throw new ProcessError('ERR_UNSUPPORTED_PLATFORM', `corral needs Linux (pidfd, /proc, subreaper); this is ${process.platform}`);
  }
  const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../');
  let loaded: NativeAddon;
  try {
    const override = process.env.CORRAL_NATIVE_PATH;
    loaded = (override ? createRequire(import.meta.url)(override) : loadFitting(root)) as NativeAddon;
  } catch (cause) {
    throw new ProcessError(
      'ERR_NATIVE_LOAD',
      `no native binary could be loaded for linux-${process.arch}. Prebuilt ones are listed in ${root}prebuilds; to build from source ` +
        `run "npx node-gyp rebuild" in ${root} (needs Python 3, make and a C++17 compiler), or name a binary in CORRAL_NATIVE_PATH`,
      { cause },
    );
  }
  loaded.listen((events) => events.forEach(dispatch));
  addon = loaded;
  return addon;
}
