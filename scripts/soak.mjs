/**
 * The stress suite, for as long as asked (test/soak), in a pid namespace of its own:
 *   node scripts/soak.mjs [--minutes N | --seconds N] [--seed N] [--round N] [--unprivileged] [--threads]
 * Without a time: one minute. --seed and --round repeat one round, again and again. Ctrl-C ends it after the round that runs, with its
 * figures; a second one at once. --threads: with the addon that `build.mjs sanitized-threads` has built, under ThreadSanitizer. Exit code
 * 1 when anything was found, 66 when that was a data race.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runContained } from './contained.mjs';
import { threadSanitizedEnvironment } from './lib/node-gyp.mjs';

/** Resolves with the exit code. */
export function soak(words, { unprivileged = false, threads = false } = {}) {
  const sanitizer = threads ? Object.entries(threadSanitizedEnvironment()).map(([name, value]) => `${name}=${value}`) : [];
  const prefix = threads ? ['setarch', '-R', 'env', ...sanitizer] : [];
  const onFirstInterrupt = (root) => writeFileSync(path.join(root, 'stop'), '');
  return runContained([...prefix, 'node', '--expose-gc', 'test/soak/soak.mjs', ...words], { unprivileged, onFirstInterrupt });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      seconds: { type: 'string' },
      seed: { type: 'string' },
      round: { type: 'string' },
      unprivileged: { type: 'boolean' },
      threads: { type: 'boolean' },
    },
  });
  const seconds = values.seconds ?? Number(values.minutes ?? 1) * 60;
  const numbers = [seconds, values.seed, values.round].filter((value) => value !== undefined);
  if (!numbers.every((value) => Number(value) >= 0) || !(Number(seconds) > 0)) {
    process.stderr.write('usage: node scripts/soak.mjs [--minutes N | --seconds N] [--seed N] [--round N] [--unprivileged]\n');
    process.exit(2);
  }
  const words = ['seed', 'round'].flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]]));
  process.exitCode = await soak(['--seconds', String(seconds), ...words], values);
}
