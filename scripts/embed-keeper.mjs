/**
 * Compiles the keeper and writes its bytes as a C initializer, for the addon to embed:
 *   node scripts/embed-keeper.mjs OUTPUT.inc [--elf FILE]
 * CC names the compiler (default cc). The output depends on sources and compiler only.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = [
  ...['keeper/keeper.c', 'keeper/members.c', 'keeper/packets.c', 'keeper/runtime.c'],
  ...['sys/cgroup_leaf.c', 'sys/child_setup.c'],
];
const FLAGS = [
  '-std=gnu11',
  '-Os',
  '-g0',
  '-Wall',
  '-Wextra',
  '-Werror',
  // No libc: nothing may call into it, before main or behind our back.
  '-ffreestanding',
  '-fno-stack-protector',
  '-fno-asynchronous-unwind-tables',
  '-fno-ident',
  '-ffunction-sections',
  '-fno-pie',
  '-nostdlib',
  '-static',
  '-Wl,--gc-sections',
  '-Wl,--build-id=none',
  '-Wl,-z,noexecstack',
  '-Wl,-z,norelro',
  // One segment for code and constants: the whole program is two or three pages.
  '-Wl,-z,noseparate-code',
  '-Wl,-s',
];

const [output, option, elf] = process.argv.slice(2);
if (output === undefined || (option !== undefined && (option !== '--elf' || elf === undefined))) {
  console.error('usage: node scripts/embed-keeper.mjs OUTPUT.inc [--elf FILE]');
  process.exit(2);
}

// Relative names from a fixed directory, so that no path of this machine can get into the output.
const native = fileURLToPath(new URL('../native', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'corral-keeper-'));
try {
  const program = join(directory, 'keeper');
  const [compiler, ...prefix] = (process.env.CC || 'cc').split(/\s+/).filter(Boolean);
  execFileSync(compiler, [...prefix, ...FLAGS, '-o', program, ...SOURCES], { cwd: native, stdio: 'inherit' });
  const bytes = readFileSync(program);
  const lines = [];
  for (let at = 0; at < bytes.length; at += 24) lines.push(`${[...bytes.subarray(at, at + 24)].join(',')},\n`);
  mkdirSync(dirname(resolve(output)), { recursive: true });
  writeFileSync(output, lines.join(''));
  if (elf !== undefined) writeFileSync(elf, bytes, { mode: 0o755 });
} catch (error) {
  // The compiler has written its own messages.
  console.error(`embed-keeper: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
