/**
 * `npm test`: everything there is to check, in one command; `npm test -- WORD...` runs only the legs whose names contain a word. Checks, builds, then the suites; those that kill run in a pid namespace of
 * their own (contained.mjs), as root and once more as an ordinary user, or only as the ordinary user we are.
 *
 * Ends with one line "N passed, N failed, N skipped" over all of it, and with 0 only when nothing failed. Where namespaces are forbidden
 * the suites that need one count as failed; CORRAL_TEST_ALLOW_UNCONTAINED=1 makes them count as skipped.
 */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { checks } from './check.mjs';
import { namespaceCommand, runContained } from './contained.mjs';
import { fuzzAll } from './fuzz.mjs';
import { projectRoot, run, script } from './lib/command.mjs';
import { sanitizedEnvironment, threadSanitizedEnvironment } from './lib/node-gyp.mjs';
import { soak } from './soak.mjs';

const results = mkdtempSync(path.join(tmpdir(), 'corral-results-'));
chmodSync(results, 0o1777); // the ordinary user of the second leg reports here, too

const isRoot = process.getuid() === 0;
const hasNamespaces = namespaceCommand() !== undefined;
const mayStayUncontained = process.env.CORRAL_TEST_ALLOW_UNCONTAINED === '1';

/** One row per leg: { name, passed, failed, skipped, seconds, names of what failed, note }. */
const legs = [];

const heading = (name) => process.stdout.write(`\n=== ${name} ===\n`);

let interruptedBy;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interruptedBy = signal; // what runs is told by run() and runContained(); we stop at the end of its leg
  });
}

async function leg(name, body) {
  if (!isWanted(name)) return true;
  heading(name);
  const begin = performance.now();
  const outcome = await body();
  const row = { name, passed: 0, failed: 0, skipped: 0, names: [], note: '', ...outcome, seconds: (performance.now() - begin) / 1000 };
  legs.push(row);
  if (interruptedBy !== undefined) {
    rmSync(results, { recursive: true, force: true });
    process.exit(128 + constants.signals[interruptedBy]);
  }
  return row.failed === 0;
}

/** A leg of command lines that each count as one test. */
function commands(list) {
  return async () => {
    let passed = 0;
    const broken = [];
    for (const { name, command, env } of list) {
      const { ok, output } = await run(command, { env });
      process.stdout.write(`${ok ? 'ok' : 'FAILED'}  ${name}\n${ok ? '' : output}`);
      if (ok) passed++;
      else broken.push(name);
    }
    return { passed, failed: broken.length, names: broken };
  };
}

/** Relative, because the ordinary user may run in a copy of the checkout; `node` is the one we are, there as well. */
function vitest(report, projects, options) {
  return [
    'node',
    'node_modules/vitest/vitest.mjs',
    'run',
    '--configLoader=runner',
    ...projects.map((project) => `--project=${project}`),
    '--reporter=default',
    '--reporter=json',
    '--reporter=./test/helpers/unhandled-reporter.mjs',
    `--outputFile.json=${report}`,
    ...options,
  ];
}

/** Where a run says what no test is to blame for: errors outside of tests, and behind them what was left behind, by another user. */
const notesOf = (report) => `${report}.notes`;
const readNotes = (report) =>
  [notesOf(report), `${notesOf(report)}.left`].flatMap((file) => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []));

/** What failed, in a line: of a long run's output often only the end is kept. */
const summary = (message = '') =>
  message
    .split('\n')
    .slice(0, 3)
    .map((line) => line.trim())
    .join(' ')
    .slice(0, 500);

/** Counts of a vitest run. A file that could not be loaded, a failed hook, a leak or a crash is one failure more. */
function tally(report, exitCode) {
  const notes = exitCode === 0 ? [] : readNotes(report);
  if (!existsSync(report)) return { failed: 1, names: notes, note: `no report (exit code ${exitCode})` };
  const { numPassedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
  const names = testResults.flatMap((file) => {
    const where = path.basename(file.name, '.test.ts');
    const failures = file.assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => `${where}: ${test.fullName}: ${summary(test.failureMessages[0])}`);
    return file.status === 'failed' && failures.length === 0 ? [where] : failures;
  });
  const failed = names.length;
  const onlyOutside = failed === 0 && exitCode !== 0;
  const empty = testResults.length === 0;
  return {
    passed: numPassedTests,
    failed: failed + (onlyOutside || empty ? 1 : 0),
    skipped: numPendingTests + numTodoTests,
    names: [...names, ...notes],
    note: empty ? 'no test was found' : onlyOutside && notes.length === 0 ? `exit code ${exitCode}: see the messages above` : '',
  };
}

