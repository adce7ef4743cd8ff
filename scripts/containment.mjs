#!/usr/bin/env node
/**
 * `npm run containment`: the escape matrix (test/containment/matrix.mjs) for corral and, side by side, for tools that promise to end a
 * process with what it started. Prints the tables; with --publish as root also into docs/containment.md, corral as an ordinary user
 * included. --corral: without the others. --json FILE: the results of corral as data. Judges nothing; the suite does.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import {
  cellText,
  EVENTS,
  GRACE_MS,
  keyOf,
  POLICIES,
  POLICY_SHAPES,
  prepareCells,
  runCells,
  SHAPES,
  table,
  whyNot,
} from '../test/containment/matrix.mjs';
import { runContained } from './contained.mjs';
import { projectRoot } from './lib/command.mjs';

const PEERS = path.join(projectRoot, 'bench/containment');
const PAGE = path.join(projectRoot, 'docs/containment.md');
const BEGIN = '<!-- containment: begin -->';
const END = '<!-- containment: end -->';

const { values: options } = parseArgs({
  options: { corral: { type: 'boolean' }, json: { type: 'string' }, publish: { type: 'boolean' } },
});

/** Installs the pinned packages once per lockfile; returns their directory. */
function installPeers() {
  const files = ['package.json', 'package-lock.json', '.npmrc'];
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(path.join(PEERS, file)));
  const directory = path.join(projectRoot, 'bench/.cache', `containment-${hash.digest('hex').slice(0, 12)}-${process.arch}`);
  if (existsSync(directory)) return directory;
  const part = `${directory}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  for (const file of files) cpSync(path.join(PEERS, file), path.join(part, file));
  const { status, stderr } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: part, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr.trim().split('\n').at(-1));
  renameSync(part, directory);
  return directory;
}

const versionOf = (command, args) => {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? /\d+(\.\d+)+/.exec(stdout + stderr)?.[0] : undefined;
};

/** What a wrapper can be told: to end (SIGTERM), and what happens to it and to its leader. */
const WRAPPER_ACTS = { stop: 'term-owner', 'leader-exits': 'exit-leader', 'leader-killed': 'kill-leader', 'owner-killed': 'kill-owner' };
const DEADLINE_ACTS = { ...WRAPPER_ACTS, timeout: 'none', 'owner-stopped': 'stop-owner' };
/** Nobody keeps a tree for them. */
const WITHOUT_KEEPER = new Set(['keeper-killed', 'both-killed']);

/** A program that runs another: the "owner" of arena.c is the wrapper itself, and its SIGTERM is its stop(). */
const wrapper = (id, title, acts, command) => ({
  id,
  title,
  isMute: true,
  event: (event) => (acts[event.id] === undefined ? undefined : { ...event, act: acts[event.id], event: undefined }),
  make: ({ programs, shape, fifos, timeoutMs }) => ({
    owner: [...command(timeoutMs), programs.shapes, shape.id, fifos.ready, fifos.alive],
  }),
});

const library = (id, title, peers, node) => ({
  id,
  title,
  event: (event) => (WITHOUT_KEEPER.has(event.id) ? undefined : event),
  make({ programs, shape, event, fifos, timeoutMs }) {
    const task = { peer: id, peers, program: programs.shapes, shape: shape.id, ...fifos, event: event.event, isEnd: event.isEnd === true };
    return { owner: [node, path.join(PEERS, 'peer.mjs'), JSON.stringify({ ...task, graceMs: GRACE_MS, timeoutMs })] };
  },
});

/** The tools there are; `missing` says why another is not. */
function findTools() {
  const tools = [];
  const missing = [];
  const kill = GRACE_MS / 1000;
  const wrappers = [
    ['timeout', '`timeout -k`', DEADLINE_ACTS, (ms) => ['timeout', '-k', String(kill), String(ms > 0 ? ms / 1000 : 1000)], 'coreutils'],
    ['tini', '`tini -s -g`', WRAPPER_ACTS, () => ['tini', '-s', '-g', '--'], 'tini'],
    ['dumb-init', '`dumb-init`', WRAPPER_ACTS, () => ['dumb-init'], 'dumb-init'],
  ];
  for (const [id, title, acts, command, debian] of wrappers) {
    const version = versionOf(id, ['--version']);
    if (version === undefined) missing.push(`${title}: not in PATH (Debian: ${debian})`);
    else tools.push({ ...wrapper(id, title, acts, command), version });
  }
  try {
    const peers = installPeers();
    const { dependencies } = JSON.parse(readFileSync(path.join(peers, 'package.json'), 'utf8'));
    const newer = path.join(peers, `node_modules/node-linux-${process.arch}/bin/node`);
    const node = existsSync(newer) ? newer : process.execPath;
    tools.push({ ...library('execa', '`execa` (`killDescendants`)', peers, node), version: dependencies.execa });
    tools.push({ ...library('tree-kill', '`tree-kill`', peers, process.execPath), version: dependencies['tree-kill'] });
  } catch (error) {
    missing.push(`\`execa\`, \`tree-kill\`: ${error.message}`);
  }
  tools.push({ ...library('node', '`child_process`, `kill(-pid)`', projectRoot, process.execPath), version: process.versions.node });
  return { tools, missing };
}

