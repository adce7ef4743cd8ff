/**
 * Four suites. Unit tests are pure and run side by side; the others see pids and process lists of the whole namespace and run one file
 * at a time, each in a process of its own. No retries: a test that fails sometimes is a bug.
 */
import path from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { isContained } from './test/helpers/contained.js';

const contained: TestProjectInlineConfiguration['test'] = {
  pool: 'forks',
  fileParallelism: false,
  setupFiles: ['test/helpers/setup-contained.ts'],
  testTimeout: 30_000,
  hookTimeout: 30_000,
};

export default defineConfig({
  // In the namespace: outside node_modules, which may be read-only, and outside TMPDIR, which has to be empty at the end.
  ...(isContained() ? { cacheDir: path.join(process.env.XDG_CACHE_HOME ?? '', 'vite') } : {}),
  test: {
    retry: 0,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 10_000 } },
      { extends: true, test: { name: 'native', include: ['test/native/**/*.test.ts'], ...contained } },
      { extends: true, test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...contained } },
      {
        extends: true,
        test: { name: 'package', include: ['test/package/**/*.test.ts'], ...contained, testTimeout: 120_000, hookTimeout: 120_000 },
      },
    ],
  },
});
