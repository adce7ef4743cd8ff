/**
 * The inner half of contained.mjs: runs the command as a child of the namespace's PID 1 and proves afterwards that nothing is left:
 * no process, no zombie, no file in its TMPDIR, no cgroup. With --drop the command runs as an ordinary user, on a copy of the checkout.
 * Must not be started by hand: it relies on the namespace around it.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { NOBODY } from './contained.mjs';
import { cgroupsBelow, enterCgroup } from './lib/test-cgroup.mjs';

const { values, positionals: command } = parseArgs({ options: { drop: { type: 'boolean' } }, allowPositionals: true });
const root = process.env.CORRAL_TEST_ROOT;

/** How long processes may take to finish dying after the command has ended; a real leak outlives any deadline. */
const SETTLE_MS = Number(process.env.CORRAL_TEST_SETTLE_MS ?? 10_000);

if (process.ppid !== 1) throw new Error('contained-inside.mjs runs only inside contained.mjs');

function must(file, args) {
  const { status, stderr, error } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

function asNobody(...argv) {
  return ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--', ...argv];
}

function give(file) {
  chownSync(file, NOBODY, NOBODY);
  if (!lstatSync(file).isDirectory()) return;
  chmodSync(file, 0o755);
  for (const name of readdirSync(file)) if (!lstatSync(path.join(file, name)).isSymbolicLink()) give(path.join(file, name));
}

/**
 * Makes a checkout the ordinary user can read and write, wherever the real one is (below a 0700 home, say) and whatever its modes
 * are: a copy, except for node_modules, which is large and gets mounted if it can be read. The same for node itself.
 */
function makeCheckout() {
  const checkout = path.join(root, 'checkout');
  const modules = path.resolve('node_modules');
  const skipped = new Set(['node_modules', '.git'].map((name) => path.resolve(name)));
  cpSync(process.cwd(), checkout, { recursive: true, verbatimSymlinks: true, filter: (source) => !skipped.has(source) });
  give(checkout);
  mkdirSync(path.join(checkout, 'node_modules'));
  must('mount', ['--bind', modules, path.join(checkout, 'node_modules')]);
  const [file, ...args] = asNobody('test', '-r', path.join(checkout, 'node_modules/vitest/package.json'));
  if (spawnSync(file, args).status !== 0) {
    must('umount', [path.join(checkout, 'node_modules')]);
    cpSync(modules, path.join(checkout, 'node_modules'), { recursive: true, verbatimSymlinks: true });
    give(path.join(checkout, 'node_modules'));
  }

  const node = path.join(root, 'bin/node');
  mkdirSync(path.dirname(node));
  writeFileSync(node, '');
  must('mount', ['--bind', process.execPath, node]);
  const [probe, ...probeArgs] = asNobody(node, '--version');
  if (spawnSync(probe, probeArgs).status !== 0) {
    must('umount', [node]);
    copyFileSync(process.execPath, node);
    chmodSync(node, 0o755);
  }
  for (const name of ['tmp', 'home', 'config', 'state', 'cache', 'data', 'runtime']) chownSync(path.join(root, name), NOBODY, NOBODY);
  return { checkout, bin: path.dirname(node) };
}

/** The directories of PATH that the ordinary user can search. In others execvp finds EACCES where everybody expects ENOENT. */
function searchablePath() {
  const [file, ...args] = asNobody('sh', '-c', 'for directory; do test -x "$directory" && echo "$directory"; done', 'sh');
  return spawnSync(file, [...args, ...process.env.PATH.split(':')], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n');
}

/** Every process but PID 1 and ourselves, as lines for a person. The namespace is ours, so all of them are leftovers. */
function leftoverProcesses() {
  const lines = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || name === '1' || Number(name) === process.pid) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state, ppid, pgid, sid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const args = readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
      lines.push(
        `process ${name} (state ${state}, parent ${ppid}, group ${pgid}, session ${sid}): ${args || stat.slice(0, stat.lastIndexOf(')') + 1)}`,
      );
    } catch {
      // Ended while we looked.
    }
  }
  return lines;
}

const leftoverFiles = () =>
  readdirSync(process.env.TMPDIR, { recursive: true })
    // Where npm and tsc keep their compiled code from Node 22 on (module.enableCompileCache()).
    .filter((name) => name.split(path.sep)[0] !== 'node-compile-cache')
    .map((name) => `file ${path.join(process.env.TMPDIR, name)}`);

const leftoverCgroups = () => (cgroup === '' ? [] : cgroupsBelow(cgroup).map((name) => `cgroup ${name}`));

async function leftovers() {
  const deadline = performance.now() + SETTLE_MS;
  while (leftoverProcesses().length > 0 && performance.now() < deadline) await delay(20);
  return [...leftoverProcesses(), ...leftoverFiles(), ...leftoverCgroups()];
}

/**
 * Resolves with the exit code, or says which signal ended it. The command gets a session of its own: ours lies outside the namespace,
 * where getpgid() and getsid() would answer 0.
 */
function run(argv, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { stdio: 'inherit', detached: true, ...options });
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(signal ? `ended by ${signal}` : code));
  });
}

// Before the privileges go: entering takes those of whoever made it.
const cgroup = enterCgroup(process.env.CORRAL_TEST_CGROUP) ? process.env.CORRAL_TEST_CGROUP : '';

let cwd = process.cwd();
const env = { ...process.env, CORRAL_TEST_CGROUP: cgroup };
let argv = command;
if (values.drop) {
  const { checkout, bin } = makeCheckout();
  cwd = checkout;
  env.PATH = [bin, ...searchablePath()].join(':');
  if (env.CORRAL_NATIVE_PATH) env.CORRAL_NATIVE_PATH = path.join(checkout, path.relative(process.cwd(), env.CORRAL_NATIVE_PATH));
  argv = asNobody(...command);
}
if (!existsSync(env.TMPDIR)) throw new Error(`${env.TMPDIR} is missing`);

const outcome = await run(argv, { cwd, env });
if (typeof outcome === 'string') process.stderr.write(`contained: ${command[0]} was ${outcome}\n`);
const left = await leftovers();
const notes = process.env.CORRAL_TEST_NOTES;
for (const line of left) {
  process.stderr.write(`contained: left behind: ${line}\n`);
  if (notes) appendFileSync(`${notes}.left`, `left behind: ${line}\n`);
}
process.exitCode = outcome === 0 && left.length > 0 ? 1 : typeof outcome === 'string' ? 1 : outcome;
