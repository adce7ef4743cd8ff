/**
 * Waiting with a deadline, for what the system announces by no event. Where there is an event, await that instead.
 */
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 5;

/**
 * Polls until `predicate` gives something truthy and returns that; at the deadline it fails with `what` and the last value (or error).
 */
export async function eventually<T>(predicate: () => T | Promise<T>, deadlineMs = 5000, what = String(predicate)): Promise<NonNullable<T>> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    let last: unknown;
    try {
      const value = await predicate();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) {
      throw new Error(`not within ${deadlineMs} ms: ${what} (last: ${last instanceof Error ? last.message : String(last)})`, {
        cause: last,
      });
    }
    await delay(POLL_MS);
  }
}
