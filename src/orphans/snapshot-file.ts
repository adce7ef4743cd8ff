/**
 * A scene as a file: what a sweep saw, to be judged again elsewhere, with other rules or by somebody who has to understand a verdict.
 * Environments are not in it except the few names evidence is made of; what looks like a secret in a command line is blotted out.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { invalidArgument, ProcessError } from '../errors.js';
import { ProcessTable } from '../tree/table.js';
import type { Facts } from './classify.js';
import type { Scene } from './scene.js';

type SavedFacts = Pick<Facts, 'self' | 'uid' | 'session'> & { agents?: number[] };

/** For the owner only (0600). @throws the file system's error. */
export function saveScene(scene: Scene, file: string): void {
  // Rules and thresholds are not facts: they are those in force where it is judged again.
  const { self, uid, session, agents } = scene.facts;
  const facts: SavedFacts = { self, uid, session, agents: [...(agents ?? [])] };
  const table = scene.flat().toJSON();
  const processes = table.processes.map((row) => (row.args === undefined ? row : { ...row, args: withoutSecrets(row.args) }));
  writeFileSync(file, `${JSON.stringify({ ...table, processes, facts }, null, 1)}\n`, { mode: 0o600 });
}

/**
 * What `saveScene` wrote; ages are those of then.
 * @throws ProcessError ERR_INVALID_ARGUMENT naming what is wrong with it; the file system's error.
 */
export function loadScene(file: string): Scene {
  let saved: unknown;
  try {
    saved = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new ProcessError('ERR_INVALID_ARGUMENT', `${file}: expected the JSON of a saved snapshot`, { cause });
  }
  const table = ProcessTable.fromJSON(saved);
  return { table, flat: () => table, facts: checkFacts((saved as { facts?: unknown }).facts, table) };
}

function checkFacts(facts: unknown, table: ProcessTable): Facts {
  if (typeof facts !== 'object' || facts === null) throw invalidArgument('snapshot.facts', 'an object', facts);
  const { self, uid, session, agents = [] } = facts as Partial<SavedFacts>;
  if (!Number.isInteger(self)) throw invalidArgument('snapshot.facts.self', 'a process id', self);
  if (uid !== undefined && !Number.isInteger(uid)) throw invalidArgument('snapshot.facts.uid', 'a user id', uid);
  if (session !== undefined && typeof session !== 'string') throw invalidArgument('snapshot.facts.session', 'a string', session);
  if (!Array.isArray(agents) || !agents.every(Number.isInteger))
    throw invalidArgument('snapshot.facts.agents', 'an array of process ids', agents);
  return { now: table.nowMs, self: self as number, uid, session, agents };
}

const SECRET_NAME = '[\\w-]*(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|authorization|credential)[\\w-]*';
/** TOKEN=..., --api-key=..., "Authorization: Bearer ...", https://user:password@... */
const SECRETS: ReadonlyArray<[RegExp, string]> = [
  [new RegExp(`(${SECRET_NAME}\\s*[=:]\\s*(?:bearer\\s+|basic\\s+)?)[^\\s'";&|]+`, 'gi'), '$1***'],
  [/(:\/\/[^\s/:@]+:)[^\s/@]+@/g, '$1***@'],
];
const SECRET_OPTION = new RegExp(`^--?${SECRET_NAME}$`, 'i');

/** The arguments with what looks like a secret replaced by ***; --token VALUE included. */
export function withoutSecrets(args: readonly string[]): string[] {
  return args.map((arg, index) => {
    const previous = args[index - 1];
    if (previous !== undefined && SECRET_OPTION.test(previous) && !arg.startsWith('-')) return '***';
    return SECRETS.reduce((text, [secret, blot]) => text.replace(secret, blot), arg);
  });
}
