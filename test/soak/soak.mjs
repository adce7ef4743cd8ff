/**
 * Trees of every shape, ended in every way, several at once, for as long as asked, in a pid namespace with few numbers so that they are
 * used again and again: what rarely goes wrong goes wrong here. Started by scripts/soak.mjs, inside contained.mjs.
 *   soak.mjs --seconds N [--seed N] [--round N]
 * After each round nothing may be left of it: no process, zombie, descriptor or thread; and bystanders have got no signal. The random
 * numbers of a round come from seed and number, so --seed and --round repeat what was started in one.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, promises as fs, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ACTIONS, Stage, WEIGHTS } from './actions.mjs';
import { Baseline, Bystanders, NumberCounter } from './world.mjs';

if (process.env.CORRAL_TEST_CONTAINED !== '1' || !readFileSync('/proc/1/cmdline', 'utf8').includes('corral-contained-init')) {
  throw new Error('This ends processes and runs only in a pid namespace of its own: npm run soak');
}

const { values } = parseArgs({ options: { seconds: { type: 'string' }, seed: { type: 'string' }, round: { type: 'string' } } });
const seconds = Number(values.seconds ?? 60);
const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
const onlyRound = values.round === undefined ? undefined : Number(values.round);

// A sanitizer's runtime is for us and for programs that load the addon, not for what is spawned.
delete process.env.LD_PRELOAD;

/** Room for a herd or two; no more, so that numbers come round quickly. */
const PID_MAX = 800;
/** How long the end of a round may take; what is left then is left for ever. */
const PATIENCE_MS = 20_000;
/** An action that takes so long hangs. */
const HANGS_MS = 60_000;
const WARM_UP_ROUNDS = 10;
const NOTE_EVERY_MS = 60_000;

/** mulberry32: small, and good enough to choose by. */
function generator(a) {
  let state = a | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Since Linux 6.14 each pid namespace has a limit of its own; before, this would change that of the whole machine. */
function lowerPidMax() {
  const [major = 0, minor = 0] = os.release().split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 14)) return;
  try {
    writeFileSync('/proc/sys/kernel/pid_max', String(PID_MAX));
  } catch {
    // An ordinary user's namespace.
  }
}

