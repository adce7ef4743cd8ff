/**
 * One look at the processes of a machine: rows by pid, and who belongs to whom.
 *
 * Pure: reads no /proc and asks no clock; ages come from the scan's own boot-time clock, never from the wall clock. A table is
 * made from the columns of a native scan and decodes a row when somebody asks for it, or from plain rows (tests, replay).
 * What could not be read is absent and named in `unread`: unknown, never empty.
 */
import { invalidArgument } from '../errors.js';
import type { ScanColumns } from '../native.js';
import type { ProcessField, ProcessIdentity, ProcessTable as PublicTable } from '../types.js';
import { indexesNamed, type Links, linksOfColumns, linksOfRows, rowDecoder, timesOf } from './columns.js';
import { KERNEL_THREAD, type ProcessRow, type TableFacts } from './row.js';

export type { ProcessRow, TableFacts };

/** What `toJSON` gives: a snapshot that can be saved and judged again, ages unchanged. */
export interface SavedTable {
  corralSnapshot: 1;
  bootId: string;
  nowTicks: string;
  nowMs: number;
  ticksPerSecond: number;
  scannerPid?: number;
  processes: Array<Omit<ProcessRow, 'startTicks' | 'bootId' | 'startTime' | 'ageSeconds'> & { startTicks: string; ageSeconds?: number }>;
}

const NONE: readonly number[] = [];
const ZOMBIE = 'Z'.charCodeAt(0);
const DEAD = 'X'.charCodeAt(0);

export class ProcessTable implements PublicTable {
  readonly size: number;
  readonly nowTicks: bigint;
  readonly nowMs: number;
  readonly bootId: string;
  readonly ticksPerSecond: number;
  readonly scannerPid: number | undefined;

  /** Of each row, in ascending order of pid. -1 in a link column: not known. */
  readonly #links: Links;
  readonly #rows: Array<ProcessRow | undefined>;
  readonly #decode: (index: number) => ProcessRow;
  /** Where the rows come from; undefined for plain rows. */
  readonly #columns: ScanColumns | undefined;
  #byParent: Map<number, number[]> | undefined;
  #byGroup: Map<number, number[]> | undefined;
  #bySession: Map<number, number[]> | undefined;

  private constructor(
    links: Links,
    rows: Array<ProcessRow | undefined>,
    decode: (index: number) => ProcessRow,
    facts: TableFacts,
    columns?: ScanColumns,
  ) {
    this.size = links.pid.length;
    this.nowTicks = facts.nowTicks;
    this.nowMs = facts.nowMs;
    this.bootId = facts.bootId ?? '';
    this.ticksPerSecond = facts.ticksPerSecond ?? 100;
    this.scannerPid = facts.scannerPid;
    this.#links = links;
    this.#rows = rows;
    this.#decode = decode;
    this.#columns = columns;
  }

  /** A table over a scan. `fields` are those its rows show; the links between processes are there in any case. */
  static fromColumns(
    columns: ScanColumns,
    fields: Iterable<ProcessField>,
    facts: Omit<TableFacts, 'nowTicks' | 'nowMs'> = {},
  ): ProcessTable {
    const moment = { ...facts, nowTicks: columns.nowTicks, nowMs: columns.nowMs };
    const decode = rowDecoder(columns, new Set(fields), moment);
    return new ProcessTable(linksOfColumns(columns), new Array<undefined>(columns.count).fill(undefined), decode, moment, columns);
  }

  /**
   * A table of plain rows, in any order. A row without `ageSeconds` gets it from its start time.
   * @throws ProcessError ERR_INVALID_ARGUMENT when a pid comes twice.
   */
  static from(rows: Iterable<ProcessRow>, facts: TableFacts): ProcessTable {
    const sorted = [...rows].sort((left, right) => left.pid - right.pid);
    const twice = sorted.find((row, index) => row.pid === sorted[index + 1]?.pid);
    if (twice !== undefined) throw invalidArgument('rows', 'each pid once', `pid ${twice.pid} twice`);
    const complete = sorted.map((row) => (row.ageSeconds === undefined ? { ...row, ...timesOf(row.startTicks, facts) } : row));
    const decode = (index: number) => complete[index]!;
    return new ProcessTable(linksOfRows(complete), complete, decode, { ...facts, bootId: facts.bootId ?? complete[0]?.bootId ?? '' });
  }

