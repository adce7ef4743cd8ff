/**
 * What a sweep looks at: the processes of the machine with just the facts that judging needs, and who is looking.
 *
 * Everybody's /proc/PID/stat is read; the command line and what costs more only of those whose name a rule knows, the environment (whose
 * read can block on the target's memory lock) only of those who would be condemned, and of the processes above them
 * what tells whether they protect them. Marks of trees are looked for where the line of parents has been cut: among those whose parent
 * is who takes in orphans, and below the marked ones. Each later read counts only if it is of the same process (pid and start time).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { identityOf } from '../tree/identity.js';
import { isOfNamespace, namespaceOf, ownerOf, readMarked } from '../tree/mark.js';
import { keyOf } from '../tree/row.js';
import { scan } from '../tree/scan.js';
import { type ProcessRow, ProcessTable } from '../tree/table.js';
import type { OrphanPolicy, ProcessField, ProcessInfo, ProcessTable as PublicTable } from '../types.js';
import { candidates, type Facts, type NamedRows, suspects } from './classify.js';
import { isInKernel } from './evidence.js';
import { DEFAULT_MIN_AGE_SECONDS } from './policy.js';

export interface Scene {
  table: PublicTable & { ancestors(pid: number): ProcessInfo[] };
  /** The same as plain rows, to be saved. */
  flat(): ProcessTable;
  facts: Facts;
}

/** A scene of this moment. */
export interface LiveScene extends Scene {
  /**
   * False: somebody was gone before he could be asked for the mark of a tree, and may have left a child. That nobody was found does not say
   * then that nobody is left. Where the newborn are spared in any case (`minAgeSeconds`) it is true.
   */
  isSteady: boolean;
}

/** By pid and start time: the mark of each who carries one, and what else there was of him when he was first seen; and who was seen dead. */
export type KnownMarks = Map<string, NonNullable<ReturnType<typeof readMarked>> | 'dead'>;

export interface LookOptions {
  env?: NodeJS.ProcessEnv;
  minAgeSeconds?: number;
  /** Only what this session of an agent started. */
  session?: string | undefined;
  /** Look closely at this process as well, whatever it is called. */
  pid?: number | undefined;
  /** By the clock of performance.now(): nobody is looked at again after this. */
  untilMs?: number;
  /** No closer look at anybody: for those who would be gone by then. */
  quick?: QuickLook;
}

export interface QuickLook {
  /** From earlier looks, and for later ones. */
  marks: KnownMarks;
  /** Told of each who carries a mark as soon as that is known. */
  onMarked(process: ProcessRow, scene: Pick<Scene, 'table' | 'facts'>): void;
}

const EVERYBODY: readonly ProcessField[] = ['name', 'ppid', 'pgid', 'sid', 'state', 'tty', 'startTime', 'threads'];
const CANDIDATES: readonly ProcessField[] = ['args', 'uid', 'exe'];
const SUSPECTS: readonly ProcessField[] = ['cgroup', 'env'];

/** How long a look starts again because all it could have found were gone. */
const HOPPERS_MS = 300;
/** A zombie that began longer ago is not one of a line that only lives to fork (on a busy machine each of them may take seconds). */
const HOPPERS_AGE_SECONDS = 10;
/**
 * Whoever reads from a disk or starts a program (vfork) is in state D for a moment. Stuck there is who is seen so in each of these looks
 * and in the first.
 */
const KERNEL_LOOKS = 5;
const KERNEL_PAUSE_MS = 20;
/** As the user's manager it takes in orphans of the session. */
const SYSTEMD: ReadonlySet<string> = new Set(['systemd']);

/** Of an environment only what evidence is made of is kept: the rest is nobody's business and may be secret. */
const KEPT_VARIABLES = ['CORRAL_TREE', 'CORRAL_TREE_PARENTS', 'CLAUDE_PID', 'CLAUDE_CODE_SESSION_ID', 'CLAUDECODE', 'CLAUDE_PROJECT_DIR'];

