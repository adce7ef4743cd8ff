/**
 * Which processes belong to a tree, as far as /proc can tell. Pure: a table and what is ours so far in, members out.
 *
 * Finding too few leaves a leftover, finding too many kills a stranger; where both are possible the rule here is the narrow one.
 *
 * A process is a member when
 *  1. it is the root, or was a member in an earlier look and still is that very process (pid and start time);
 *  2. its parent is a member;
 *  3. its process group is led, or was led, by a member. Members that only belong to a group lead no one else into the tree: a
 *     child of a shell shares its group with the shell's other children, and those are not ours;
 *  4. its session is led, or was led, by a member, for the same reason;
 *  5. its environment or its limits carry the mark of the tree, and the caller has said which mark that is. A process found by pid is never
 *     asked for its mark: everything a tree starts inherits it, so an outlier of a tree would claim the whole tree;
 *  6. it is in the cgroup that was made for the tree, of whatever age and descent it is.
 * whatever these say, it is not a member when
 *  7. it is a thread of the kernel, PID 1, ourselves, one of our ancestors or a keeper of our own trees; nor do rules 3 and 4
 *     ever apply to the group and session that we are in ourselves;
 *  8. it is older than the member it was found through. A child can not be; its parent's number was used again;
 *  9. it leads a claimed group or session but is not who led it: the number was used again, and the claim is void. The kernel does not
 *     give a number away while a process is left in the group or session of that number, so a claim ends with the first
 *     look that finds nobody in it;
 * 10. it is in a claimed group or session of which nothing shows that the number was not used again since the last look, and it is younger
 *     than that. What shows it: the leader or its zombie; a process that we know already; or the kernel, asked for the group of the
 *     leader itself (`isLed`). An older one is ours: its session it has from its parent, from a time when the number was our leader's.
 * Zombies (nothing of them runs) are followed, since a zombie may lead a group, but are no live members.
 */
import type { ProcessIdentity } from '../types.js';
import type { Self } from './identity.js';
import type { ProcessRow, ProcessTable } from './table.js';

type Key = Pick<ProcessIdentity, 'pid' | 'startTicks'>;

/** What is ours, from one look to the next. */
export interface Claim {
  /** pid → start time. */
  readonly known: ReadonlyMap<number, bigint>;
  /** Process groups and sessions led by a member, by number. */
  readonly groups: ReadonlyMap<number, Led>;
  readonly sessions: ReadonlyMap<number, Led>;
  /** Value of CORRAL_TREE, and the limit of mark.ts; nothing older than `since` carries them. */
  readonly mark?: { readonly value: string; readonly since: bigint; readonly limit?: number | undefined };
  /** Name of the tree's own cgroup, which nothing else is called. */
  readonly leaf?: string;
}

export interface Led {
  /** Start time of the leader. */
  readonly since: bigint;
  /** The last moment at which the number was certainly its own, on the clock of start times. */
  readonly heldAt: bigint;
  /** It was so in the last look. */
  readonly isProven: boolean;
}

/** Whether the process group that this process leads or led is certainly not empty now, so that its number is nobody else's. */
export type IsLed = (leader: Key) => boolean;

export interface ClaimOptions {
  /**
   * The root is known to have led its own group and session since it was started (we started it so): they are claimed even when it
   * has ended. Otherwise only while the root itself, or its zombie, is there to show it.
   */
  leader?: boolean;
  /** With `leader`: when its number was last known to be its own. Default: its start. */
  heldAt?: bigint;
  /** The tree's CORRAL_TREE; the table must have been scanned with 'env'. */
  mark?: string;
  /** The limit that marks the tree (mark.ts). */
  limit?: number | undefined;
  /** The name of the tree's own cgroup; the table must have been scanned with 'cgroup'. */
  leaf?: string;
}

export function claimOf(root: Key, { leader = false, heldAt, mark, limit, leaf }: ClaimOptions = {}): Claim {
  const own = new Map([[root.pid, root.startTicks]]);
  const led: Claim['groups'] = new Map(
    leader ? [[root.pid, { since: root.startTicks, heldAt: heldAt ?? root.startTicks, isProven: false }]] : [],
  );
  return {
    known: own,
    groups: led,
    sessions: led,
    ...(mark === undefined ? {} : { mark: { value: mark, since: root.startTicks, limit } }),
    ...(leaf === undefined ? {} : { leaf }),
  };
}

/** What a table does not show. */
export interface SelectionFacts {
  /** Asked after the look, and counts for all of it. */
  isLed?: IsLed | undefined;
  /** Whether a process carries the claim's limit; asked only of those that nothing else shows to be members. */
  carriesLimit?: ((row: ProcessRow) => boolean) | undefined;
}

