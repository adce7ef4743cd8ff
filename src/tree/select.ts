/**
 * What `terminate` looks for: selections that remember, from one look to the next, what is theirs.
 */
import type { ProcessField, ProcessIdentity } from '../types.js';
import { self } from './identity.js';
import { type ClaimOptions, claimOf, selectMembers } from './members.js';
import { type ScanOptions, scan } from './scan.js';
import type { Select } from './terminate.js';

const FIELDS: readonly ProcessField[] = ['name', 'ppid', 'pgid', 'sid', 'state'];

/**
 * The whole tree below a process by the rules of members.ts: descendants, groups and sessions they lead; with `mark` also what carries the
 * tree's CORRAL_TREE (reads the environment of every process, so only where ancestry is lost: after the death of a keeper).
 */
export function selectTree(root: ProcessIdentity, options: ClaimOptions = {}): Select {
  return selecting(root, options, { fields: options.mark === undefined ? FIELDS : [...FIELDS, 'env'] });
}

/**
 * The session that a process we started leads or led, its process group included; and what descends from the members seen while they are in
 * the session. Cheap: no file of any other process is opened. Ask only while the session can not have ended and its number be used
 * again: from before the leader is reaped on, or while a member is held.
 */
export function selectSession(leader: ProcessIdentity): Select {
  return selecting(leader, { leader: true }, { fields: FIELDS, sid: leader.pid });
}

function selecting(root: ProcessIdentity, options: ClaimOptions, scanned: ScanOptions): Select {
  let claim = claimOf(root, options);
  return async () => {
    const found = selectMembers(await scan(scanned), claim, self());
    claim = found.claim;
    return found.members;
  };
}
