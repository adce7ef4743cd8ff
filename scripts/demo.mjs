#!/usr/bin/env node
/**
 * `npm run demo`: a tree of escape artists is started, shown, ended and proven gone; then leftovers are made and the sweep and the
 * hook deal with them. It runs in a pid namespace of its own (contained.mjs), where there is nothing else to hit. Where
 * namespaces are not allowed, the second half only reports, and the demo ends its own processes itself.
 */
import { spawn as nodeSpawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { namespaceCommand } from './contained.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const cli = path.join(root, 'dist', 'corral.cjs');

const contained = process.env.CORRAL_TEST_CONTAINED === '1';
if (!contained && namespaceCommand() !== undefined) {
  const inside = spawnSync(
    process.execPath,
    [path.join(root, 'scripts/contained.mjs'), '--', process.execPath, fileURLToPath(import.meta.url)],
    { stdio: 'inherit' },
  );
  process.exit(inside.status ?? 1);
}

const { killTree, snapshot, spawn } = await import('../dist/index.js');
const { default: process_ } = await import('node:process');
const heading = (text) => console.log(`\n\x1b[1m== ${text}\x1b[0m`);
const show = (command, ...args) => {
  console.log(`$ corral ${[command, ...args].join(' ')}`);
  const result = spawnSync(process_.execPath, [cli, command, ...args], { encoding: 'utf8', env: environment, input: '' });
  process.stdout.write(result.stdout);
  process.stderr.write(result.stderr);
  return result;
};

const directory = mkdtempSync(path.join(tmpdir(), 'corral-demo-'));
const project = path.join(directory, 'project');
const environment = {
  ...process.env,
  XDG_CONFIG_HOME: path.join(directory, 'config'),
  XDG_STATE_HOME: path.join(directory, 'state'),
  CLAUDE_PROJECT_DIR: project,
};
const own = []; // what the demo starts outside of corral, ended at the end whatever happens

async function main() {
  heading('A tree of escape artists');
  const child = await spawn(path.join(root, 'examples/escape-artists.sh'), [], { stdout: 'pipe', stderr: 'inherit' });
  await once(child.stdout, 'data'); // READY
  await until(async () => (await snapshot()).zombies().length > 0);
  const keeper = (await snapshot()).get(child.pid).ppid;
  show('tree', String(keeper));

  heading('corral ends it: SIGTERM to all, 500 ms of grace, SIGKILL to the rest');
  const report = await child.stop({ forceKillAfterDelay: 500 });
  for (const ended of report.terminated)
    console.log(`  ${String(ended.pid).padStart(6)} ${ended.name.padEnd(16)} ${ended.signal ?? 'exited'}`);
  console.log(
    `${report.terminated.length} ended, ${report.survivors.length} survivors, ${Math.round(report.durationMs)} ms, proof: ${report.proof}`,
  );
  const left = [...(await snapshot({ fields: ['args', 'state'] }))].filter(
    (row) => row.args?.some((text) => /^100[0-4]$/.test(text)) && row.state !== 'Z',
  );
  console.log(left.length === 0 ? 'Nothing is left.' : `LEFT: ${left.map((row) => row.pid).join(' ')}`);
  if (left.length > 0) process.exitCode = 1;

  heading('Leftovers, as a coding agent makes them');
  const leftovers = await makeLeftovers();
  for (const [name, pid] of Object.entries(leftovers)) console.log(`  ${String(pid).padStart(6)} ${name}`);
  await until(async () => {
    const table = await snapshot();
    return Object.values(leftovers).every((pid) => (table.get(pid)?.ageSeconds ?? 0) > 1.1);
  });
  console.log("(thresholds are lowered to 1 s in the user's config.json)");
  show('sweep', '--dry-run');

  heading('The hook: one JSON in, one JSON out');
  const input = JSON.stringify({ session_id: 'demo', hook_event_name: 'SessionStart', source: 'startup', cwd: project });
  const options = contained ? ['--host', 'claude'] : ['--host', 'claude', '--dry-run'];
  console.log(`$ echo '${input}' | corral hook ${options.join(' ')}`);
  const hook = spawnSync(process.execPath, [cli, 'hook', ...options], { encoding: 'utf8', env: environment, cwd: project, input });
  console.log(JSON.stringify(JSON.parse(hook.stdout), null, 2));
  console.log(`exit code ${hook.status}`);

  heading('Who died, who lives');
  const table = await snapshot();
  for (const [name, pid] of Object.entries(leftovers)) {
    const row = table.get(pid);
    console.log(`  ${String(pid).padStart(6)} ${name.padEnd(60)} ${row === undefined ? 'gone' : row.state === 'Z' ? 'zombie' : 'lives'}`);
  }
  show('sweep', '--dry-run', '--explain', String(leftovers['rg below pytest']));

  heading('The log (.moai/cache/process_cleanup_log.json), newest entry');
  const log = JSON.parse(readFileSync(path.join(project, '.moai/cache/process_cleanup_log.json'), 'utf8'));
  console.log(JSON.stringify(log.at(-1), null, 2));
}

/** A stuck ripgrep, an agent's shell, a zombie shell; and a pytest with a ripgrep of its own, which must live. Each in a session of its own. */
async function makeLeftovers() {
  mkdirSync(path.join(project, '.moai'), { recursive: true });
  mkdirSync(path.join(environment.XDG_CONFIG_HOME, 'corral'), { recursive: true });
  const classes = { ripgrep: { max_age_seconds: 1 }, ripgrep_tag: { max_age_seconds: 1 }, shell_agent: { max_age_seconds: 1 } };
  writeFileSync(path.join(environment.XDG_CONFIG_HOME, 'corral/config.json'), JSON.stringify({ min_age_seconds: 0, classes }));

  const rg = findRipgrep();
  const fifo = path.join(directory, 'open-stdin');
  spawnSync('mkfifo', [fifo]);
  // <> keeps a writer open: the end of this stdin never comes. The shell that started it exits, as the agent did.
  const stuck = orphan(`exec setsid "${rg}" needle <> "${fifo}" > /dev/null 2>&1`);
  const shell = orphan(`exec setsid bash -c ': ~/.claude/shell-snapshots/snapshot-bash-1.sh; read line <> "${fifo}"' > /dev/null 2>&1`);
  const holder = start('sh', ['-c', `sh -c 'sleep 0.2; exit 0' & echo $!; exec sleep 1000`]);
  const zombie = Number(String((await once(holder.stdout, 'data'))[0]));
  const pytest = start('bash', ['-c', `exec -a pytest bash -c '"${rg}" needle <> "${fifo}" > /dev/null 2>&1 & echo $!; wait'`]);
  const tested = Number(String((await once(pytest.stdout, 'data'))[0]));
  return {
    'ripgrep stuck on an open stdin': stuck,
    'shell of an agent that is gone': shell,
    'zombie shell': zombie,
    pytest: pytest.pid,
    'rg below pytest': tested,
  };
}

function findRipgrep() {
  if (spawnSync('rg', ['--version']).status === 0) return 'rg';
  const { rgPath } = createRequire(import.meta.url)('@vscode/ripgrep');
  return rgPath;
}

/** Runs it below a shell that exits at once; returns its pid. */
function orphan(script) {
  const { stdout } = spawnSync('sh', ['-c', `(${script}) & echo $!`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  own.push(Number(stdout));
  return Number(stdout);
}

function start(command, args) {
  const child = nodeSpawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  own.push(child.pid);
  return child;
}

async function until(condition) {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('the demo waited 10 s for something that did not happen');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

try {
  await main();
} finally {
  for (const pid of own) await killTree(pid).catch(() => undefined);
  rmSync(directory, { recursive: true, force: true });
}