  /**
   * The table that `toJSON` saved.
   * @throws ProcessError ERR_INVALID_ARGUMENT naming what is wrong with it.
   */
  static fromJSON(saved: unknown): ProcessTable {
    const { processes, ...head } = checkSaved(saved);
    const facts: TableFacts = { ...head, nowTicks: BigInt(head.nowTicks) };
    const rows = processes.map((process, index): ProcessRow => {
      const where = `snapshot.processes[${index}]`;
      if (typeof process !== 'object' || process === null) throw invalidArgument(where, 'an object', process);
      if (!Number.isInteger(process.pid) || process.pid < 1) throw invalidArgument(`${where}.pid`, 'a process id', process.pid);
      if (!isTicks(process.startTicks)) throw invalidArgument(`${where}.startTicks`, 'clock ticks as a decimal string', process.startTicks);
      return { ...process, startTicks: BigInt(process.startTicks), bootId: head.bootId };
    });
    return ProcessTable.from(rows, facts);
  }

  /** Rows with start times as decimal strings; times that follow from them are left out. */
  toJSON(): SavedTable {
    return {
      corralSnapshot: 1,
      bootId: this.bootId,
      nowTicks: String(this.nowTicks),
      nowMs: this.nowMs,
      ticksPerSecond: this.ticksPerSecond,
      ...(this.scannerPid === undefined ? {} : { scannerPid: this.scannerPid }),
      processes: Array.from(this, ({ bootId: _, startTime: __, ageSeconds, startTicks, ...rest }) => ({
        ...rest,
        startTicks: String(startTicks),
        // Only where it was set by hand.
        ...(ageSeconds === timesOf(startTicks, this).ageSeconds || ageSeconds === undefined ? {} : { ageSeconds }),
      })),
    };
  }

  *[Symbol.iterator](): Generator<ProcessRow> {
    for (let index = 0; index < this.size; index++) yield this.#row(index);
  }

