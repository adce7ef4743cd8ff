#!/usr/bin/env node
/**
 * Compares corral with its peers and with C limits, all in one run on one machine:
 *   npm run bench -- [--quick] [--only spawn,kill,reap,scan,sweep,hook,memory] [--json FILE] [--publish]
 *
 * Out here: compile, install, and start the measuring part again inside a pid namespace of its own, since it starts, holds and kills
 * thousands of processes. What is measured is in suites/, who takes part in lib/cast.mjs, how they take turns in lib/contest.mjs.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runContained } from '../scripts/contained.mjs';
import { makeCast } from './lib/cast.mjs';
import { printRow, printSummary } from './lib/print.mjs';
import { publish } from './lib/publish.mjs';
import { prepare } from './lib/tools.mjs';

const SUITES = ['spawn', 'kill', 'reap', 'scan', 'sweep', 'hook', 'memory'];
const CACHE = fileURLToPath(new URL('.cache', import.meta.url));
const INSIDE = 'CORRAL_TEST_BENCH_INSIDE';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: SUITES.join(',') },
    json: { type: 'string', default: path.join(CACHE, 'results.json') },
    publish: { type: 'boolean', default: false },
  },
});
const chosen = options.only.split(',');
for (const name of chosen) if (!SUITES.includes(name)) throw new Error(`--only: expected some of ${SUITES.join(',')}, got "${name}"`);

const started = performance.now();
const elapsed = () => Math.round((performance.now() - started) / 1000);

function say(text) {
  process.stderr.write(`bench: ${String(elapsed()).padStart(4)} s  ${text}\n`);
}

function machine(versions) {
  const transparentHugePages = readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').match(/\[(\w+)\]/)?.[1];
  return {
    cpu: cpus()[0].model,
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release().replace(/-.*/, ''),
    transparentHugePages,
    versions,
  };
}

/** Above this many runnable processes per core others take turns with us too. */
const BUSY = 0.5;

async function measure(tools) {
  const load = loadavg()[0];
  if (load > BUSY * cpus().length) say(`the machine is busy (load ${load.toFixed(1)}): do not trust these figures`);
  const context = { cast: makeCast(tools), quick: options.quick, say };
  const rows = [];
  for (const name of chosen) {
    const { run } = await import(`./suites/${name}.mjs`);
    for (const row of await run(context)) {
      rows.push(row);
      process.stdout.write(`${printRow(row)}\n`);
    }
  }
  process.stdout.write(printSummary(rows));
  say('done');
  writeFileSync(
    options.json,
    JSON.stringify({ quick: options.quick, suites: chosen, seconds: elapsed(), load, machine: machine(tools.versions), rows }, null, 1),
  );
}

if (process.env[INSIDE]) {
  await measure(JSON.parse(process.env[INSIDE]));
} else {
  mkdirSync(CACHE, { recursive: true });
  const json = path.resolve(options.json);
  const tools = prepare();
  const command = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2), '--json', json];
  process.exitCode = await runContained(command, { env: { [INSIDE]: JSON.stringify(tools) } });
  if (process.exitCode === 0 && options.publish) publish(JSON.parse(readFileSync(json, 'utf8')));
}
