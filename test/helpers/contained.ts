/**
 * Where a test runs: the guard that keeps tests which kill inside their namespace, and the reasons to skip by privilege.
 */
import { readFileSync } from 'node:fs';
import type { TestContext } from 'vitest';

/** PID 1 of scripts/contained.mjs carries this name. An environment variable alone could be inherited by accident. */
const INIT_NAME = 'corral-contained-init';

export function isContained(): boolean {
  return process.env.CORRAL_TEST_CONTAINED === '1' && readFileSync('/proc/1/cmdline', 'utf8').split('\0').includes(INIT_NAME);
}

/** Throws unless the caller runs in the pid namespace of scripts/contained.mjs. */
export function contained(): void {
  if (isContained()) return;
  throw new Error(
    'This test ends processes and runs only in a pid namespace of its own. Use `npm run test:contained -- FILE`, or `npm test` for everything.',
  );
}

/** Skips the running test for an ordinary user; `why` completes "needs root: ...". */
export function requireRoot(context: TestContext, why: string): void {
  if (process.getuid?.() !== 0) context.skip(`needs root: ${why}`);
}

/** Skips the running test for root, whom no permission check stops; `why` completes "needs an ordinary user: ...". */
export function requireUnprivileged(context: TestContext, why: string): void {
  if (process.getuid?.() === 0) context.skip(`needs an ordinary user: ${why}`);
}

/**
 * Skips where only our own user exists: in the user namespace that makes an ordinary user's pid namespace possible, every other id is
 * invalid (EINVAL), and nobody else's process can be met.
 */
export function requireOtherUsers(context: TestContext, why: string): void {
  const mapped = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/).map(Number);
  if (mapped.length === 3 && mapped[2] === 1) context.skip(`needs other users than ourselves: ${why}`);
}