function rss() {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

const shouldStop = () => existsSync(path.join(process.env.CORRAL_TEST_ROOT, 'stop'));

function withDeadline(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} has not ended in ${HANGS_MS / 1000} s`)), HANGS_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const lots = Object.entries(WEIGHTS).flatMap(([name, weight]) => Array(weight).fill(name));

async function main(artist) {
  const counts = { shapes: new Set() };
  for (const name of ['spawned', 'ended', 'orphaned', 'members', 'signals', 'survivors', 'strangers', 'keepersKilled', 'looks']) {
    counts[name] = 0;
  }
  const actions = {};
  const findings = [];
  const leaked = { processes: 0, zombies: 0, descriptors: 0, threads: 0 };
  lowerPidMax();
  const bystanders = new Bystanders();
  await bystanders.start(artist, 3);
  // The pool of the event loop is made on first use.
  await Promise.all(Array.from({ length: 16 }, () => fs.stat('/')));
  const baseline = new Baseline();
  const pidMax = Number(readFileSync('/proc/sys/kernel/pid_max', 'latin1'));
  const numbers = new NumberCounter(pidMax);
  process.stdout.write(`soak: seed ${seed}, pid_max ${pidMax}\n`);

  const report = (round, names, text) => {
    findings.push(text);
    process.stdout.write(
      `FOUND in round ${round} (${names.join(', ')}): ${text}\n  to repeat it: npm run soak -- --seed ${seed} --round ${round}\n`,
    );
  };

  const begin = performance.now();
  let round = onlyRound ?? 0;
  let rounds = 0;
  let warmRss = 0;
  let nextNote = begin + NOTE_EVERY_MS;
  for (; (performance.now() - begin) / 1000 < seconds && !shouldStop() && findings.length < 20; round++, rounds++) {
    if (onlyRound !== undefined) round = onlyRound;
    const random = generator(seed * 65_537 + round);
    const names = Array.from({ length: 1 + Math.floor(random() * 5) }, () => lots[Math.floor(random() * lots.length)]);
    const outcomes = await Promise.allSettled(
      names.map((name) => withDeadline(ACTIONS[name](new Stage(generator(random() * 2 ** 32), artist, counts)), name)),
    );
    for (const [index, outcome] of outcomes.entries()) {
      actions[names[index]] = (actions[names[index]] ?? 0) + 1;
      if (outcome.status === 'rejected') report(round, names, `${names[index]}: ${outcome.reason?.stack ?? outcome.reason}`);
    }
    for (const leak of await baseline.settled(PATIENCE_MS)) {
      leaked[leak.kind]++;
      report(round, names, leak.text);
      if (leak.kind === 'processes') process.kill(leak.pid, 'SIGKILL');
    }
    for (const complaint of bystanders.complaints()) report(round, names, complaint);
    if (rounds === WARM_UP_ROUNDS) warmRss = rss();
    if (performance.now() > nextNote) {
      nextNote += NOTE_EVERY_MS;
      const { heapUsed, external } = process.memoryUsage();
      const used = `${megabytes(rss() - warmRss)} resident, ${megabytes(heapUsed + external)} of it in use by JavaScript`;
      process.stdout.write(`${rounds + 1} rounds, ${counts.spawned} spawned, memory ${used}\n`);
    }
  }
  await bystanders.end();
  numbers.end();

  const spent = (performance.now() - begin) / 1000;
  const trees = counts.ended + counts.orphaned;
  const percent = (share) => `${(100 * share).toPrecision(2)} %`;
  process.stdout.write(
    [
      `${rounds} rounds in ${spent.toFixed(0)} s${shouldStop() ? ', stopped when asked' : ''}: ${Object.entries(actions)
        .map(([name, count]) => `${name} ${count}`)
        .join(', ')}`,
      `${counts.spawned} spawned in ${counts.shapes.size} shapes, ${counts.ended} trees ended, ${counts.orphaned} whose owner or worker was ended`,
      `${counts.members} members in the reports, ${counts.signals} of them ended by a signal; ${counts.keepersKilled} keepers killed`,
      `${numbers.given} pids given out of ${pidMax}: each was used ${(numbers.given / pidMax).toFixed(1)} times; ${counts.strangers} children of Node told their own end; ${counts.looks} scans`,
      `left over: ${Object.entries(leaked)
        .map(([kind, count]) => `${count} ${kind}`)
        .join(', ')}; ${counts.survivors} survivors; memory ${megabytes(rss() - warmRss)} since round ${WARM_UP_ROUNDS}`,
      findings.length === 0
        ? `nothing found in ${trees} trees and ${rounds} rounds: what happens to more than ${percent(3 / trees)} of trees, or in more than ${percent(3 / rounds)} of rounds, would have been seen with 95 % certainty; what is rarer, or needs a shape, an event or a kernel that is not here, would not`
        : `${findings.length} findings, seed ${seed}`,
      '',
    ].join('\n'),
  );
  return findings.length;
}

const megabytes = (bytes) => `${bytes < 0 ? '' : '+'}${(bytes / 2 ** 20).toFixed(1)} MB`;

const directory = mkdtempSync(path.join(os.tmpdir(), 'corral-soak-'));
try {
  const artist = path.join(directory, 'artist');
  const source = fileURLToPath(new URL('../fixtures/c/artist.c', import.meta.url));
  execFileSync(process.env.CC || 'cc', ['-std=gnu11', '-O2', '-static', '-pthread', '-o', artist, source], { stdio: 'inherit' });
  process.exitCode = (await main(artist)) === 0 ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
