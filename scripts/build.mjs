/**
 * Builds what runs: dist/ from src/ (types, modules, the bundled hook) and the addon from native/.
 *   node scripts/build.mjs [dist] [native] [sanitized] [sanitized-threads] [unverified] [--ensure]
 * Without names: dist and native. --ensure: native only if no binary fits this machine. sanitized: the addon once more, beside the real
 * one, with AddressSanitizer and UndefinedBehaviorSanitizer, for the tests; sanitized-threads: with ThreadSanitizer. unverified: another
 * one that signals by number, for the tests of identity to fail with.
 */
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { must, projectRoot, script, tool } from './lib/command.mjs';
import { compile, compileSanitized, compileThreadSanitized, compileUnverified } from './lib/node-gyp.mjs';

async function buildDist() {
  rmSync(path.join(projectRoot, 'dist'), { recursive: true, force: true }); // a removed source must not be shipped
  await must(tool('typescript/bin/tsc', '-p', '.'));
  await must(script('bundle.mjs'));
}

function binaryFits() {
  try {
    createRequire(import.meta.url)('node-gyp-build')(projectRoot);
    return true;
  } catch {
    return false;
  }
}

const { values, positionals } = parseArgs({ options: { ensure: { type: 'boolean' } }, allowPositionals: true });
const wanted = positionals.length === 0 ? ['dist', 'native'] : positionals;
if (wanted.includes('dist')) await buildDist();
if (wanted.includes('native') && !(values.ensure && binaryFits())) await compile();
if (wanted.includes('sanitized')) await compileSanitized();
if (wanted.includes('unverified')) await compileUnverified();
if (wanted.includes('sanitized-threads')) await compileThreadSanitized();
