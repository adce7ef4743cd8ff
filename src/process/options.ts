/**
 * Checks what a caller asks for and turns it into the request the addon understands. Every refusal names the option, what was
 * expected and what came; nothing is started by then. Decides nothing about processes.
 */
import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { invalidArgument } from '../errors.js';
import {
  type ChildSettings,
  CONTAIN_CGROUP,
  CONTAIN_GROUP,
  CONTAIN_TREE,
  NEVER,
  native,
  POLICY_LEAVE,
  POLICY_STOP,
  POLICY_WAIT,
  type SpawnRequest,
  STDIO_IGNORE,
  STDIO_PIPE,
} from '../native.js';
import { checkDelay, checkOptions, DEFAULT_GRACE_MS, requireOptions, terminationSettings, unknownOption } from '../tree/options.js';
import type { Containment, SpawnOptions, TerminationOptions } from '../types.js';
import { environmentOf, newTree, treeIdOf } from './environment.js';
import { leafName } from './leaf.js';

/** How a tree is asked to end, and when it is made to. */
export interface Termination {
  readonly killSignal: number;
  /** Between killSignal and SIGKILL; NEVER = no SIGKILL. */
  readonly graceMs: number;
  readonly abort: AbortSignal | undefined;
}

export interface SpawnPlan {
  request: SpawnRequest;
  /** Which tree of this process it is. */
  tree: number;
  /** What was asked for. */
  containment: Containment;
  onLeaderExit: 'stop' | 'wait' | 'leave';
  termination: Termination;
  /** Streams of the caller without a descriptor of their own: a pipe is made and joined to them. */
  source: Readable | undefined;
  stdoutTarget: Writable | undefined;
  stderrTarget: Writable | undefined;
  labels: Readonly<Record<string, string>>;
  /** Who hears what happens to a leader that shares our terminal (`request.terminal`). */
  onTerminal?: TerminalListener;
}

export interface TerminalListener {
  /** The leader was stopped by this signal. */
  stopped(signal: number): void;
  /** The terminal is gone. */
  hungUp(): void;
}

const CONTAINMENTS = ['group', 'tree', 'cgroup'] as const;
const LEVELS = { group: CONTAIN_GROUP, tree: CONTAIN_TREE, cgroup: CONTAIN_CGROUP } as const;
const LEADER_POLICIES = ['stop', 'wait', 'leave'] as const;
const OWNER_POLICIES = ['stop', 'leave'] as const;
const POLICIES = { stop: POLICY_STOP, wait: POLICY_WAIT, leave: POLICY_LEAVE } as const;

/** RLIMIT_* of Linux (x86-64, arm64), getrlimit(2). */
const LIMITS = { cpu: 0, fsize: 1, data: 2, stack: 3, core: 4, nproc: 6, nofile: 7, memlock: 8, as: 9 } as const;
const MAX_GROUPS = 256;

const NO_LABELS: Readonly<Record<string, string>> = Object.freeze({});
const USUAL_TERMINATION: Termination = Object.freeze({
  killSignal: constants.signals.SIGTERM,
  graceMs: DEFAULT_GRACE_MS,
  abort: undefined,
});
const TERMINATION_OPTIONS = ['killSignal', 'forceKillAfterDelay', 'signal'] as const;
/** Options that are looked at together, and only if some of them were given. */
const COMMON = 0;
const PLACE = 1;
const ENVIRONMENT = 2;
const POLICY = 4;
const ENDING = 8;
const SETTINGS = 16;
const LABELS = 32;
const ALL = 63;
const GROUPS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    ...{ containment: COMMON, stdin: COMMON, stdout: COMMON, stderr: COMMON },
    ...{ cwd: PLACE, argv0: PLACE, env: ENVIRONMENT, inheritEnv: ENVIRONMENT, labels: LABELS },
    ...{ onLeaderExit: POLICY, onOwnerExit: POLICY },
    ...{ timeout: ENDING, killSignal: ENDING, forceKillAfterDelay: ENDING, signal: ENDING },
    ...{ user: SETTINGS, group: SETTINGS, groups: SETTINGS, umask: SETTINGS },
    ...{ noNewPrivileges: SETTINGS, nice: SETTINGS, oomScoreAdj: SETTINGS, rlimits: SETTINGS },
  } satisfies Record<keyof SpawnOptions, number>),
);
export const SPAWN_OPTIONS = [...GROUPS.keys()] as ReadonlyArray<keyof SpawnOptions>;

