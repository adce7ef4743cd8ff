/** Private directories for tests, removed with the test. The leak guard fails a run that leaves a file in TMPDIR. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';

export function tempDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
