/**
 * Patterns that come from a configuration file: limited in length, in what they are matched against and in time, because a
 * regular expression can take for ever and a command line is whatever a stranger wrote. Knows nothing of processes.
 */
import { createContext, Script } from 'node:vm';

/** Longest pattern, in characters. */
export const MAX_PATTERN_LENGTH = 256;
/** Longest text a pattern is tried on, in characters; on a longer one it gives up. */
export const MAX_MATCHED_LENGTH = 4096;
/** V8 interrupts a search after this time (milliseconds, by the clock on the wall); an honest one takes microseconds. */
const MATCH_TIMEOUT_MS = 25;
/** So often it begins anew when it had hardly a processor in that time: on a busy machine the clock says nothing about the search. */
const MOST_ATTEMPTS = 8;

/** Neither a match nor none: the text was too long, or the search took too long. */
export class PatternGaveUp extends Error {}

/** A RegExp whose `test` throws PatternGaveUp instead of taking for ever. Case-sensitive, no flags. */
export class BoundedPattern extends RegExp {
  /** @throws SyntaxError, or RangeError when it is longer than MAX_PATTERN_LENGTH. */
  constructor(source: string) {
    if (source.length > MAX_PATTERN_LENGTH) throw new RangeError(`it is longer than ${MAX_PATTERN_LENGTH} characters`);
    super(source);
  }

  override test(text: string): boolean {
    if (text.length > MAX_MATCHED_LENGTH) throw new PatternGaveUp(`text of ${text.length} characters`);
    for (let attempt = 1; ; attempt++) {
      const before = process.cpuUsage();
      const found = searchFor(() => super.test(text));
      if (found !== undefined) return found;
      const { user, system } = process.cpuUsage(before);
      if ((user + system) / 1000 >= MATCH_TIMEOUT_MS / 2 || attempt === MOST_ATTEMPTS) throw new PatternGaveUp(`search for ${this.source}`);
    }
  }
}

let sandbox: ReturnType<typeof createContext> | undefined;
let searching: Script | undefined;

/** Undefined when it took too long. */
function searchFor(search: () => boolean): boolean | undefined {
  sandbox ??= createContext({ search: undefined });
  searching ??= new Script('search()');
  sandbox.search = search;
  try {
    return searching.runInContext(sandbox, { timeout: MATCH_TIMEOUT_MS }) as boolean;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined;
    throw error;
  } finally {
    sandbox.search = undefined;
  }
}

/** Whether the text contains the pattern; undefined = it gave up, or there is no text: not known. */
export function patternFits(pattern: RegExp, text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  pattern.lastIndex = 0; // a pattern with flag g or y would go on where it found something in another text
  try {
    return pattern.test(text);
  } catch (error) {
    if (error instanceof PatternGaveUp) return undefined;
    throw error;
  }
}
