/**
 * Compiles the C and C++ programs of this directory, together with the sources of native/sys they exercise, without Node. Under
 * AddressSanitizer and UndefinedBehaviorSanitizer where the C library has them (glibc; not musl): any finding ends the program with an error.
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
const SANITIZERS = report.header.glibcVersionRuntime ? ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'] : [];

export interface Program {
  /** A file of this directory. */
  source: string;
  /** Files of native/sys it is linked with. */
  sys?: string[];
  flags?: string[];
  /** A fixture that is only looked at gains nothing from it. Default true. */
  sanitize?: boolean;
}

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** Compiles it into a directory that is removed when the test file is done; returns its path. */
export async function compile({ source, sys = [], flags = [], sanitize = true }: Program): Promise<string> {
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-cc-'));
  directories.push(directory);
  const { name, ext } = path.parse(source);
  const program = path.join(directory, name);
  const compiler = ext === '.c' ? process.env.CC || 'cc' : process.env.CXX || 'c++';
  const sources = [path.join(HERE, source), ...sys.map((file) => path.join(SYS, file))];
  const dialect = DIALECT[ext as keyof typeof DIALECT];
  const options = [...dialect, ...WARNINGS, ...(sanitize ? SANITIZERS : []), '-g', '-O1', '-pthread', ...flags];
  await promisify(execFile)(compiler, [...options, ...sources, '-o', program]);
  return program;
}