/**
 * @param options of spawn(), and nothing else; whoever has more takes his own out first
 * @throws ProcessError ERR_INVALID_ARGUMENT
 */
export function planSpawn(command: unknown, args: unknown, options: unknown = {}): SpawnPlan {
  const file = text(command, 'command', 'the name or path of a program');
  const asked = groupsOf(options);
  const given = options as SpawnOptions;
  const containment = oneOf(given.containment, 'containment', CONTAINMENTS, 'tree');
  const onLeaderExit = asked & POLICY ? oneOf(given.onLeaderExit, 'onLeaderExit', LEADER_POLICIES, 'stop') : 'stop';
  const onOwnerExit = asked & POLICY ? oneOf(given.onOwnerExit, 'onOwnerExit', OWNER_POLICIES, 'stop') : 'stop';
  const termination = asked & ENDING ? terminationOf(given) : USUAL_TERMINATION;
  const timeoutMs = asked & ENDING && given.timeout !== undefined ? checkDelay(given.timeout, 'timeout') : 0;
  const stdin = input(given.stdin);
  const stdout = output(given.stdout, 'stdout', 1);
  const stderr = output(given.stderr, 'stderr', 2);
  const { env, inheritEnv } =
    asked & ENVIRONMENT ? environmentOf(given.env, flag(given.inheritEnv, 'inheritEnv', true)) : environmentOf(undefined, true);
  const argv0 = asked & PLACE && given.argv0 !== undefined ? text(given.argv0, 'argv0', 'a string', true) : file;
  const tree = newTree();
  const treeId = treeIdOf(tree);
  return {
    request: {
      containment: LEVELS[containment],
      leaf: containment === 'cgroup' ? leafName(treeId) : '',
      file,
      argv: argumentBlock(argv0, args),
      argc: args === undefined ? 1 : (args as unknown[]).length + 1,
      env,
      inheritEnv,
      treeId,
      cwd: asked & PLACE ? directory(given.cwd) : '',
      stdin: stdin.fd,
      stdout: stdout.fd,
      stderr: stderr.fd,
      killSignal: termination.killSignal,
      graceMs: termination.graceMs,
      timeoutMs,
      onLeaderExit: POLICIES[onLeaderExit],
      onOwnerExit: POLICIES[onOwnerExit],
      settings: asked & SETTINGS ? settingsOf(given) : undefined,
      mark: undefined,
      terminal: undefined,
    },
    tree,
    containment,
    onLeaderExit,
    termination,
    source: stdin.stream,
    stdoutTarget: stdout.stream,
    stderrTarget: stderr.stream,
    labels: asked & LABELS ? labelsOf(given.labels) : NO_LABELS,
  };
}

/**
 * Which groups the options are of; all when a class may have hidden some in its prototype. Asking an object for a property that it does not have
 * costs half a microsecond while the code is cold, as it is in most calls, and most options are not there. What is own but not
 * enumerable is not seen, as in any copy of options.
 */
function groupsOf(options: unknown): number {
  let groups = 0;
  for (const name in requireOptions('spawn', options)) {
    const group = GROUPS.get(name);
    if (group !== undefined) groups |= group;
    else if (Object.hasOwn(options as object, name)) throw unknownOption('spawn', name, SPAWN_OPTIONS);
  }
  return (options as object).constructor === Object ? groups : ALL;
}

/** A way to end a tree that changes `otherwise` where the caller says so: the options of stop(). */
export function planTermination(call: string, options: unknown, otherwise: Termination): Termination {
  if (options === undefined) return { killSignal: otherwise.killSignal, graceMs: otherwise.graceMs, abort: undefined };
  checkOptions(call, options, TERMINATION_OPTIONS);
  const { killSignal, forceKillAfterDelay, signal } = options as TerminationOptions;
  return terminationOf({
    killSignal: killSignal ?? otherwise.killSignal,
    forceKillAfterDelay: forceKillAfterDelay ?? (otherwise.graceMs === NEVER ? false : otherwise.graceMs),
    signal,
  });
}

/** Children that end as usual, nearly all, share what says so. */
function terminationOf(options: TerminationOptions): Termination {
  const { killSignal, graceMs, abort } = terminationSettings(options);
  const usual = USUAL_TERMINATION;
  if (killSignal === usual.killSignal && graceMs === usual.graceMs && abort === undefined) return usual;
  return { killSignal, graceMs: graceMs ?? NEVER, abort };
}

export function integer(value: unknown, option: string, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalidArgument(option, `an integer from ${min} to ${max}`, value);
}

export function flag(value: unknown, option: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value === 'boolean') return value;
  throw invalidArgument(option, 'true or false', value);
}

