/**
 * Four suites. Unit tests are pure and run side by side; the others see pids and process lists of the whole namespace and run one file
 * at a time, each in a process of its own. No retries: a test that fails sometimes is a bug.
 */
import { tmpdir } from 'node:os';
import path from 'node:path';
import { defineConfig } from 'vitest/config';

const contained = {
  pool: 'forks',
  fileParallelism: false,
  setupFiles: ['test/helpers/setup-contained.ts'],
  testTimeout: 30_000,
  hookTimeout: 30_000,
} as const;

export default defineConfig({
  // Outside the checkout, which may be read-only; and not in TMPDIR, which has to be empty at the end.
  cacheDir: path.join(process.env.XDG_CACHE_HOME ?? path.join(tmpdir(), 'corral-vite'), 'vite'),
  test: {
    retry: 0,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 10_000 } },
      { extends: true, test: { name: 'native', include: ['test/native/**/*.test.ts'], ...contained } },
      { extends: true, test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...contained } },
      {
        extends: true,
        test: {
          name: 'package',
          include: ['test/package/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