/** @throws ProcessError ERR_SCAN when /proc can not be read. */
export async function look(policy: OrphanPolicy, options: LookOptions = {}): Promise<LiveScene> {
  const { env = process.env, minAgeSeconds, session, pid, quick, untilMs: endMs = Number.POSITIVE_INFINITY } = options;
  const agent = Number(env.CLAUDE_PID);
  const facts: Facts = {
    now: Date.now(),
    self: process.pid,
    uid: process.getuid?.(),
    minAgeSeconds,
    session,
    agents: Number.isInteger(agent) && agent > 1 ? [agent] : [],
  };
  const wantsDirectory = policy.protect.some(({ cwd }) => cwd !== undefined);
  const directory: readonly ProcessField[] = wantsDirectory ? ['cwd'] : [];

  const wantsMarks = policy.rules.some(({ require }) => require?.includes('abandoned'));
  const endsNewborn = (minAgeSeconds ?? policy.minAgeSeconds ?? DEFAULT_MIN_AGE_SECONDS) === 0;
  const untilMs = performance.now() + HOPPERS_MS;
  const marks: KnownMarks = quick?.marks ?? new Map();
  let table: DetailedTable;
  let isSteady: boolean;
  do {
    const seen = new DetailedTable(await scan({ fields: EVERYBODY }));
    table = seen;
    facts.now = table.nowMs;
    isSteady = !wantsMarks || table.addMarks(marks, (row) => quick?.onMarked(row, { table: seen, facts })) || !endsNewborn;
    // Who was gone already may have left a child that was not there yet when the scan began. One of the line is enough to begin with.
  } while (!quick && !isSteady && table.marked().length === 0 && performance.now() < untilMs);
  const scene: LiveScene = { table, flat: () => table.flat(), facts, isSteady };
  if (quick) return scene;
  const named = [...candidates(table, policy)].map((row) => row.pid);
  await table.add([...named, ...(pid === undefined ? [] : [pid])], CANDIDATES);

  const suspected = suspects(table, policy, facts).map((row) => row.pid);
  if (pid !== undefined) suspected.push(pid);
  const details = [...CANDIDATES, ...SUSPECTS, ...directory];
  await table.add(suspected, details);
  for (let looks = 0; looks < KERNEL_LOOKS; looks++) {
    const inKernel = suspected.filter((suspect) => isInKernel(table.get(suspect)) && table.get(suspect)?.uid === facts.uid);
    if (inKernel.length === 0 || performance.now() + KERNEL_PAUSE_MS >= endMs) break;
    await delay(KERNEL_PAUSE_MS);
    const there = await table.add(inKernel, details);
    for (const suspect of inKernel) if (!there.has(suspect)) table.ended(suspect);
  }

  const above = new Set<number>();
  for (const suspect of suspected) {
    for (const row of table.ancestors(suspect)) above.add(row.pid);
    const owner = Number(table.get(suspect)?.env?.CLAUDE_PID);
    if (Number.isInteger(owner) && owner > 1) above.add(owner);
  }
  for (const suspect of suspected) above.delete(suspect);
  await table.add([...above], [...CANDIDATES, ...directory]);
  return scene;
}

/** A table whose rows can be looked at more closely. */
class DetailedTable implements PublicTable, NamedRows {
  private readonly details = new Map<number, ProcessRow>();

  constructor(private readonly rough: ProcessTable) {}

  get size(): number {
    return this.rough.size;
  }

  get nowMs(): number {
    return this.rough.nowMs;
  }

  /** Reads more of these. A row whose number has become another's stays as it is: nothing more is known of it. Returns those that were read. */
  async add(pids: readonly number[], fields: readonly ProcessField[]): Promise<Set<number>> {
    const read = new Set<number>();
    if (pids.length === 0) return read;
    for (const row of await scan({ pids: [...pids], fields: [...EVERYBODY, ...fields] })) {
      if (this.rough.find(row) === undefined) continue;
      read.add(row.pid);
      const { treeMark } = this.details.get(row.pid) ?? {};
      this.details.set(row.pid, {
        ...row,
        ...(row.env === undefined ? {} : { env: keptVariables(row.env) }),
        ...(treeMark === undefined ? {} : { treeMark }),
      });
    }
    return read;
  }

  /** It was there, and was looked for once more in vain. */
  ended(pid: number): void {
    const row = this.get(pid);
    if (row !== undefined) this.details.set(pid, { ...row, state: 'X' });
  }

