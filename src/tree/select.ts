/**
 * What `terminate` looks for: a selection that remembers, from one look to the next, what is its own.
 */
import type { ProcessField, ProcessIdentity } from '../types.js';
import { self } from './identity.js';
import { type ClaimOptions, claimOf, selectMembers } from './members.js';
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
  return async () => {
    const found = selectMembers(await scan({ fields }), claim, self());
    claim = found.claim;
    return found.members;
  };
}
