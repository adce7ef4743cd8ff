/**
 * The escape matrix: shapes of trees × events, as data, and what runs one cell. Each cell has a pid namespace of its own, in which
 * arena.c is PID 1: it makes the event happen and counts who is left, without asking the subject. Judges nothing; the table of what is
 * expected is the test's, and the same cells are run against other tools by scripts/containment.mjs.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { namespaceCommand } from '../../scripts/contained.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const CLI = path.join(here, '../../dist/corral.cjs');
const NOBODY = 65534;

/** Of the ladder in every cell. */
export const GRACE_MS = 200;
/** As a keeper waits after SIGKILL: a busy machine takes long to let dozens of forking processes die. */
const KILL_WAIT_MS = 5000;
/** Of a run with a deadline; longer on every attempt in which the tree was not complete before it. */
const DEADLINE_MS = 500;
const ATTEMPTS = 4;
/** How long JavaScript is blocked at least. */
const BLOCKED_MS = 5000;
/** After this a cell is over, whatever is left. Nothing comes near it unless something does not hold. */
const LIMIT_MS = 30_000;
/** How long the last ones may take to die when all that could end them has ended. */
const SETTLE_MS = 3000;

/**
 * @typedef {{ id: string, title: string, needs?: string, mode?: string }} Shape
 * @typedef {{ id: string, title: string, act: string, event?: string, deadline?: boolean, isEnd?: boolean, mode?: string, options?: object }} CellEvent
 */

/**
 * What a tree looks like: the name shapes.c has for it, and people's.
 * @type {Shape[]}
 */
export const SHAPES = [
  { id: 'same-group', title: 'same group' },
  { id: 'other-group', title: 'other group in the session (`set -m`)' },
  { id: 'setsid', title: '`setsid`' },
  { id: 'double-fork', title: 'double fork' },
  { id: 'daemon', title: 'double fork + `setsid`' },
  { id: 'daemon-env', title: 'the same with `env -i`' },
  { id: 'streams', title: 'closed and redirected stdio' },
  { id: 'ignore', title: 'TERM-ignoring' },
  { id: 'stopped', title: 'stopped (SIGSTOP)' },
  { id: 'term-stop', title: 'TERM-stopped mid-way' },
  { id: 'ptraced', title: 'ptraced by a sibling' },
  { id: 'storm', title: 'fork storm (50 live, replacing themselves)' },
  { id: 'hopper', title: 'pid hopper (fork, `setsid`, parent exits, for ever)' },
  { id: 'thousand', title: '1,000 members' },
  { id: 'deep', title: '30 levels deep' },
  { id: 'subreaper', title: 'a member that itself is a subreaper' },
  { id: 'uid', title: 'a member that changed its uid', needs: 'root' },
  { id: 'setuid', title: "a member that became root, the owner's an ordinary user", needs: 'root', mode: 'denied' },
  { id: 'kills-siblings', title: 'a member that SIGKILLs its siblings' },
  { id: 'kills-leader', title: 'a member that SIGKILLs its leader' },
  { id: 'kills-keeper', title: 'a member that tries the keeper' },
];

/**
 * What happens. `act`: who makes it happen (arena.c); `event`: what the owner does; `deadline`: the run has one; `isEnd`: the owner lives
 * on and tells the end.
 * @type {CellEvent[]}
 */
export const EVENTS = [
  { id: 'stop', title: '`stop()`', act: 'go', event: 'stop' },
  { id: 'kill', title: '`kill()`', act: 'go', event: 'kill' },
  { id: 'timeout', title: '`timeout`', act: 'none', deadline: true, isEnd: true },
  { id: 'abort', title: 'abort', act: 'go', event: 'abort' },
  { id: 'leader-exits', title: 'leader exits 0', act: 'exit-leader', isEnd: true },
  { id: 'leader-killed', title: 'leader is killed', act: 'kill-leader', isEnd: true },
  { id: 'owner-exits', title: 'owner calls `process.exit`', act: 'go', event: 'exit' },
  { id: 'owner-throws', title: 'owner throws', act: 'go', event: 'throw' },
  { id: 'owner-term', title: 'owner is SIGTERMed', act: 'term-owner' },
  { id: 'owner-killed', title: 'owner is SIGKILLed', act: 'kill-owner' },
  { id: 'owner-aborts', title: 'owner calls `abort()`', act: 'go', event: 'abort_process' },
  { id: 'owner-stopped', title: 'owner is stopped for ever, deadline running', act: 'stop-owner', deadline: true },
  { id: 'blocked', title: 'JavaScript blocked for 5 s, deadline 500 ms', act: 'hold', event: 'block', deadline: true },
  { id: 'keeper-killed', title: 'keeper is SIGKILLed', act: 'kill-keeper', isEnd: true },
  { id: 'both-killed', title: 'keeper and owner are SIGKILLed, then `corral sweep`', act: 'kill-both' },
];