function oneOf<T extends string>(value: unknown, option: string, choices: readonly T[], otherwise: T): T {
  if (value === undefined) return otherwise;
  for (let i = 0; i < choices.length; i++) if (choices[i] === value) return value as T;
  throw invalidArgument(option, choices.map((choice) => JSON.stringify(choice)).join(' or '), value);
}

function text(value: unknown, option: string, expected: string, mayBeEmpty = false): string {
  if (typeof value !== 'string' || (value === '' && !mayBeEmpty)) throw invalidArgument(option, expected, value);
  if (value.includes('\0')) throw invalidArgument(option, `${expected}, without NUL`, value);
  return value;
}

function argumentBlock(argv0: string, args: unknown): string {
  let block = `${argv0}\0`;
  if (args === undefined) return block;
  if (!Array.isArray(args)) throw invalidArgument('args', 'an array of strings', args);
  for (let i = 0; i < args.length; i++) block += `${text(args[i], `args[${i}]`, 'a string', true)}\0`;
  return block;
}

function directory(cwd: unknown): string {
  if (cwd === undefined) return '';
  if (!(cwd instanceof URL)) return text(cwd, 'cwd', 'a path or a file: URL');
  if (cwd.protocol !== 'file:') throw invalidArgument('cwd', 'a path or a file: URL', cwd.href);
  return text(fileURLToPath(cwd), 'cwd', 'a path or a file: URL');
}

function labelsOf(labels: unknown): Readonly<Record<string, string>> {
  if (labels === undefined) return NO_LABELS;
  if (!isRecord(labels)) throw invalidArgument('labels', 'an object of strings', labels);
  for (const [name, value] of Object.entries(labels)) text(value, `labels.${name}`, 'a string', true);
  return { ...labels } as Record<string, string>;
}

// ---- standard streams ---------------------------------------------------------------------------------------------------

interface Stdio<Stream> {
  /** As in SpawnRequest. */
  fd: number;
  /** To be joined to the pipe. */
  stream: Stream | undefined;
}

const IGNORE = { fd: STDIO_IGNORE, stream: undefined };
const PIPE = { fd: STDIO_PIPE, stream: undefined };

function input(value: unknown): Stdio<Readable> {
  if (value === undefined || value === 'ignore') return IGNORE;
  const expected = '"pipe", "ignore", "inherit", a descriptor or a Readable';
  const fd = descriptor(value, 'stdin', 0, expected);
  if (fd !== undefined) return { fd, stream: undefined };
  const stream = value as Readable & FileStream;
  if (typeof stream.pipe !== 'function' || typeof stream.read !== 'function') throw invalidArgument('stdin', expected, value);
  // What the stream has read already is not in its descriptor any more.
  const ownFd = stream.readableLength === 0 ? plainDescriptor(stream) : undefined;
  return ownFd === undefined ? { fd: STDIO_PIPE, stream } : { fd: ownFd, stream: undefined };
}

function output(value: unknown, option: 'stdout' | 'stderr', inherited: number): Stdio<Writable> {
  if (value === undefined || value === 'pipe') return PIPE;
  if (value === 'ignore') return IGNORE;
  const expected = '"pipe", "ignore", "inherit", a descriptor or a Writable';
  const fd = descriptor(value, option, inherited, expected);
  if (fd !== undefined) return { fd, stream: undefined };
  const stream = value as Writable & FileStream;
  if (typeof stream.write !== 'function' || typeof stream.end !== 'function') throw invalidArgument(option, expected, value);
  // What the stream has not written yet must come before the child's output.
  const ownFd = stream.writableLength === 0 ? plainDescriptor(stream) : undefined;
  return ownFd === undefined ? { fd: STDIO_PIPE, stream } : { fd: ownFd, stream: undefined };
}

/** What names a descriptor without being a stream; undefined for an object. */
function descriptor(value: unknown, option: string, inherited: number, expected: string): number | undefined {
  if (value === 'pipe') return STDIO_PIPE;
  if (value === 'ignore') return STDIO_IGNORE;
  if (value === 'inherit') return inherited;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31) {
    if (isOpen(value)) return value;
    throw invalidArgument(option, 'a descriptor that is open', value);
  }
  if (typeof value !== 'object' || value === null) throw invalidArgument(option, expected, value);
  return undefined;
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

/** What fs and tty streams have besides. */
interface FileStream {
  fd?: unknown;
  start?: unknown;
  end?: unknown;
  pos?: unknown;
  destroyed?: boolean;
}

