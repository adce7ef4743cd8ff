/**
 * Where corral keeps what outlives a run: the state directory and the log of a project. Looks at the file system, writes nothing.
 */
import { lstatSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

export const LOG_NAME = 'process_cleanup_log.json';

/** $XDG_STATE_HOME/corral; a relative XDG_STATE_HOME is ignored, as the XDG specification wants. */
export function stateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_STATE_HOME;
  return path.join(base && path.isAbsolute(base) ? base : path.join(env.HOME || homedir(), '.local', 'state'), 'corral');
}

/** The log of a project: where it is, and what may not be followed out of. */
export interface LogPlace {
  path: string;
  /** The file must lie below this directory after every link is followed; undefined: wherever the user said. */
  within?: string;
  warnings: string[];
}

/**
 * The user's own choice; else .moai/cache of the project when it has .moai; else the state directory. A repository may link .moai
 * anywhere: one that leads out of the project is not used.
 */
export function logPlace(projectRoot: string, env: NodeJS.ProcessEnv = process.env, configured: string | null = null): LogPlace {
  if (configured !== null) return { path: configured, warnings: [] };
  const fallback = stateLogPath(projectRoot, env);
  const moai = path.join(projectRoot, '.moai');
  const status = lstatSync(moai, { throwIfNoEntry: false });
  if (!status?.isDirectory() && !status?.isSymbolicLink()) return { path: fallback, warnings: [] };
  const directory = path.join(moai, 'cache');
  if (!staysBelow(directory, projectRoot)) {
    return { path: fallback, warnings: [`${directory} leads out of the project; the log is kept in ${fallback}`] };
  }
  return { path: path.join(directory, LOG_NAME), within: projectRoot, warnings: [] };
}

export function stateLogPath(projectRoot: string, env: NodeJS.ProcessEnv = process.env): string {
  return path.join(stateDirectory(env), projectId(projectRoot), LOG_NAME);
}

/** Whether a path, as far as it exists, is a directory (or nothing yet) below `root` once links are followed. */
export function staysBelow(directory: string, root: string): boolean {
  try {
    const real = realpathSync.native(nearestExisting(directory));
    const realRoot = realpathSync.native(root);
    return real === realRoot || real.startsWith(realRoot === '/' ? '/' : `${realRoot}/`);
  } catch {
    return false; // A link that leads nowhere would be followed by whoever creates its target.
  }
}

function nearestExisting(file: string): string {
  return exists(file) || file === path.dirname(file) ? file : nearestExisting(path.dirname(file));
}

function exists(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

/** 64-bit FNV-1a of the project's real path, in hex: a name, no secret; node:crypto would cost milliseconds at each session start. */
function projectId(projectRoot: string): string {
  let real = path.resolve(projectRoot);
  try {
    real = realpathSync.native(real);
  } catch {
    // It is gone; its name is as good.
  }
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(real)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}
