/** A second place to compile the addon in, so that another set of flags leaves build/ alone: a copy of the native sources. */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from './command.mjs';
import { nativeSources } from './prebuilds.mjs';

/** Makes .cache/NAME with the sources (times kept: make compiles what changed) and answers with its path. */
export function stage(name) {
  const directory = path.join(projectRoot, '.cache', name);
  for (const part of ['native', 'scripts']) rmSync(path.join(directory, part), { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const file of [...nativeSources(), 'package.json']) {
    cpSync(path.join(projectRoot, file), path.join(directory, file), { preserveTimestamps: true });
  }
  return directory;
}
