/**
 * What `terminate` looks for: a selection that remembers, from one look to the next, what is its own.
 */
import type { ProcessField, ProcessIdentity, ProcessInfo } from '../types.js';
import { self } from './identity.js';
import { type ClaimOptions, claimOf, selectMembers } from './members.js';
import { keyOf } from './row.js';
import { scan } from './scan.js';
import type { Select } from './terminate.js';

const FIELDS: readonly ProcessField[] = ['name', 'ppid', 'pgid', 'sid', 'state'];

/**
 * The whole tree below a process by the rules of members.ts: descendants, and the groups and sessions they lead. With `mark` also what
 * carries the tree's CORRAL_TREE: that reads the environment of every process.
 */
export function selectTree(root: ProcessIdentity, options: ClaimOptions = {}): Select {
  const fields: readonly ProcessField[] = options.mark === undefined ? FIELDS : [...FIELDS, 'env'];
  let claim = claimOf(root, options);
  return async (isLed) => {
    const found = selectMembers(await scan({ fields }), claim, self(), { isLed });
    claim = found.claim;
    return found.members;
  };
}

/**
 * Looks twice when the first look finds nobody new, and gives its rows and who only the second has found. One look is not one instant: a
 * child that was forked after the list of pids was taken, by a parent that stood still when its own turn came, is not in it. It is in one
 * that begins after that. So when nobody is new and, by the first, everybody stood still, there is nobody else. Somebody new is told at
 * once: he shall be stopped before he forks, and after that it will be looked again.
 */
export function twice(select: Select): Select {
  const known = new Set<string>();
  const news = (rows: readonly ProcessInfo[]) => {
    const unknown = rows.filter((row) => !known.has(keyOf(row)));
    for (const row of unknown) known.add(keyOf(row));
    return unknown;
  };
  return async (...hints) => {
    const first = await select(...hints);
    if (first.length === 0 || news(first).length > 0) return first;
    return [...first, ...news(await select(...hints))];
  };
}
