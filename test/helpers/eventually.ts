/**
 * Waiting with a deadline, for what the system announces by no event. Where there is an event, await that instead.
 */
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 5;
/** What a turn counts for at most: a machine that stood still for a second has not waited in vain for a second. In all it is at most so much longer. */
const TURN_MS = 100;
const STANDSTILL_MS = 8000;

/**
 * Polls until `predicate` gives something truthy and returns that; at the deadline it fails with `what` and the last value (or error).
 */
export async function eventually<T>(predicate: () => T | Promise<T>, deadlineMs = 5000, what = String(predicate)): Promise<NonNullable<T>> {
  const begin = performance.now();
  let spentMs = 0;
  for (let turnMs = begin; ; ) {
    let last: unknown;
    try {
      const value = await predicate();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    const nowMs = performance.now();
    spentMs += Math.min(nowMs - turnMs, TURN_MS);
    turnMs = nowMs;
    if (spentMs >= deadlineMs || nowMs - begin >= deadlineMs + STANDSTILL_MS) {
      throw new Error(
        `not within ${Math.round(nowMs - begin)} ms: ${what} (last: ${last instanceof Error ? last.message : String(last)})`,
        {
          cause: last,
        },
      );
    }
    await delay(POLL_MS);
  }
}
