/**
 * Compiles the C and C++ programs of this directory, together with the sources of native/ they exercise, without Node. Under
 * AddressSanitizer and UndefinedBehaviorSanitizer where the C library has them (glibc; not musl), or ThreadSanitizer: any finding ends the
 * program with an error.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const SYS = fileURLToPath(new URL('../../../native/sys/', import.meta.url));
const WARNINGS = ['-Wall', '-Wextra', '-Wconversion', '-Wsign-conversion', '-Werror'];
/** As the addon is built, so that nothing slips in that it does not allow. */
const DIALECT = { '.c': ['-std=gnu11'], '.cc': ['-std=c++17', '-fno-exceptions', '-fno-rtti'] };
const report = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
export const hasSanitizers = report.header.glibcVersionRuntime !== undefined;
const SANITIZERS = {
  memory: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  threads: ['-fsanitize=thread'],
};

export interface Program {
  /** A file of this directory. */
  source: string;
  /** Files of native/sys it is linked with. */
  sys?: string[];
  /** The same, never sanitized: what runs in a child that shares its parent's memory would confuse the runtime of a sanitizer. */
  plain?: string[];
  flags?: string[];
  /** A fixture that is only looked at gains nothing from it. Default 'memory'. */
  sanitize?: 'memory' | 'threads' | false;
}

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** Compiles it into a directory that is removed when the test file is done; returns its path. */
export async function compile({ source, sys = [], plain = [], flags = [], sanitize = 'memory' }: Program): Promise<string> {
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-cc-'));
  directories.push(directory);
  const { name } = path.parse(source);
  const program = path.join(directory, name);
  const options = [...WARNINGS, '-g', '-O1', '-pthread', ...flags];
  const checks = sanitize && hasSanitizers ? SANITIZERS[sanitize] : [];
  const objects = plain.map((file) => path.join(directory, `${path.parse(file).name}.o`));
  for (const [index, file] of plain.entries()) {
    await promisify(execFile)(compilerOf(file), [
      ...dialectOf(file),
      ...options,
      '-c',
      path.join(SYS, file),
      '-o',
      objects[index] as string,
    ]);
  }
  const sources = [path.join(HERE, source), ...sys.map((file) => path.join(SYS, file))];
  await promisify(execFile)(compilerOf(source), [...dialectOf(source), ...options, ...checks, ...sources, ...objects, '-o', program]);
  return program;
}

const dialectOf = (file: string) => DIALECT[path.extname(file) as keyof typeof DIALECT];
const compilerOf = (file: string) => (path.extname(file) === '.c' ? process.env.CC || 'cc' : process.env.CXX || 'c++');