  /**
   * Finds who carries the mark of a tree, and whose it is: some are gone before anything else of them can be read. Only where owner and
   * process are of our own pid namespace: elsewhere the numbers mean others. False: somebody was gone before he could be asked.
   */
  addMarks(marks: KnownMarks, onMarked: (row: ProcessRow) => void): boolean {
    const own = namespaceOf('self');
    let isSteady = true;
    const read = (row: ProcessRow) => {
      const key = keyOf(row);
      const known = marks.get(key);
      if (known === 'dead') return undefined;
      if (!this.rough.isLive(row.pid)) {
        // Seen dead for the first time: it may have left a child that was not there yet when the scan began.
        if ((row.ageSeconds ?? 0) < HOPPERS_AGE_SECONDS) isSteady = false;
        marks.set(key, 'dead');
        return undefined;
      }
      const found = known ?? readMarked(row);
      if (found?.namespace !== undefined) marks.set(key, found);
      else if (found === undefined && identityOf(row.pid)?.startTicks !== row.startTicks) isSteady = false;
      return found;
    };
    const add = (row: ProcessRow): boolean => {
      if (row.pid === 1 || this.rough.isKernelThread(row.pid)) return false;
      const found = read(row);
      const owner = ownerOf(found?.mark);
      if (found === undefined || owner === undefined || own === undefined || !isOfNamespace(owner, own)) return false;
      const isOthers = found.namespace === undefined && found.uid !== process.getuid?.(); // to be named, not ended
      if (found.namespace !== own && !isOthers) return false;
      const marked = { ...this.detailed(row), treeMark: found.mark, uid: found.uid };
      this.details.set(row.pid, marked);
      onMarked(marked);
      return true;
    };
    const adopters = new Set([1, ...this.rough.named(SYSTEMD).map(({ pid }) => pid)]);
    const addAll = (top: ProcessRow): boolean => {
      const isMarked = add(top);
      if (isMarked) for (const row of this.rough.descendants(top.pid)) add(row);
      return isMarked;
    };
    for (const adopter of adopters) for (const top of this.rough.children(adopter)) addAll(top);
    // A child whose parent ended under our eyes was still the parent's when it was read. The next look shows it as the adopter's.
    for (const top of this.rough.parentless()) if (addAll(top)) isSteady = false;
    return isSteady;
  }

  marked(): ProcessRow[] {
    return [...this.details.values()].filter(({ treeMark }) => treeMark !== undefined);
  }

  /** Everything known as one plain table; only this can be saved. */
  flat(): ProcessTable {
    const { nowTicks, nowMs, bootId, ticksPerSecond } = this.rough;
    return ProcessTable.from(this, { nowTicks, nowMs, bootId, ticksPerSecond, scannerPid: process.pid });
  }

  *[Symbol.iterator](): Generator<ProcessRow> {
    for (const row of this.rough) yield this.detailed(row);
  }

  get(pid: number): ProcessRow | undefined {
    return this.details.get(pid) ?? this.rough.get(pid);
  }

  named(names: ReadonlySet<string>): ProcessRow[] {
    return this.all(this.rough.named(names));
  }

  children(pid: number): ProcessRow[] {
    return this.all(this.rough.children(pid));
  }

  descendants(pid: number): ProcessRow[] {
    return this.all(this.rough.descendants(pid));
  }

  ancestors(pid: number): ProcessRow[] {
    return this.all(this.rough.ancestors(pid));
  }

  group(pgid: number): ProcessRow[] {
    return this.all(this.rough.group(pgid));
  }

  session(sid: number): ProcessRow[] {
    return this.all(this.rough.session(sid));
  }

  zombies(): ProcessRow[] {
    return this.all(this.rough.zombies());
  }

  private all(rows: Iterable<ProcessRow>): ProcessRow[] {
    return Array.from(rows, (row) => this.detailed(row));
  }

  private detailed(row: ProcessRow): ProcessRow {
    return this.details.get(row.pid) ?? row;
  }
}

function keptVariables(env: Record<string, string>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of KEPT_VARIABLES) if (env[name] !== undefined) kept[name] = env[name];
  return kept;
}
