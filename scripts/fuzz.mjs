/**
 * Fuzzes what parses bytes of others, the targets of test/fuzz, with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer:
 *   node scripts/fuzz.mjs [--seconds N | --runs N] [--merge] [target...]
 * Each target starts from its committed corpus; --seconds are those of all targets together (default 60), --runs those of each. --merge
 * adds to the committed corpus what reaches code that nothing in it reaches. An input that ends a target stays in .cache/fuzz.
 *
 * Without clang, or without its fuzzing engine, the committed corpus is replayed by the ordinary compiler, with the same sanitizers.
 * Exit code 1 when there was a finding.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { projectRoot, run } from './lib/command.mjs';

const WRAPPED = ['openat', 'close', 'read', 'pread', 'readlinkat'].map((name) => `-Wl,--wrap=${name}`);
const KEEPER = ['native/keeper/members.c', 'native/keeper/packets.c', 'native/keeper/runtime.c', 'native/sys/cgroup_leaf.c'];

/** name → sources besides test/fuzz/NAME.cc, and flags for the linker. */
const TARGETS = {
  stat: { sources: ['native/sys/proc_parse.cc', ...KEEPER] },
  lists: { sources: ['native/sys/proc_parse.cc', ...KEEPER] },
  scan: { sources: ['native/sys/proc_parse.cc', 'native/sys/proc_scan.cc'], link: WRAPPED },
  to_keeper: { sources: KEEPER },
  to_owner: { sources: ['native/keeper_events.cc', 'native/sys/proc_parse.cc', 'native/sys/proc_scan.cc'] },
};

const cache = path.join(projectRoot, '.cache/fuzz');
const committed = (name) => path.join(projectRoot, 'test/fuzz/corpus', name);
const inputs = (name) => readdirSync(committed(name)).map((file) => path.join(committed(name), file));

const FLAGS = ['-g', '-O1', '-fno-omit-frame-pointer', '-DCORRAL_HOSTED', '-DCORRAL_WITHOUT_MAIN', '-D_GNU_SOURCE', '-pthread'];
const DIALECTS = { '.c': ['-std=gnu11'], '.cc': ['-std=c++17', '-fno-exceptions', '-fno-rtti'] };

