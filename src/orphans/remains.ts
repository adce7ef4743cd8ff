/**
 * What is left of whole trees, as `terminate` looks for it: the condemned, and who turns up beside them while they are stopped.
 *
 * A newcomer is judged by what a quick look shows, and told of as soon as he is seen, or those who only live for milliseconds would always
 * be gone before their turn. Whom the long look has spared stays spared, with whoever descends from it.
 */
import { ProcessError } from '../errors.js';
import type { ProcessRow } from '../tree/row.js';
import type { Select } from '../tree/terminate.js';
import type { OrphanPolicy, ProcessInfo, Verdict } from '../types.js';
import { judgeAgain } from './classify.js';
import { isZombie } from './evidence.js';
import { ABANDONED } from './policy.js';
import type { KnownMarks, LiveScene, QuickLook, Scene } from './scene.js';

export interface RemainsOptions {
  /** By the long look; those of trees that are not among `condemned` are spared. */
  verdicts: readonly Verdict[];
  condemned: readonly Verdict[];
  policy: OrphanPolicy;
  /** At most so many processes, the condemned among them; those that end by themselves do not count. */
  limit: number;
  /** Until when it is looked again because all were gone before they could be asked whose they are. */
  untilMs: number;
  lookAgain(quick: QuickLook): Promise<LiveScene>;
}

/** Strangers come and go as well: so often it is looked again while there is something to do. */
const UNSTEADY_LOOKS = 8;

export const keyOf = ({ pid, startTicks }: Pick<ProcessInfo, 'pid' | 'startTicks'>) => `${pid}/${startTicks}`;
export const isTreeMember = ({ rule }: Verdict) => rule === ABANDONED.id;

export class Remains {
  /** The condemned, and the newcomers since. */
  readonly known: Map<string, Verdict>;
  /** How many the last look saw for whom the limit has no room. */
  beyondLimit = 0;
  private readonly trees: ReadonlySet<number | undefined>;
  private readonly spared: ReadonlySet<string>;
  private readonly marks: KnownMarks = new Map();
  /** Who was among the rows of a look. */
  private readonly told = new Set<string>();

  constructor(private readonly options: RemainsOptions) {
    const { condemned, verdicts } = options;
    this.known = new Map(condemned.map((verdict) => [keyOf(verdict.process), verdict]));
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
      let lost = 0;
      const onMarked: QuickLook['onMarked'] = (process, scene) => {
        const key = keyOf(process);
        const isNew = !this.known.has(key);
        if (!this.belongs(process, scene) || onSight?.(process) !== 'gone' || !isNew) return;
        this.known.delete(key); // one of a line of processes that each end by themselves
        lost++;
      };
      const { table, isSteady } = await this.options.lookAgain({ marks: this.marks, onMarked });
      // The condemned are known by who they are: a quick look shows too little of them to be judged by once more.
      const rows = [...this.known.values()].flatMap(({ process }) => {
        const row = table.get(process.pid);
        return row?.startTicks === process.startTicks && !isZombie(row) ? [row] : [];
      });
      const isNews = rows.some((row) => !this.told.has(keyOf(row)));
      if (isNews || (isSteady && lost === 0) || (rows.length > 0 && looks >= UNSTEADY_LOOKS)) {
        for (const row of rows) this.told.add(keyOf(row));
        return rows;
      }
      if (rows.length === 0 && performance.now() >= this.options.untilMs) {
        throw new ProcessError('ERR_SCAN', 'whoever is left is gone before he can be asked for the mark of his tree');
      }
    }
  };

  private belongs(process: ProcessRow, { table, facts }: Pick<Scene, 'table' | 'facts'>): boolean {
    if (this.known.has(keyOf(process))) return true;
    if (!this.trees.has(process.treeMark)) return false;
    // Everybody descends from init, which is spared for what it is.
    const line = [process, ...table.ancestors(process.pid)].filter(({ pid }) => pid !== 1);
    if (line.some((one) => this.spared.has(keyOf(one)))) return false;
    const verdict = judgeAgain(table, process, this.options.policy, facts);
    if (verdict?.action !== 'terminate' || !isTreeMember(verdict)) return false;
    if (this.known.size >= this.options.limit) {
      this.beyondLimit++;
      return false;
    }
    this.known.set(keyOf(process), verdict);
    return true;
  }
}