let reports = 0;
function suite(projects, runner, { environment = () => ({}), options = [] } = {}) {
  return async () => {
    const report = path.join(results, `${++reports}.json`);
    const env = { ...environment(), CORRAL_TEST_NOTES: notesOf(report) };
    return tally(report, await runner(vitest(report, projects, options), env));
  };
}

const here = async (command, env) => (await run([process.execPath, ...command.slice(1)], { env, show: true })).code;
const contained = (options) => (command, env) => runContained(command, { ...options, env });

function notRun(name, why) {
  legs.push({
    name,
    passed: 0,
    failed: mayStayUncontained ? 0 : 1,
    skipped: mayStayUncontained ? 1 : 0,
    seconds: 0,
    names: [],
    note: `NOT RUN: ${why}`,
  });
}

/** The addon in every test that loads it. The parts of native/ that have drivers of their own are sanitized in every leg. */
const withSanitizers = {
  environment: sanitizedEnvironment,
  options: [
    'test/native/keeper*',
    'test/native/proc-*',
    'test/native/cgroup-parse*',
    'test/native/watch-thread*',
    'test/integration/leak-guard*',
    // Hundreds of short programs, which have all been seen in the legs before.
    'test/integration/escape-matrix*',
    'test/integration/kernel-fallbacks*',
  ].flatMap((pattern) => ['--exclude', pattern]),
};

/** A round of the soak is no test that could be counted; all of it is one. */
function soaked(seconds, options) {
  return async () => {
    const code = await soak(['--seconds', String(seconds)], options);
    return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, note: code === 0 ? '' : `exit code ${code}: see above` };
  };
}

const words = process.argv.slice(2);
const isWanted = (name) => words.length === 0 || words.some((word) => name.includes(word));

process.chdir(projectRoot);
await leg('checks', commands(checks));
const isBuilt = await leg(
  'build',
  commands([
    { name: 'dist', command: script('build.mjs', 'dist') },
    { name: 'addon', command: script('build.mjs', 'native') },
    { name: 'addon with sanitizers', command: script('build.mjs', 'sanitized') },
    { name: 'addon without identity checks', command: script('build.mjs', 'unverified') },
    { name: 'addon with ThreadSanitizer', command: script('build.mjs', 'sanitized-threads') },
  ]),
);
await leg('unit', suite(['unit'], here));
await leg('fuzz', () => fuzzAll({ seconds: 20 }));

/** What loads the addon in Node; the rest of native/ has no threads, or a driver that is sanitized in every leg (watch-thread). */
const THREADED = ['addon-open', 'addon-spawn', 'addon-terminal', 'addon-watchdog', 'addon-lifecycle'];

async function withThreadSanitizer() {
  const report = path.join(results, `${++reports}.json`);
  const variables = Object.entries(threadSanitizedEnvironment()).map(([name, value]) => `${name}=${value}`);
  const files = THREADED.map((name) => `test/native/${name}.test.ts`);
  const env = { CORRAL_TEST_NOTES: notesOf(report) };
  return tally(report, await runContained(['setarch', '-R', 'env', ...variables, ...vitest(report, ['native'], files)], { env }));
}

const killing = [
  ...(isRoot ? [['native and integration, as root', suite(['native', 'integration'], contained({}))]] : []),
  ['native and integration, as an ordinary user', suite(['native', 'integration'], contained({ unprivileged: true }))],
  ['native and integration, with sanitizers', suite(['native', 'integration'], contained({}), withSanitizers)],
  ['native, with ThreadSanitizer', withThreadSanitizer],
  ['soak', soaked(60, {})],
  ['soak, with ThreadSanitizer', soaked(30, { threads: true })],
  ['package', suite(['package'], contained({}))],
];
for (const [name, body] of killing) {
  if (!isWanted(name)) continue;
  if (!isBuilt) notRun(name, 'the build failed');
  else if (!hasNamespaces) notRun(name, 'pid namespaces are not allowed on this machine');
  else await leg(name, body);
}
rmSync(results, { recursive: true, force: true });

heading('summary');
for (const { name, passed, failed, skipped, seconds, names, note } of legs) {
  const counts = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  process.stdout.write(`${name}: ${counts} (${seconds.toFixed(1)} s)${note && `  ${note}`}\n`);
  for (const failure of names) process.stdout.write(`  FAILED ${failure}\n`);
}
if (!hasNamespaces) {
  const hint = mayStayUncontained ? '' : ' Set CORRAL_TEST_ALLOW_UNCONTAINED=1 to accept that.';
  process.stdout.write(`\nATTENTION: nothing that ends processes was tested, because pid namespaces are not allowed here.${hint}\n`);
}
const sum = (field) => legs.reduce((total, row) => total + row[field], 0);
process.stdout.write(`\n${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped\n`);
process.exitCode = sum('failed') === 0 ? 0 : 1;
