/**
 * What is left of whole trees, as `terminate` looks for it: the condemned, and who turns up beside them while they are stopped.
 *
 * A newcomer is judged by what a quick look shows, and told of as soon as he is seen, so that he is held, and stopped where newcomers are:
 * those who only live for milliseconds would always be gone before their turn. Whom the long look has spared stays spared, with whoever descends from it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ProcessError } from '../errors.js';
import { keyOf, type ProcessRow } from '../tree/row.js';
import type { Select } from '../tree/terminate.js';
import type { OrphanPolicy, Verdict } from '../types.js';
import { judgeAgain } from './classify.js';
import { isZombie } from './evidence.js';
import { ABANDONED } from './policy.js';
import type { KnownMarks, LiveScene, QuickLook, Scene } from './scene.js';

export interface RemainsOptions {
  /** By the long look: who was not condemned is spared, with whoever descends from him. */
  verdicts: readonly Verdict[];
  condemned: readonly Verdict[];
  policy: OrphanPolicy;
  /** At most so many processes, the condemned among them; whoever is gone when he is first to be held does not count. */
  limit: number;
  /** Until when it is looked again because all were gone before they could be asked whose they are. */
  untilMs: number;
  lookAgain(quick: QuickLook): Promise<LiveScene>;
}

/** Strangers come and go as well: so often it is looked again while there is something to do. */
const UNSTEADY_LOOKS = 8;
/** Between looks that have found nobody. */
const PAUSE_MS = 2;

export const isTreeMember = ({ rule }: Verdict) => rule === ABANDONED.id;

export class Remains {
  /** The condemned, and the newcomers since. */
  readonly known: Map<string, Verdict>;
  /** How many the last look saw for whom the limit has no room. */
  beyondLimit = 0;
  private readonly trees: ReadonlySet<number | undefined>;
  private readonly spared: ReadonlySet<string>;
  private readonly marks: KnownMarks = new Map();
  /** Who takes up room: all condemned until the first look has shown who of them is left, and whoever was seen alive. */
  private readonly counted: Set<string>;
  /** Who was among the rows of a look. */
  private readonly told = new Set<string>();

  constructor(private readonly options: RemainsOptions) {
    const { condemned, verdicts } = options;
    this.known = new Map(condemned.map((verdict) => [keyOf(verdict.process), verdict]));
    this.counted = new Set(this.known.keys());
    this.trees = new Set(condemned.map(({ process }) => (process as ProcessRow).treeMark));
    this.spared = new Set(verdicts.filter(({ action }) => action !== 'terminate').map(({ process }) => keyOf(process)));
  }

  /**
   * A look says all only if nobody was gone before he could be asked, or held: he may have left a child that was not there yet when the
   * look began. Somebody new is told of at once all the same, for then it will be looked again.
   */
  readonly select: Select = async (_, onSight) => {
    for (let looks = 1; ; looks++) {
      this.beyondLimit = 0;
      const gone = new Set<string>();
      const onMarked: QuickLook['onMarked'] = (process, scene) => {
        const key = keyOf(process);
        const isNew = !this.known.has(key);
        if (!this.admits(process, scene) || onSight?.(process) !== 'gone') return;
        gone.add(key);
        if (!isNew) return;
        this.known.delete(key); // one of a line of processes that each end by themselves
        this.counted.delete(key);
      };
      const { table, isSteady } = await this.options.lookAgain({ marks: this.marks, onMarked });
      // The condemned are known by who they are: a quick look shows too little of them to be judged by once more.
      const rows = [...this.known].flatMap(([key, { process }]) => {
        const row = table.get(process.pid);
        return row?.startTicks === process.startTicks && !isZombie(row) && !gone.has(key) ? [row] : [];
      });
      const keys = new Set(rows.map(keyOf));
      for (const key of this.counted) if (!keys.has(key) && !this.told.has(key)) this.counted.delete(key);
      const isNews = rows.some((row) => !this.told.has(keyOf(row)));
      const isOver = performance.now() >= this.options.untilMs;
      const isEnough = rows.length === 0 ? this.beyondLimit > 0 : isOver || looks >= UNSTEADY_LOOKS;
      const isAll = (isSteady && gone.size === 0) || isEnough;
      if (isNews || isAll) {
        for (const key of keys) this.told.add(key);
        return rows;
      }
      if (rows.length > 0) continue;
      if (isOver) throw new ProcessError('ERR_SCAN', 'all were gone before they could be asked for its mark');
      await delay(PAUSE_MS);
    }
  };

  /** Whether it is one of those to end; a newcomer is judged, and known from then on. */
  private admits(process: ProcessRow, { table, facts }: Pick<Scene, 'table' | 'facts'>): boolean {
    const key = keyOf(process);
    if (this.known.has(key)) return true;
    if (!this.trees.has(process.treeMark)) return false;
    // Everybody descends from init, which is spared for what it is.
    const line = [process, ...table.ancestors(process.pid)].filter(({ pid }) => pid !== 1);
    if (line.some((one) => this.spared.has(keyOf(one)))) return false;
    const verdict = judgeAgain(table, process, this.options.policy, facts);
    if (verdict?.action !== 'terminate' || !isTreeMember(verdict)) return false;
    if (this.counted.size >= this.options.limit) {
      this.beyondLimit++;
      return false;
    }
    this.known.set(key, verdict);
    this.counted.add(key);
    return true;
  }
}
