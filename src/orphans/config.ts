/**
 * Where the configuration of the cleanup comes from: finds the project, reads the files, hands the layers to
 * `mergeLayers`. Never throws: what can not be read or understood becomes a warning and, where it could have protected
 * something, a run that only reports. Loaded at every session start, so nothing heavy is imported.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { type CleanupConfig, type ConfigFlags, environmentLayer, flagsLayer, type Layer, mergeLayers } from './config-layers.js';

export type { CleanupConfig, ConfigFlags, ConfigSource } from './config-layers.js';

/** Larger than any sane configuration; a bigger file counts as broken. */
const MAX_FILE_BYTES = 1024 * 1024;
const PROJECT_MARKS = ['.corral.json', '.moai', '.claude', '.git'];

export interface LoadConfigOptions {
  /** Where to look for the project from, e.g. the `cwd` a hook was told. Default: the current directory. */
  cwd?: string | undefined;
  env?: NodeJS.ProcessEnv;
  flags?: ConfigFlags;
}

/** Reads and merges everything. Precedence: flags > CORRAL_* > user file > project file > .moai/config.json > defaults. */
export function loadConfig({ cwd = currentDirectory(), env = process.env, flags = {} }: LoadConfigOptions = {}): CleanupConfig {
  const projectRoot = findProjectRoot(cwd, env);
  return mergeLayers(
    [
      readLayer('moai', path.join(projectRoot, '.moai', 'config.json')),
      readLayer('project', path.join(projectRoot, '.corral.json')),
      readLayer('user', userConfigPath(env)),
      environmentLayer(env),
      flagsLayer(flags),
    ],
    projectRoot,
  );
}

/** CLAUDE_PROJECT_DIR, else the nearest directory from `cwd` upwards that looks like a project's root, else `cwd` itself. */
export function findProjectRoot(cwd: string, env: NodeJS.ProcessEnv = process.env): string {
  const named = env.CLAUDE_PROJECT_DIR;
  if (named && path.isAbsolute(named) && isDirectory(named)) return path.resolve(named);
  const start = path.resolve(cwd);
  for (let directory = start; ; directory = path.dirname(directory)) {
    if (PROJECT_MARKS.some((mark) => existsSync(path.join(directory, mark)))) return directory;
    if (directory === path.dirname(directory)) return start;
  }
}

/** $XDG_CONFIG_HOME/corral/config.json; a relative XDG_CONFIG_HOME is ignored, as the XDG specification wants. */
export function userConfigPath(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_CONFIG_HOME;
  return path.join(base && path.isAbsolute(base) ? base : path.join(env.HOME || homedir(), '.config'), 'corral', 'config.json');
}

function readLayer(kind: Layer['kind'], file: string): Layer {
  try {
    // First: opening a named pipe would wait for its writer. Most files are not there, and an error made and caught takes as long as reading one.
    const status = statSync(file, { throwIfNoEntry: false });
    if (status === undefined) return { kind, origin: file };
    if (!status.isFile()) return { kind, origin: file, problem: 'expected a file' };
    if (status.size > MAX_FILE_BYTES)
      return { kind, origin: file, problem: `expected at most ${MAX_FILE_BYTES} bytes, received ${status.size}` };
    return { kind, origin: file, value: JSON.parse(readFileSync(file, 'utf8').replace(/^\uFEFF/, '')) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind, origin: file };
    return { kind, origin: file, problem: error instanceof SyntaxError ? `expected JSON: ${message}` : message };
  }
}

/** '/' when ours has been removed: a project that is gone configures nothing. */
function currentDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return '/';
  }
}

function isDirectory(file: string): boolean {
  try {
    return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch {
    return false;
  }
}