/** Live members, parents before children; and the claim for the next look. */
export function selectMembers(
  table: ProcessTable,
  claim: Claim,
  ourselves: Self,
  { isLed = () => false, carriesLimit = () => false }: SelectionFacts = {},
): { members: ProcessRow[]; claim: Claim } {
  const known = new Map(claim.known);
  const proves = (leader: Key, rows: readonly ProcessRow[]) =>
    table.find(leader) !== undefined || rows.some((row) => claim.known.get(row.pid) === row.startTicks) || isLed(leader);
  const groups = stillHeld(claim.groups, table, ourselves.pgid, (pgid) => table.group(pgid), proves);
  const sessions = stillHeld(claim.sessions, table, ourselves.sid, (sid) => table.session(sid), proves);
  const found = new Map<number, ProcessRow>();
  const queue: ProcessRow[] = [];

  const admit = (row: ProcessRow, since: bigint) => {
    if (found.has(row.pid) || row.startTicks < since || isSpared(row, ourselves)) return;
    found.set(row.pid, row);
    known.set(row.pid, row.startTicks);
    queue.push(row);
  };
  // A scan of one session has no others: once everybody is found nobody is looked for.
  const admitAll = (rows: () => readonly ProcessRow[], since: bigint) => {
    if (found.size < table.size) for (const row of rows()) admit(row, since);
  };

  for (const [pid, startTicks] of claim.known) {
    const row = table.find({ pid, startTicks });
    if (row !== undefined) admit(row, startTicks);
  }
  const admitLed = (rows: () => readonly ProcessRow[], { since, heldAt, isProven }: Led) =>
    admitAll(() => (isProven ? rows() : rows().filter(({ startTicks }) => startTicks <= heldAt)), since);
  for (const [pgid, led] of groups) admitLed(() => table.group(pgid), led);
  for (const [sid, led] of sessions) admitLed(() => table.session(sid), led);
  if (claim.mark !== undefined) {
    const { value, since } = claim.mark;
    admitAll(() => [...table].filter((row) => !found.has(row.pid) && (carriesMark(row, value) || carriesLimit(row))), since);
  }

  // Grows while it is walked.
  for (const row of queue) {
    const { pid, startTicks } = row;
    admitAll(() => table.children(pid), startTicks);
    if (row.pgid === pid && pid !== ourselves.pgid && !groups.has(pid)) {
      groups.set(pid, { since: startTicks, heldAt: table.nowTicks, isProven: true });
      admitAll(() => table.group(pid), startTicks);
    }
    if (row.sid === pid && pid !== ourselves.sid && !sessions.has(pid)) {
      sessions.set(pid, { since: startTicks, heldAt: table.nowTicks, isProven: true });
      admitAll(() => table.session(pid), startTicks);
    }
  }
  // Last, and leading nobody else into the tree: whoever was put there from outside may lead a session that is not ours.
  if (claim.leaf !== undefined) {
    for (const row of table) if (isInLeaf(row, claim.leaf) && !isSpared(row, ourselves)) found.set(row.pid, row);
  }
  return {
    members: [...found.values()].filter((row) => table.isLive(row.pid)),
    claim: { ...claim, known, groups, sessions },
  };
}

/** Claims on groups or sessions that can not have become somebody else's (rule 9), nor are our own (rule 7). */
function stillHeld(
  claims: ReadonlyMap<number, Led>,
  table: ProcessTable,
  own: number,
  membersOf: (id: number) => readonly ProcessRow[],
  proves: (leader: Key, rows: readonly ProcessRow[]) => boolean,
): Map<number, Led> {
  const held = new Map<number, Led>();
  for (const [id, led] of claims) {
    const holder = table.get(id);
    const isRecycled = holder !== undefined && holder.startTicks !== led.since;
    const rows = membersOf(id);
    if (isRecycled || id === own || rows.length === 0) continue;
    const isProven = proves({ pid: id, startTicks: led.since }, rows);
    held.set(id, { ...led, isProven, ...(isProven ? { heldAt: table.nowTicks } : {}) });
  }
  return held;
}

function isSpared(row: ProcessRow, ourselves: Self): boolean {
  const { pid, kernelThread = false } = row;
  return pid <= 1 || pid === ourselves.pid || ourselves.ancestors.has(pid) || ourselves.keepers.has(pid) || kernelThread;
}

/** A tree inside a tree has a mark of its own and keeps those around it in CORRAL_TREE_PARENTS, separated by colons. */
function carriesMark({ env }: ProcessRow, mark: string): boolean {
  return env !== undefined && (env.CORRAL_TREE === mark || (env.CORRAL_TREE_PARENTS ?? '').split(':').includes(mark));
}

/** Whether a process is in the cgroup of this name, or below it; the table must have been scanned with 'cgroup'. */
export function isInLeaf({ cgroup }: ProcessRow, name: string): boolean {
  // The line of v2; those of v1 have a number and controllers before the path.
  const path = /^0::(.*)$/m.exec(cgroup ?? '')?.[1];
  return path?.split('/').includes(name) ?? false;
}
