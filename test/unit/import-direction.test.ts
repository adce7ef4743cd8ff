/** The import check itself: it must see every kind of violation, and accept what is allowed. */
import { describe, expect, it } from 'vitest';
import { importViolations } from '../../scripts/check-imports.mjs';

const dependencies = new Set(['pino', 'node-gyp-build', 'commander']);

const cases: Array<{ title: string; files: Record<string, string[]>; expected: RegExp[] }> = [
  {
    title: 'downwards, within a folder, builtins and declared packages',
    files: {
      'cli/main.ts': ['../orphans/sweep.js', './run.js', 'commander'],
      'cli/run.ts': ['../process/spawn.js'],
      'orphans/sweep.ts': ['../history/log.js', '../tree/table.js', '../types.js'],
      'history/log.ts': ['node:fs'],
      'process/spawn.ts': ['../native.js'],
      'tree/table.ts': ['../errors.js'],
      'native.ts': ['./errors.js', 'node-gyp-build'],
      'errors.ts': ['./types.js'],
      'types.ts': [],
      'log.ts': ['pino'],
      'corral.cts': ['./cli/main.js', './hook.cjs'],
    },
    expected: [],
  },
  {
    title: 'upwards',
    files: { 'tree/table.ts': ['../process/spawn.js'], 'process/spawn.ts': [] },
    expected: [/^tree\/table\.ts: imports upwards from process\/spawn\.ts$/],
  },
  {
    title: 'upwards from a root file',
    files: { 'errors.ts': ['./native.js'], 'native.ts': [] },
    expected: [/^errors\.ts: imports upwards from native\.ts$/],
  },
  {
    title: 'a circle of files',
    files: { 'tree/a.ts': ['./b.js'], 'tree/b.ts': ['./c.js'], 'tree/c.ts': ['./a.js'] },
    expected: [/^circle: tree\/a\.ts -> tree\/b\.ts -> tree\/c\.ts -> tree\/a\.ts$/],
  },
  {
    title: 'a circle of folders without a circle of files',
    files: { 'orphans/a.ts': ['../history/b.js'], 'history/b.ts': [], 'history/c.ts': ['../orphans/d.js'], 'orphans/d.ts': [] },
    expected: [/^circle: orphans -> history -> orphans$/],
  },
  {
    title: 'a package through the wrong door',
    files: { 'process/a.ts': ['pino', 'node-gyp-build'] },
    expected: [/only log\.ts may$/, /only native\.ts may$/],
  },
  {
    title: 'the addon by file name',
    files: { 'process/a.ts': ['../../build/Release/corral.node'] },
    expected: [/only native\.ts loads the addon$/],
  },
  {
    title: 'a package that is not installed with us',
    files: { 'cli/a.ts': ['chalk', '@scope/x/y'] },
    expected: [/imports chalk,/, /imports @scope\/x,/],
  },
  { title: 'a builtin without its prefix', files: { 'cli/a.ts': ['fs'] }, expected: [/without "node:"$/] },
  { title: 'a file in no layer', files: { 'misc/a.ts': [] }, expected: [/"misc" is in no layer/] },
];

describe('importViolations', () => {
  it.each(cases)('$title', ({ files, expected }) => {
    const found = importViolations(new Map(Object.entries(files)), dependencies);
    expect(found).toHaveLength(expected.length);
    for (const [at, pattern] of expected.entries()) expect(found[at]).toMatch(pattern);
  });
});
