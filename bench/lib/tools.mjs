/**
 * Gets ready what a run needs: the limit programs compiled, the peers installed, both in bench/.cache, outside node_modules.
 *
 * Whatever can not be had is named with its reason, so that a table says "missing" instead of leaving a row out.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const BENCH = fileURLToPath(new URL('..', import.meta.url));
const CACHE = path.join(BENCH, '.cache');
const PEER_FILES = ['package.json', 'package-lock.json', '.npmrc', 'load.mjs'];

const C_FLAGS = ['-std=gnu17', '-O2', '-Wall', '-Wextra', '-Werror'];
const FREESTANDING = [
  '-static',
  '-nostdlib',
  '-ffreestanding',
  '-fno-stack-protector',
  '-fno-pie',
  '-no-pie',
  '-fno-asynchronous-unwind-tables',
];
/** What a program needs besides C_FLAGS. */
const LIMIT_PROGRAMS = {
  child: FREESTANDING,
  herd: ['-static'],
  observe: [],
  spawn: ['-pthread'],
  kill: ['-pthread'],
  reap: [],
  scan: ['-pthread'],
  members: [],
  whole: [],
};

function hashOf(...parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex').slice(0, 12);
}

/** Compiles one program unless this very source was compiled before; returns its path. */
function compile(name, compiler) {
  const source = path.join(BENCH, 'limit', `${name}.c`);
  const header = readFileSync(path.join(BENCH, 'limit/limit.h'));
  const flags = [...C_FLAGS, ...LIMIT_PROGRAMS[name]];
  const directory = path.join(CACHE, 'limit', hashOf(readFileSync(source), header, compiler, flags.join(' ')));
  // The name is what /proc shows as the command: keep it free of hashes.
  const program = path.join(directory, name);
  if (existsSync(program)) return program;
  mkdirSync(directory, { recursive: true });
  const { status, stderr, error } = spawnSync(compiler, [...flags, source, '-o', `${program}.part`], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${compiler} ${name}.c: ${error?.message ?? stderr}`);
  renameSync(`${program}.part`, program);
  return program;
}

function compileAll() {
  const compiler = process.env.CC || 'cc';
  return Object.fromEntries(Object.keys(LIMIT_PROGRAMS).map((name) => [name, compile(name, compiler)]));
}

/** Installs the pinned peers once per lockfile; returns their directory. */
function installPeers() {
  const from = path.join(BENCH, 'peers');
  const directory = path.join(CACHE, `peers-${hashOf(...PEER_FILES.map((file) => readFileSync(path.join(from, file))), process.arch)}`);
  if (existsSync(directory)) return directory;
  const part = `${directory}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  for (const file of PEER_FILES) cpSync(path.join(from, file), path.join(part, file));
  process.stderr.write('bench: installing the peers (once)\n');
  const { status, stderr, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], {
    cwd: part,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`npm ci in bench/peers: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
  renameSync(part, directory);
  return directory;
}

/** Copies the built package, so that a run measures one build, whatever is rebuilt meanwhile; returns the copy's directory. */
function freezeSubject() {
  const root = path.join(BENCH, '..');
  if (!existsSync(path.join(root, 'dist/index.js'))) throw new Error('no dist/index.js: run "npm run build" first');
  const directory = path.join(CACHE, 'subject');
  rmSync(directory, { recursive: true, force: true });
  // Dependencies are found further up, in the checkout's node_modules.
  for (const part of ['package.json', 'dist', 'prebuilds', 'build/Release/corral.node'])
    if (existsSync(path.join(root, part))) cpSync(path.join(root, part), path.join(directory, part), { recursive: true });
  return directory;
}

function firstLine(command, args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0].trim() : undefined;
}

/** The Python that has psutil, or any Python at all. */
function findPython() {
  const found = [process.env.PYTHON, 'python3', '/usr/bin/python3'].filter(Boolean).flatMap((command) => {
    const version = firstLine(command, ['-c', 'import sys, platform; print(sys.executable, platform.python_version())']);
    if (version === undefined) return [];
    const [executable, number] = version.split(' ');
    return [{ executable, version: number, psutil: firstLine(executable, ['-c', 'import psutil; print(psutil.__version__)']) }];
  });
  return found.find((python) => python.psutil) ?? found[0];
}

function attempt(missing, name, get) {
  try {
    return get();
  } catch (error) {
    missing[name] = error.message;
    return undefined;
  }
}

/**
 * @returns {{ limit: Record<string, string>, load?: string, bun?: string, python?: object, dist?: string, cli?: string,
 *   versions: Record<string, string>, missing: Record<string, string> }} Paths of what there is; `missing` says why something is not.
 */
export function prepare() {
  const missing = {};
  const versions = { node: process.version };
  const limit = compileAll();

  const peers = attempt(missing, 'peers', installPeers);
  let bun;
  if (peers !== undefined) {
    const { dependencies } = JSON.parse(readFileSync(path.join(peers, 'package.json'), 'utf8'));
    Object.assign(versions, dependencies);
    const packaged = path.join(peers, 'node_modules/@oven', `bun-linux-${process.arch === 'arm64' ? 'aarch64' : process.arch}`, 'bin/bun');
    versions.bun = existsSync(packaged) ? firstLine(packaged, ['--version']) : undefined;
    if (versions.bun) bun = packaged;
  }
  if (bun === undefined) missing.bun = missing.peers ?? `no Bun that runs on ${process.arch}`;

  const python = findPython();
  if (python === undefined) missing.python = 'no python3 in PATH';
  else versions.python = python.version;
  if (python?.psutil) versions.psutil = python.psutil;
  else missing.psutil = missing.python ?? 'python3 has no psutil (Debian: python3-psutil)';

  for (const tool of ['ps', 'pgrep'])
    if (firstLine(tool, ['--version']) === undefined) missing[tool] = `no ${tool} in PATH (Debian: procps)`;
  if (!missing.ps) versions.ps = firstLine('ps', ['--version']).split(' ').at(-1);

  const subject = attempt(missing, 'corral', freezeSubject);
  return {
    limit,
    load: peers && pathToFileURL(path.join(peers, 'load.mjs')).href,
    peers,
    bun,
    python: python?.executable,
    dist: subject && pathToFileURL(path.join(subject, 'dist/index.js')).href,
    cli: subject && path.join(subject, 'dist/corral.cjs'),
    versions,
    missing,
  };
}
