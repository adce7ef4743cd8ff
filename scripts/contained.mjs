#!/usr/bin/env node
/**
 * Runs a command in a pid namespace of its own, so that tests which kill can reach nothing else:
 *   node scripts/contained.mjs [--unprivileged] [--check] [--] COMMAND [ARG...]
 *
 * Out here: make the namespace and the private directories, and end it all when we are interrupted. What happens inside
 * (dropping privileges, the leak guard) is contained-inside.mjs. Exit code: the command's; 1 when it left something
 * behind; 125 when namespaces are not allowed; 128+n when a signal n ended the run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeTestCgroup, removeTestCgroup, testFreezer, thawTestFreezer } from './lib/test-cgroup.mjs';

export const NOT_ALLOWED = 125;
/** uid and gid of the unprivileged leg: "nobody", who owns nothing and is in no group. */
export const NOBODY = 65534;

/** PID 1 inside. A shell that waits for its child also reaps every orphan, as a real init does. test/helpers looks for the name. */
const INIT = ['sh', '-c', '"$@"; exit $?', 'corral-contained-init'];

/** What a developer's or a CI machine may have set and what would change the outcome of a test. */
const FOREIGN =
  /^(CORRAL_(?!TEST_|NATIVE_PATH$)|CLAUDE|CODEX_|GEMINI_|CURSOR_|COPILOT_|MOAI|XDG_|NODE_OPTIONS$|NODE_COMPILE_CACHE$|VITEST)/;

/**
 * How a namespace can be made here, as the beginning of a command line; undefined when the machine forbids it.
 * Root needs no user namespace. Others get one that maps only themselves: inside they stay the ordinary user they are, without
 * capabilities (`unshare -r` would make them root there, and the tests would test the wrong thing).
 */
export function namespaceCommand() {
  const user = process.getuid() === 0 ? [] : ['--user', '--map-current-user'];
  const command = ['unshare', ...user, '--pid', '--fork', '--mount-proc', '--kill-child'];
  return spawnSync(command[0], [...command.slice(1), 'true'], { stdio: 'ignore' }).status === 0 ? command : undefined;
}

function makeRunDirectory() {
  const root = mkdtempSync(path.join(tmpdir(), 'corral-test-'));
  chmodSync(root, 0o755); // the unprivileged user of the second leg passes through it
  for (const name of ['tmp', 'home', 'config', 'state', 'cache', 'data']) mkdirSync(path.join(root, name));
  mkdirSync(path.join(root, 'runtime'), { mode: 0o700 });
  return root;
}

function environment(root, leg) {
  const inherited = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  return {
    ...Object.fromEntries(inherited),
    PATH: `${path.dirname(process.execPath)}:${process.env.PATH}`, // `node` is the one that runs us
    HOME: path.join(root, 'home'),
    TMPDIR: path.join(root, 'tmp'),
    XDG_CONFIG_HOME: path.join(root, 'config'),
    XDG_STATE_HOME: path.join(root, 'state'),
    XDG_CACHE_HOME: path.join(root, 'cache'),
    XDG_DATA_HOME: path.join(root, 'data'),
    XDG_RUNTIME_DIR: path.join(root, 'runtime'),
    CORRAL_TEST_CONTAINED: '1',
    CORRAL_TEST_LEG: leg,
    CORRAL_TEST_ROOT: root,
  };
}

/** Ends the whole namespace: unshare returns only when its PID 1 is gone, and the kernel lets PID 1 go last. */
function endNamespace(unsharePid) {
  try {
    const init = readFileSync(`/proc/${unsharePid}/task/${unsharePid}/children`, 'utf8').trim();
    process.kill(init === '' ? unsharePid : Number(init), 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/**
 * Resolves with the exit code of the run. `onFirstInterrupt` is called with the run's directory (CORRAL_TEST_ROOT) instead of ending it
 * when we are interrupted for the first time.
 */
export function runContained(command, { unprivileged = false, env = {}, onFirstInterrupt } = {}) {
  const namespace = namespaceCommand();
  if (namespace === undefined) {
    process.stderr.write('contained: pid namespaces are not allowed here; nothing was run\n');
    return Promise.resolve(NOT_ALLOWED);
  }
  const isRoot = process.getuid() === 0;
  const leg = unprivileged || !isRoot ? 'unprivileged' : 'root';
  const root = makeRunDirectory();
  const inside = fileURLToPath(new URL('contained-inside.mjs', import.meta.url));
  const drop = unprivileged && isRoot ? ['--drop'] : [];
  const cgroup = makeTestCgroup(drop.length > 0 ? NOBODY : undefined);
  const line = [...namespace, '--', ...INIT, process.execPath, inside, ...drop, '--', ...command];

  // Its own session: Ctrl-C reaches only us, and we end all of it in one step. pdeathsig covers our own SIGKILL.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...line], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
    env: { ...environment(root, leg), CORRAL_TEST_CGROUP: cgroup ?? '', ...env },
  });

  let interruptedBy;
  let isFirst = onFirstInterrupt !== undefined;
  const interrupt = (signal) => {
    if (isFirst) {
      isFirst = false;
      onFirstInterrupt(root);
      return;
    }
    interruptedBy = signal;
    endNamespace(child.pid);
    thawTestFreezer(root); // after it: nobody is left who could freeze again
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, interrupt);

  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, interrupt);
      const killedBy = interruptedBy ?? signal;
      resolve(killedBy ? 128 + constants.signals[killedBy] : code);
    });
  }).finally(async () => {
    rmSync(root, { recursive: true, force: true });
    if (cgroup !== undefined) await removeTestCgroup(cgroup);
    if (existsSync(testFreezer(root))) await removeTestCgroup(testFreezer(root));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    options: { unprivileged: { type: 'boolean' }, check: { type: 'boolean' } },
    allowPositionals: true,
  });
  if (values.check) {
    process.exitCode = namespaceCommand() === undefined ? NOT_ALLOWED : 0;
  } else if (positionals.length === 0) {
    process.stderr.write('usage: node scripts/contained.mjs [--unprivileged] [--check] -- COMMAND [ARG...]\n');
    process.exitCode = 2;
  } else {
    process.exitCode = await runContained(positionals, { unprivileged: values.unprivileged });
  }
}