/** The descriptor of a stream whose position is that of the descriptor, to its end (fs streams with `start` keep their own). */
function plainDescriptor(stream: FileStream): number | undefined {
  const { fd, start, end, pos, destroyed } = stream;
  // A function in the prototype is Writable.end; Infinity is what fs gives a stream without a limit.
  const isWhole = start === undefined && pos === undefined && (typeof end !== 'number' || end === Number.POSITIVE_INFINITY);
  return typeof fd === 'number' && fd >= 0 && isWhole && destroyed !== true ? fd : undefined;
}

// ---- settings of the child ----------------------------------------------------------------------------------------------

function settingsOf(given: SpawnOptions): ChildSettings | undefined {
  const settings: ChildSettings = identityOf(given) ?? {};
  if (given.umask !== undefined) settings.umask = integer(given.umask, 'umask', 0, 0o777);
  if (flag(given.noNewPrivileges, 'noNewPrivileges', false)) settings.noNewPrivs = true;
  if (given.nice !== undefined) settings.nice = integer(given.nice, 'nice', -20, 19);
  if (given.oomScoreAdj !== undefined) settings.oomScoreAdj = integer(given.oomScoreAdj, 'oomScoreAdj', -1000, 1000);
  if (given.rlimits !== undefined) settings.limits = limitsOf(given.rlimits);
  for (const _ in settings) return settings;
  return undefined;
}

/**
 * Who the child becomes. A user name brings its primary group and all its supplementary groups, as login does; `group` and `groups`
 * replace the one and the other. A numeric user brings nothing: root's supplementary groups are dropped for it (`groups` keeps or sets
 * some), the group stays unless `group` names another. Names are looked up in the name service, which may block.
 */
function identityOf({ user, group, groups }: SpawnOptions): ChildSettings | undefined {
  if (user === undefined && group === undefined && groups === undefined) return undefined;
  const settings: ChildSettings = {};
  const mayChange = process.geteuid?.() === 0;
  if (typeof user === 'string') {
    const found = native().lookupUser(text(user, 'user', 'a user name or a uid'));
    if (found === null) throw invalidArgument('user', 'the name of a user that exists, or a uid', user);
    settings.uid = found.uid;
    // Not root: these could only be refused; the uid is tried, and it is the one that names the reason.
    if (mayChange) {
      settings.gid = found.gid;
      settings.groups = found.groups;
    }
  } else if (user !== undefined) {
    settings.uid = integer(user, 'user', 0, MAX_ID);
    if (mayChange) settings.groups = [];
  }
  if (group !== undefined) settings.gid = groupId(group, 'group');
  if (groups !== undefined) {
    if (!Array.isArray(groups)) throw invalidArgument('groups', 'an array of group names and gids', groups);
    settings.groups = groups.map((member, i) => groupId(member, `groups[${i}]`));
  }
  if ((settings.groups?.length ?? 0) > MAX_GROUPS) throw invalidArgument('groups', `at most ${MAX_GROUPS}`, settings.groups?.length);
  return settings;
}

/** -1 means "unchanged" to the kernel. */
const MAX_ID = 2 ** 32 - 2;

function groupId(value: unknown, option: string): number {
  if (typeof value !== 'string') return integer(value, option, 0, MAX_ID);
  const gid = native().lookupGroup(text(value, option, 'a group name or a gid'));
  if (gid === null) throw invalidArgument(option, 'the name of a group that exists, or a gid', value);
  return gid;
}

function limitsOf(rlimits: unknown): number[] {
  if (!isRecord(rlimits)) throw invalidArgument('rlimits', 'an object', rlimits);
  const triples: number[] = [];
  for (const [name, value] of Object.entries(rlimits)) {
    if (!Object.hasOwn(LIMITS, name)) throw invalidArgument('rlimits', `any of ${Object.keys(LIMITS).join(', ')}`, name);
    if (value === undefined) continue;
    const option = `rlimits.${name}`;
    const soft = isRecord(value) ? limit(value.soft, `${option}.soft`) : limit(value, option);
    const hard = isRecord(value) ? limit(value.hard, `${option}.hard`) : soft;
    if (soft > hard) throw invalidArgument(`${option}.soft`, `at most the hard limit (${hard})`, soft);
    triples.push(LIMITS[name as keyof typeof LIMITS], soft, hard);
  }
  return triples;
}

function limit(value: unknown, option: string): number {
  if (typeof value === 'number' && value >= 0 && (Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY)) return value;
  throw invalidArgument(option, 'an integer of at least 0, or Infinity', value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
