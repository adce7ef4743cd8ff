/** The binaries in prebuilds/ and what is recorded about them: from which sources, and what they need to be loaded. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from './command.mjs';
import { highest, readSharedObject } from './elf.mjs';

export const manifestFile = path.join(projectRoot, 'prebuilds/manifest.json');

/** The only names a binary exports: the entry points of Node-API. */
export const ENTRY_POINTS = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

/** The oldest C and C++ libraries the glibc binaries must be loadable with: those of Node itself. */
export const FLOORS = { GLIBC: '2.28', GLIBCXX: '3.4.21', CXXABI: '1.3.9' };

const filesBelow = (directory) =>
  readdirSync(path.join(projectRoot, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(projectRoot, path.join(entry.parentPath, entry.name)));

/** Everything the addon is compiled from, sorted. */
export function nativeSources() {
  return [...filesBelow('native'), 'binding.gyp', 'scripts/embed-keeper.mjs'].sort();
}

const sha256 = (content) => createHash('sha256').update(content).digest('hex');

/** One hash over names and contents of the sources: a binary whose record has another one is out of date. */
export function sourceHash() {
  return sha256(
    nativeSources()
      .map((file) => `${sha256(readFileSync(path.join(projectRoot, file)))}  ${file}\n`)
      .join(''),
  );
}

/** The binaries there are, as paths below prebuilds/. */
export function binaries() {
  return filesBelow('prebuilds')
    .filter((file) => file.endsWith('.node'))
    .map((file) => path.relative('prebuilds', file))
    .sort();
}

/** The record of one binary, as it stands in the manifest (except for `sources`). */
export function describe(binary) {
  const content = readFileSync(path.join(projectRoot, 'prebuilds', binary));
  const { versions, exports } = readSharedObject(content);
  const needs = Object.fromEntries(Object.keys(FLOORS).map((family) => [family, highest(versions, family) ?? null]));
  return { file: binary, sha256: sha256(content), size: content.length, needs, exports: exports.length };
}