/**
 * Policies: what they do when the leader, or the owner, has gone.
 * @type {CellEvent[]}
 */
export const POLICIES = [
  { id: 'leader-stop', title: "`onLeaderExit: 'stop'`", act: 'exit-leader', options: { onLeaderExit: 'stop' }, isEnd: true },
  {
    id: 'leader-wait',
    title: "`onLeaderExit: 'wait'`, then `stop()`",
    act: 'exit-leader',
    event: 'wait',
    options: { onLeaderExit: 'wait' },
  },
  {
    id: 'leader-leave',
    title: "`onLeaderExit: 'leave'`",
    act: 'exit-leader',
    options: { onLeaderExit: 'leave' },
    isEnd: true,
    mode: 'left',
  },
  {
    id: 'owner-leave',
    title: "`onOwnerExit: 'leave'`, owner SIGKILLed",
    act: 'kill-owner',
    options: { onOwnerExit: 'leave' },
    mode: 'left',
  },
  {
    id: 'owner-leave-exit',
    title: "`onOwnerExit: 'leave'`, `process.exit`",
    act: 'go',
    event: 'exit',
    options: { onOwnerExit: 'leave' },
    mode: 'left',
  },
];

/**
 * Those that stand still, so that "untouched" can be said of them.
 * @type {Shape[]}
 */
export const POLICY_SHAPES = [
  { id: 'witness', title: 'members that tell of every signal' },
  ...SHAPES.filter(({ id }) => ['daemon-env', 'deep', 'thousand'].includes(id)),
];

/** Names a cell in the results. */
export const keyOf = ({ event, shape }) => `${event.id} ${shape.id}`;

/** Compiles what the cells need into a directory of its own; `end` removes it. */
export function prepareCells(parent) {
  const directory = mkdtempSync(path.join(parent, 'corral-cells-'));
  chmodSync(directory, 0o755);
  const programs = { directory, namespace: namespaceCommand(), end: () => rmSync(directory, { recursive: true, force: true }) };
  for (const name of ['arena', 'shapes']) {
    const output = path.join(directory, name);
    execFileSync(
      process.env.CC ?? 'cc',
      ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-static', '-o', output, path.join(here, `${name}.c`)],
      {
        stdio: 'inherit',
      },
    );
    programs[name] = output;
  }
  if (process.getuid() === 0) {
    programs.superuser = path.join(directory, 'set-uid/shapes'); // the same name in /proc
    mkdirSync(path.dirname(programs.superuser));
    copyFileSync(programs.shapes, programs.superuser);
    chmodSync(programs.superuser, 0o4755);
  }
  return programs;
}

let isReadable;

/** Why a shape can not be had here; undefined: it can. */
export function whyNot(shape) {
  if (shape.needs === 'root' && process.getuid() !== 0) return 'needs root';
  if (shape.id !== 'setuid') return undefined;
  isReadable ??= isReadableByNobody();
  return isReadable ? undefined : 'an ordinary user can not read this checkout';
}

function isReadableByNobody() {
  const asNobody = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--', process.execPath, '-e'];
  return spawnSync('setpriv', [...asNobody, `fs.accessSync(${JSON.stringify(CLI)}, fs.constants.R_OK)`]).status === 0;
}

/** The command lines of corral as owner, and of the sweep that comes after both have died. */
export function corralOwner({ programs, shape, event, fifos, timeoutMs }) {
  const task = {
    ...fifos,
    program: programs.shapes,
    extra: shape.id === 'setuid' ? [programs.superuser] : [],
    shape: shape.id,
    event: event.event,
    isEnd: event.isEnd === true,
    timeoutMs,
    options: { forceKillAfterDelay: GRACE_MS, ...event.options },
  };
  return {
    owner: [process.execPath, path.join(here, 'owner.mjs'), JSON.stringify(task)],
    after: [process.execPath, CLI, 'sweep', '--json', '--max-kills', '2000'],
  };
}

const run = (file, args, options) =>
  new Promise((resolve) => {
    execFile(file, args, { maxBuffer: 1 << 26, ...options }, (error, stdout, stderr) => resolve({ error, stdout, stderr }));
  });

let cells = 0;

/**
 * One cell, once. `make` gives the command lines, `settled` says that the owner's own word is all that can be waited for.
 * @returns what arena.c has seen; `problem` when it could not.
 */
