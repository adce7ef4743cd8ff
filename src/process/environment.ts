/**
 * The environment of a child: what it inherits, what is laid over that, and the mark by which corral finds its own again.
 *
 * Reading all of process.env costs tens of microseconds, more than the rest of a spawn, and nothing tells when a copy is out of
 * date. So the addon copies `environ` itself wherever process.env writes through to it, and JavaScript names the changes only.
 */
import { readFileSync } from 'node:fs';
import { types } from 'node:util';
import { invalidArgument, ProcessError } from '../errors.js';
import { native } from '../native.js';

/** Identifies the tree a process was started in. */
export const TREE_MARK = 'CORRAL_TREE';
/** The trees around that one (a corral inside a corral), innermost first, separated by colons. */
export const OUTER_TREES_MARK = 'CORRAL_TREE_PARENTS';

let prefix: string | undefined;
let trees = 0;

/** A value for TREE_MARK: nobody can guess it, and no two trees of one boot share it. Contains no colon. */
export function newTreeId(): string {
  return treeIdOf(++trees);
}

/** Which tree of this process it is, counted from 1. */
export function treeNumber(treeId: string): number {
  return Number(treeId.slice(treeId.indexOf('.') + 1));
}

/** The id of a tree of this process. */
export function treeIdOf(tree: number): string {
  prefix ??= uuid().trim().replaceAll('-', '');
  return `${prefix}.${tree}`;
}

/** From the kernel, as loading Node's crypto takes milliseconds; from there where there is no /proc, or no descriptor to read it. */
function uuid(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/uuid', 'latin1');
  } catch {
    return globalThis.crypto.randomUUID();
  }
}

/** The two fields of a SpawnRequest that make the environment. The marks are corral's: neither can be set, kept out or removed. */
export function environmentOf(env: unknown, inheritEnv: boolean, treeId: string): { env: string; inheritEnv: boolean } {
  const changes = env === process.env ? undefined : checkVariables(env); // process.env itself changes nothing
  const inherits = inheritEnv || env === process.env;
  const marks = marksOf(treeId);

  if (!inherits || writesThrough(process.env)) {
    let block = '';
    for (const name in changes) {
      const value = changes[name];
      if (isMark(name)) continue;
      if (value !== undefined) block += `${name}=${value}\0`;
      else if (inherits) block += `${name}\0`;
    }
    return { env: block + marks, inheritEnv: inherits };
  }

  const merged: Record<string, string | undefined> = { ...process.env };
  for (const name in changes) merged[name] = changes[name];
  let block = '';
  for (const name in merged) {
    const value = merged[name];
    if (value !== undefined && !isMark(name)) block += `${name}=${value}\0`;
  }
  return { env: block + marks, inheritEnv: false };
}

function isMark(name: string): boolean {
  return name === TREE_MARK || name === OUTER_TREES_MARK;
}

function marksOf(treeId: string): string {
  const outer = process.env[TREE_MARK];
  if (!outer) return `${TREE_MARK}=${treeId}\0`;
  const outermost = process.env[OUTER_TREES_MARK];
  return `${TREE_MARK}=${treeId}\0${OUTER_TREES_MARK}=${outermost ? `${outer}:${outermost}` : outer}\0`;
}

function checkVariables(env: unknown): Record<string, string | undefined> | undefined {
  if (env === undefined) return undefined;
  if (typeof env !== 'object' || env === null || Array.isArray(env)) throw invalidArgument('env', 'an object of strings', env);
  const variables = env as Record<string, string | undefined>;
  for (const name in variables) {
    if (name === '' || name.includes('=') || name.includes('\0'))
      throw invalidArgument('env', 'names that are not empty and have neither "=" nor NUL', name);
    const value: unknown = variables[name];
    if (value === undefined) continue;
    if (typeof value !== 'string') throw invalidArgument(`env.${name}`, 'a string, or undefined to remove it', value);
    // Not shown: it may be a secret.
    if (value.includes('\0'))
      throw new ProcessError('ERR_INVALID_ARGUMENT', `env.${name}: expected a string without NUL, received one with NUL`);
  }
  return variables;
}

let probed: NodeJS.ProcessEnv | undefined;
let through = false;

/**
 * Whether `environ` is the truth behind this process.env. It is on the main thread of Node and Deno, and in a worker that shares the
 * environment; not in other workers, in Bun, or where a test framework has put an object of its own there. Found out by trying.
 */
function writesThrough(env: NodeJS.ProcessEnv): boolean {
  if (env === probed) return through;
  probed = env;
  const canary = newTreeId();
  try {
    env.CORRAL_PROBE = canary;
    through = !types.isProxy(env) && native().getenv('CORRAL_PROBE') === canary;
    delete env.CORRAL_PROBE;
  } catch {
    through = false; // frozen, or a proxy that objects
  }
  return through;
}