const possible = SHAPES.filter((shape) => whyNot(shape) === undefined);
const programs = prepareCells(tmpdir());
const progress = (name) => (job, result) => process.stderr.write(`${name}: ${keyOf(job)}: ${cellText(result)}\n`);

async function ofCorral() {
  const jobs = [
    ...EVENTS.flatMap((event) => possible.map((shape) => ({ programs, shape, event }))),
    ...POLICIES.flatMap((event) => POLICY_SHAPES.map((shape) => ({ programs, shape, event }))),
  ];
  return runCells(jobs, progress('corral'));
}

/** What an ordinary owner may not end is the same for all. */
const comparable = possible.filter(({ id }) => id !== 'setuid');

async function ofTool(tool) {
  const jobs = EVENTS.flatMap((event) => {
    const own = tool.event(event);
    return own === undefined ? [] : comparable.map((shape) => ({ programs, shape, event: own, make: tool.make, mode: 'settled' }));
  });
  const results = await runCells(jobs, progress(tool.id), 6);
  // A wrapper does not tell when its deadline was.
  if (tool.isMute)
    for (const [key, result] of results) if (/^(timeout|owner-stopped) /.test(key)) results.set(key, { ...result, ms: null });
  return results;
}

const row = (cells) => `| ${cells.join(' | ')} |`;
const head = (titles) => [row(titles), row(titles.map(() => '---'))];

/** How many of the shapes leave survivors, by tool and event. */
function summary(columns) {
  const lines = EVENTS.map((event) => {
    const cells = columns.map(({ results }) => {
      const found = comparable.map((shape) => results.get(keyOf({ event, shape }))).filter((result) => result !== undefined);
      if (found.length === 0) return '–';
      return `${found.filter((result) => result.problem !== undefined || result.survivors.length > 0).length} of ${found.length}`;
    });
    return row([event.title, ...cells]);
  });
  return [...head(['shapes with survivors', ...columns.map(({ title }) => title)]), ...lines].join('\n');
}

/** One event, tools side by side. */
function sideBySide(event, columns) {
  const lines = comparable.map((shape) =>
    row([shape.title, ...columns.map(({ results }) => cellText(results.get(keyOf({ event, shape }))) || '–')]),
  );
  return [...head(['', ...columns.map(({ title }) => title)]), ...lines].join('\n');
}

async function asOrdinaryUser() {
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-containment-'));
  chmodSync(directory, 0o1777);
  const file = path.join(directory, 'results.json');
  try {
    const code = await runContained(['node', 'scripts/containment.mjs', '--corral', '--json', file], { unprivileged: true });
    if (code !== 0) throw new Error(`the run as an ordinary user ended with ${code}`);
    return new Map(JSON.parse(readFileSync(file, 'utf8')));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function details(title, text) {
  return `<details><summary>${title}</summary>\n\n${text}\n\n</details>`;
}

try {
  const own = await ofCorral();
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify([...own]));
  const { tools, missing } = options.corral ? { tools: [], missing: [] } : findTools();
  const columns = [{ title: '**corral**', results: own }];
  for (const tool of tools) columns.push({ title: tool.title, results: await ofTool(tool) });

  const parts = [
    `Linux ${release().replace(/-.*/, '')}, Node ${process.versions.node}; ${tools.map(({ id, version }) => `${id} ${version}`).join(', ')}. Survivors; in parentheses milliseconds from the event, or from the deadline, to the death of the last one. Grace period: ${GRACE_MS} ms. "n → m": n were left before the sweep, m after it.`,
  ];
  for (const line of missing) parts.push(`Not compared: ${line}`);
  const asUser = options.publish && process.getuid() === 0 ? await asOrdinaryUser() : undefined;
  const legs = [
    [process.getuid() === 0 ? 'root' : 'an ordinary user', own],
    ...(asUser === undefined ? [] : [['an ordinary user', asUser]]),
  ];
  for (const [user, results] of legs)
    parts.push(`### corral as ${user}`, table(SHAPES, EVENTS, results), table(POLICY_SHAPES, POLICIES, results));
  if (tools.length > 0) {
    parts.push('### Side by side', summary(columns));
    for (const event of EVENTS) parts.push(details(event.title.replaceAll('`', ''), sideBySide(event, columns)));
  }
  const text = parts.join('\n\n');
  process.stdout.write(`${text}\n`);
  if (options.publish) {
    const [before, rest] = readFileSync(PAGE, 'utf8').split(BEGIN);
    if (rest === undefined || !rest.includes(END)) throw new Error(`${PAGE} has lost its marks ${BEGIN} and ${END}`);
    writeFileSync(PAGE, `${before}${BEGIN}\n\n${text}\n\n${END}${rest.split(END)[1]}`);
  }
} finally {
  programs.end();
}