async function runOnce({ programs, shape, event, make, deadlineMs, mode }) {
  const directory = path.join(programs.directory, String(++cells));
  mkdirSync(directory);
  mkdirSync(path.join(directory, 'config/corral'), { recursive: true });
  chmodSync(directory, 0o777);
  const fifos = { ready: path.join(directory, 'ready'), alive: path.join(directory, 'alive') };
  execFileSync('mkfifo', ['-m', '666', fifos.ready, fifos.alive]);
  // Nothing is too young for a sweep here, and its patience is that of the ladder.
  const config = { min_age_seconds: 0, term_grace_ms: GRACE_MS, kill_wait_ms: KILL_WAIT_MS };
  writeFileSync(path.join(directory, 'config/corral/config.json'), JSON.stringify(config));
  const { owner, after = [] } = make({ programs, shape, event, fifos, timeoutMs: event.deadline ? deadlineMs : 0 });
  const uid = shape.id === 'setuid' ? NOBODY : -1;
  const words = [directory, mode, event.act, LIMIT_MS, SETTLE_MS, BLOCKED_MS, uid, owner.length, ...owner, ...after].map(String);
  const [file, ...args] = [...programs.namespace, '--', programs.arena, ...words];
  const env = {
    ...process.env,
    HOME: directory,
    XDG_CONFIG_HOME: path.join(directory, 'config'),
    XDG_STATE_HOME: path.join(directory, 'state'),
    XDG_RUNTIME_DIR: directory,
    CORRAL_TREE: undefined,
    CORRAL_TREE_PARENTS: undefined,
  };
  const { error, stdout, stderr } = await run(file, args, { env, cwd: directory });
  try {
    const sweep = readFileSync(path.join(directory, 'after.json'), 'utf8');
    return { ...JSON.parse(stdout), stderr, ...(sweep === '' ? {} : { sweep: JSON.parse(sweep) }) };
  } catch {
    return { problem: `${error?.message ?? 'no answer'} ${stderr} ${stdout}`.slice(0, 2000) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** One cell. A tree that its deadline has met before it was complete gets more time: the cell is about the complete one. */
export async function runCell({ programs, shape, event, make = corralOwner, mode = event.mode ?? shape.mode ?? 'empty' }) {
  let result;
  for (let attempt = 0, deadlineMs = DEADLINE_MS; attempt < ATTEMPTS; attempt++, deadlineMs *= 3) {
    result = await runOnce({ programs, shape, event, make, deadlineMs, mode });
    if (result.ready || !event.deadline) break;
  }
  return result;
}

/** Keep every processor busy until they are ended. */
const RACING = new Set(['storm', 'hopper']);

/**
 * Runs many cells, two at a time unless said otherwise; those that only wait (blocked JavaScript) beside them; and last, one at a time, those
 * that race with who ends them: two at once would take the processor time from each other's pursuer. Calls `each` with every result.
 */
export async function runCells(jobs, each, lanes = 2) {
  const results = new Map();
  const run = async (queue, lanes) => {
    const lane = async () => {
      for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
        const result = await runCell(job);
        results.set(keyOf(job), result);
        each?.(job, result);
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  };
  const racing = jobs.filter(({ shape }) => RACING.has(shape.id));
  const others = jobs.filter(({ shape }) => !RACING.has(shape.id));
  const waiting = others.filter(({ event }) => event.act === 'hold');
  const busy = others.filter(({ event }) => event.act !== 'hold');
  await Promise.all([run(busy, lanes), run(waiting, 6)]);
  await run(racing, 1);
  return results;
}

/** What a person is shown of a cell: "0" and the milliseconds, or who is left and why. */
export function cellText(result) {
  if (result === undefined) return '';
  if (result.problem !== undefined) return '?';
  const { survivors, ms, done } = result;
  const time = ms === null ? '' : ` (${Math.round(ms)} ms)`;
  const found = result.leftBefore > 0 ? `${result.leftBefore} → ` : '';
  if (survivors.length === 0) return `${found}0${time}`;
  const reasons = [...new Set((done?.survivors ?? []).map(({ reason }) => reason))].join(', ');
  return `${found}${survivors.length}${reasons === '' ? '' : ` (${reasons})`}`;
}

/** Shapes × events as a table in Markdown; of events without any result there is no column. */
export function table(shapes, events, results) {
  const columns = events.filter((event) => shapes.some((shape) => results.has(keyOf({ event, shape }))));
  const row = (cells) => `| ${cells.join(' | ')} |`;
  const isKnown = (shape) => whyNot(shape) !== undefined || columns.some((event) => results.has(keyOf({ event, shape })));
  const lines = shapes
    .filter(isKnown)
    .map((shape) => row([shape.title, ...columns.map((event) => whyNot(shape) ?? cellText(results.get(keyOf({ event, shape }))))]));
  return [row(['', ...columns.map(({ title }) => title)]), row(['---', ...columns.map(() => '---')]), ...lines].join('\n');
}