  /** Rows by their place in ascending order of pid; `end` is not among them. */
  rows(start: number, end: number): ProcessRow[] {
    const rows: ProcessRow[] = [];
    for (let index = start; index < Math.min(end, this.size); index++) rows.push(this.#row(index));
    return rows;
  }

  get(pid: number): ProcessRow | undefined {
    const index = this.#indexOf(pid);
    return index < 0 ? undefined : this.#row(index);
  }

  /** The row of that very process; undefined when it is not there or its number belongs to another. */
  find(identity: Pick<ProcessIdentity, 'pid' | 'startTicks'>): ProcessRow | undefined {
    const row = this.get(identity.pid);
    return row !== undefined && row.startTicks === identity.startTicks ? row : undefined;
  }

  /** Rows that bear one of these names (compared as a whole), in ascending order of pid. No object is made of any other row. */
  named(names: ReadonlySet<string>): ProcessRow[] {
    if (this.#columns !== undefined) return indexesNamed(this.#columns, names).map((index) => this.#row(index));
    return [...this].filter((row) => row.name !== undefined && names.has(row.name));
  }

  /** Rows that carry the mark of a tree (mark.ts). A scan does not read it: only rows that somebody has made do. */
  marked(): ProcessRow[] {
    return this.#columns === undefined ? [...this].filter(({ treeMark }) => treeMark !== undefined) : [];
  }

  /**
   * Rows whose parent is not in the table: it ended while the scan was under way, or is not shown to us. Those whose parent is in another
   * pid namespace (0) are not among them.
   */
  parentless(): ProcessRow[] {
    return this.#filter((index) => this.#links.ppid[index]! > 0 && this.#indexOf(this.#links.ppid[index]!) < 0);
  }

  /** Rows whose parent it is, in ascending order of pid. */
  children(pid: number): ProcessRow[] {
    this.#byParent ??= groupBy(this.#links.ppid);
    return this.#pick(this.#byParent.get(pid));
  }

  /** Children, their children and so on; parents before children. */
  descendants(pid: number): ProcessRow[] {
    const found: ProcessRow[] = [];
    // A scan is not one instant: numbers that were used again meanwhile could close a circle.
    const seen = new Set([pid]);
    let level = [pid];
    while (level.length > 0) {
      const next: number[] = [];
      for (const parent of level) {
        for (const child of this.children(parent)) {
          if (seen.has(child.pid)) continue;
          seen.add(child.pid);
          found.push(child);
          next.push(child.pid);
        }
      }
      level = next;
    }
    return found;
  }

  /** Parent, its parent and so on, as far as the table knows them; nearest first. */
  ancestors(pid: number): ProcessRow[] {
    const found: ProcessRow[] = [];
    const seen = new Set([pid]);
    for (let index = this.#indexOf(pid); index >= 0; ) {
      const parent = this.#links.ppid[index]!;
      index = seen.has(parent) ? -1 : this.#indexOf(parent);
      if (index < 0) break;
      seen.add(parent);
      found.push(this.#row(index));
    }
    return found;
  }

  /** Members of a process group, zombies included. */
  group(pgid: number): ProcessRow[] {
    this.#byGroup ??= groupBy(this.#links.pgid);
    return this.#pick(this.#byGroup.get(pgid));
  }

  /** Members of a session, zombies included. */
  session(sid: number): ProcessRow[] {
    this.#bySession ??= groupBy(this.#links.sid);
    return this.#pick(this.#bySession.get(sid));
  }

  /** What has ended and was not yet waited for by its parent. */
  zombies(): ProcessRow[] {
    return this.#filter((index) => this.#links.state[index] === ZOMBIE && !this.#isLive(index));
  }

  /**
   * Whether anything of the process still runs. State Z alone does not say no: a process whose first thread has ended shows it
   * while the others run on, and only its thread count (1 for a real zombie) tells them apart.
   */
  isLive(pid: number): boolean {
    const index = this.#indexOf(pid);
    return index >= 0 && this.#isLive(index);
  }

  isKernelThread(pid: number): boolean {
    const index = this.#indexOf(pid);
    return index >= 0 && (this.#links.flags[index]! & KERNEL_THREAD) !== 0;
  }

  #isLive(index: number): boolean {
    const state = this.#links.state[index];
    if (state === ZOMBIE) return this.#links.threads[index]! > 1;
    return state !== DEAD;
  }

  #row(index: number): ProcessRow {
    this.#rows[index] ??= this.#decode(index);
    return this.#rows[index]!;
  }

  #pick(indexes: readonly number[] = NONE): ProcessRow[] {
    return indexes.map((index) => this.#row(index));
  }

  #filter(test: (index: number) => boolean): ProcessRow[] {
    const found: ProcessRow[] = [];
    for (let index = 0; index < this.size; index++) if (test(index)) found.push(this.#row(index));
    return found;
  }

  /** Rows are sorted by pid: a search instead of a map that most tables would never use. */
  #indexOf(pid: number): number {
    const pids = this.#links.pid;
    let low = 0;
    let high = pids.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = pids[middle]!;
      if (found === pid) return middle;
      if (found < pid) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}

function groupBy(column: Int32Array): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  for (let index = 0; index < column.length; index++) {
    const key = column[index]!;
    if (key < 0) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [index]);
    else group.push(index);
  }
  return groups;
}

function isTicks(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,20}$/.test(value);
}

function checkSaved(saved: unknown): SavedTable {
  const fail = (path: string, expected: string, received: unknown) => invalidArgument(`snapshot${path}`, expected, received);
  if (typeof saved !== 'object' || saved === null) throw fail('', 'the object that a saved snapshot holds', saved);
  const table = saved as Partial<SavedTable>;
  if (table.corralSnapshot !== 1) throw fail('.corralSnapshot', 'version 1', table.corralSnapshot);
  if (typeof table.bootId !== 'string') throw fail('.bootId', 'a string', table.bootId);
  if (!isTicks(table.nowTicks)) throw fail('.nowTicks', 'clock ticks as a decimal string', table.nowTicks);
  if (typeof table.nowMs !== 'number') throw fail('.nowMs', 'a number of milliseconds', table.nowMs);
  if (typeof table.ticksPerSecond !== 'number' || !(table.ticksPerSecond > 0))
    throw fail('.ticksPerSecond', 'a number above 0', table.ticksPerSecond);
  if (table.scannerPid !== undefined && !Number.isInteger(table.scannerPid)) throw fail('.scannerPid', 'a process id', table.scannerPid);
  if (!Array.isArray(table.processes)) throw fail('.processes', 'an array', table.processes);
  return table as SavedTable;
}