/** Compiles one target into .cache/fuzz; answers with the program, or with what the compiler said. */
async function compile(name, { c, cxx, sanitizers, extra }) {
  const { sources, link = [] } = TARGETS[name];
  const directory = path.join(cache, path.basename(cxx), name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const compiled = await Promise.all(
    [`test/fuzz/${name}.cc`, ...sources, ...extra].map(async (source) => {
      const { ext, name: stem } = path.parse(source);
      const object = path.join(directory, `${stem}.o`);
      const compiler = ext === '.c' ? c : cxx;
      return { object, ...(await run([compiler, ...DIALECTS[ext], ...FLAGS, ...sanitizers, '-c', source, '-o', object])) };
    }),
  );
  const broken = compiled.find(({ ok }) => !ok);
  if (broken !== undefined) return { output: broken.output };
  const objects = compiled.map(({ object }) => object);
  const program = path.join(directory, name);
  const { ok, output } = await run([cxx, ...sanitizers, ...link, '-pthread', ...objects, '-o', program]);
  return ok ? { program } : { output };
}

const CHECKED = 'address,undefined';
const FUZZING = { c: 'clang', cxx: 'clang++', sanitizers: [`-fsanitize=fuzzer,${CHECKED}`, '-fno-sanitize-recover=all'], extra: [] };
const REPLAYING = {
  c: process.env.CC || 'cc',
  cxx: process.env.CXX || 'c++',
  sanitizers: [`-fsanitize=${CHECKED}`, '-fno-sanitize-recover=all'],
  extra: ['test/fuzz/replay.cc'],
};
const ENVIRONMENT = { UBSAN_OPTIONS: 'print_stacktrace=1' };

/** Why this machine can not fuzz; undefined when it can. */
async function obstacle() {
  mkdirSync(cache, { recursive: true });
  if (!(await run(['clang++', '--version'])).ok) return 'there is no clang++ (Debian: apt-get install clang)';
  const { program } = await compile('to_owner', FUZZING);
  return program ? undefined : 'this clang++ has no libFuzzer';
}

/** One target, fuzzed: { ok, output, runs, corpus, covered }. */
async function fuzz(name, limit) {
  const { program, output: complaint } = await compile(name, FUZZING);
  if (program === undefined) return { ok: false, output: complaint };
  const found = path.join(cache, 'corpus', name);
  mkdirSync(found, { recursive: true });
  const options = ['-print_final_stats=1', '-max_len=8192', '-timeout=20', '-rss_limit_mb=1024', `-artifact_prefix=${cache}/${name}-`];
  const { ok, output } = await run([program, ...options, limit, found, committed(name)], { env: ENVIRONMENT });
  return {
    ok,
    output,
    runs: Number(/stat::number_of_executed_units: (\d+)/.exec(output)?.[1] ?? 0),
    covered: Number([...output.matchAll(/ cov: (\d+)/g)].at(-1)?.[1] ?? 0),
    corpus: Number([...output.matchAll(/ corp: (\d+)/g)].at(-1)?.[1] ?? 0),
  };
}

async function merge(name) {
  const { program } = await compile(name, FUZZING);
  return run([program, '-merge=1', '-max_len=8192', committed(name), path.join(cache, 'corpus', name)], { env: ENVIRONMENT });
}

async function replay(name) {
  const { program, output } = await compile(name, REPLAYING);
  return program === undefined ? { ok: false, output } : run([program, ...inputs(name)], { env: ENVIRONMENT });
}

/** Runs the targets, prints one line each, and answers with { passed, failed, skipped, names, note }, each target counting once. */
export async function fuzzAll({ names = Object.keys(TARGETS), seconds = 60, runs } = {}) {
  const why = await obstacle();
  if (why !== undefined) process.stdout.write(`not fuzzed: ${why}; the corpus is replayed instead\n`);
  const failures = [];
  let total = 0;
  for (const name of names) {
    const begin = performance.now();
    const limit = runs === undefined ? `-max_total_time=${Math.max(1, Math.round(seconds / names.length))}` : `-runs=${runs}`;
    const outcome = why === undefined ? await fuzz(name, limit) : await replay(name);
    const spent = (performance.now() - begin) / 1000;
    const counts =
      why === undefined
        ? `${outcome.runs} executions, ${outcome.covered} edges, ${outcome.corpus} inputs in the corpus`
        : `${inputs(name).length} inputs replayed`;
    process.stdout.write(
      `${outcome.ok ? 'ok' : 'FAILED'}  ${name}: ${counts} (${spent.toFixed(1)} s)\n${outcome.ok ? '' : outcome.output}`,
    );
    total += outcome.runs ?? 0;
    if (!outcome.ok) failures.push(name);
  }
  return {
    passed: names.length - failures.length,
    failed: failures.length,
    skipped: why === undefined ? 0 : names.length,
    names: failures,
    note: why === undefined ? `${total} executions` : `corpus replayed, fuzzing skipped: ${why}`,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    options: { seconds: { type: 'string' }, runs: { type: 'string' }, merge: { type: 'boolean' } },
    allowPositionals: true,
  });
  const names = positionals.length === 0 ? Object.keys(TARGETS) : positionals;
  const unknown = names.find((name) => !(name in TARGETS));
  const number = (text) => (text === undefined ? undefined : Number(text));
  if (unknown !== undefined || [values.seconds, values.runs].some((text) => text !== undefined && !(Number(text) > 0))) {
    process.stderr.write('usage: node scripts/fuzz.mjs [--seconds N | --runs N] [--merge] [target...]\n');
    process.stderr.write(`targets: ${Object.keys(TARGETS).join(', ')}\n`);
    process.exit(2);
  }
  const { failed, note } = await fuzzAll({ names, seconds: number(values.seconds), runs: number(values.runs) });
  process.stdout.write(`${note}\n`);
  if (values.merge) for (const name of names) process.stdout.write((await merge(name)).output);
  process.exitCode = failed === 0 ? 0 : 1;
}
