/**
 * The static checks: types, lint, format, direction of imports. With --write it formats instead of complaining.
 *   node scripts/check.mjs [--write]
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { projectRoot, run, script, tool } from './lib/command.mjs';

function nativeSources() {
  return ['native', 'test', 'bench'].flatMap((directory) =>
    readdirSync(path.join(projectRoot, directory), { recursive: true })
      .filter((name) => /\.(c|cc|h)$/.test(name))
      .map((name) => path.join(directory, name)),
  );
}

const clangFormat = (...args) => tool('clang-format/index.js', '--style=file:native/.clang-format', ...args, ...nativeSources());

/** Each a name and a command line that fails when something is wrong. */
export const checks = [
  { name: 'types of src', command: tool('typescript/bin/tsc', '--noEmit', '-p', '.') },
  { name: 'types of tests', command: tool('typescript/bin/tsc', '-p', 'test') },
  { name: 'lint and format', command: tool('@biomejs/biome/bin/biome', 'check', '--error-on-warnings') },
  { name: 'format of C and C++', command: clangFormat('--dry-run', '--Werror') },
  { name: 'direction of imports', command: script('check-imports.mjs') },
];

const writers = [tool('@biomejs/biome/bin/biome', 'check', '--write'), clangFormat('-i')];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { write: { type: 'boolean' } } });
  for (const command of values.write ? writers : checks.map((check) => check.command)) {
    const { ok, output } = await run(command);
    process.stdout.write(output);
    if (!ok) process.exitCode = 1;
  }
}
