/** The log between processes, and read by other programs. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { appendRun, type RunRecord, readRuns } from '../../src/history/log.js';
import { eagerProject } from '../helpers/leftovers.js';
import { stuckRipgrep, sweepIn } from '../helpers/sweeping.js';

const LOG = fileURLToPath(new URL('../../dist/history/log.js', import.meta.url));

const run = (timestamp: string): RunRecord => ({
  timestamp,
  stats: { ripgrep_cleaned: 0, bash_cleaned: 0, total_cleaned: 0, failed: 0, details: [] },
});

it('writers in many processes lose nothing, also when some of them are killed', async () => {
  if (!existsSync(LOG)) throw new Error(`${LOG} is missing: run "npm run build" first`);
  const project = eagerProject();
  const writers = 4;
  const each = 10;
  const program = `
    const { appendRun } = await import(process.argv[1]);
    for (let count = 0; count < ${each}; count++) {
      const { path, warnings } = await appendRun(
        { timestamp: process.argv[2] + '-' + count, stats: { ripgrep_cleaned: 0, bash_cleaned: 0, total_cleaned: 0, failed: 0, details: [] } },
        { projectRoot: process.argv[3], env: {}, keep: 1000, timeoutMs: 20000 });
      if (path === undefined || warnings.length > 0) throw new Error(warnings.join());
      console.log(count);
    }`;
  const start = (name: string) => {
    const args = ['--input-type=module', '-e', program, LOG, name, project.directory];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    return { child, output: child.stdout, exitCode: new Promise((resolve) => child.once('close', resolve)) };
  };

  // One dies by SIGKILL in the middle of its work, perhaps with the lock in its hand.
  const doomed = start('doomed');
  let doomedWrote = 0;
  doomed.output.on('data', (data: Buffer) => {
    doomedWrote += data.toString().split('\n').length - 1;
    if (doomedWrote >= 3) doomed.child.kill('SIGKILL');
  });
  const others = Array.from({ length: writers }, (_, index) => start(`writer${index}`));
  for (const { output } of others) output.resume();
  expect(await Promise.all(others.map(({ exitCode }) => exitCode))).toEqual(Array(writers).fill(0));
  await doomed.exitCode;

  const log = path.join(project.directory, '.moai/cache/process_cleanup_log.json');
  const written = readRuns(log).runs.map(({ timestamp }) => timestamp);
  const expected = others.flatMap((_, index) => Array.from({ length: each }, (__, count) => `writer${index}-${count}`));
  expect(written.filter((timestamp) => timestamp.startsWith('writer')).sort()).toEqual(expected.sort());
  expect(written.filter((timestamp) => timestamp.startsWith('doomed')).length).toBeGreaterThanOrEqual(doomedWrote);
}, 120_000);

it('jq answers the two questions of the documentation', async (context) => {
  if (spawnSync('jq', ['--version']).status !== 0) context.skip('needs jq');
  const project = eagerProject();
  await sweepIn(project);
  await stuckRipgrep();
  await stuckRipgrep();
  const { logPath } = await sweepIn(project);
  const jq = (query: string) => JSON.parse(execFileSync('jq', [query, logPath as string], { encoding: 'utf8' }));
  expect(jq('.[-1]')).toEqual(project.log()[1]);
  expect(jq('[.[] | .stats.total_cleaned] | add')).toBe(2);
});

it('a named pipe in its place makes nobody wait for a writer', async () => {
  const project = eagerProject();
  const directory = path.join(project.directory, '.moai/cache');
  mkdirSync(directory);
  execFileSync('mkfifo', [path.join(directory, 'process_cleanup_log.json')]);
  const { path: file, warnings } = await appendRun(run('x'), { projectRoot: project.directory, env: project.env });
  expect(warnings).toEqual([expect.stringContaining('expected a file')]);
  expect(JSON.parse(readFileSync(file as string, 'utf8'))).toEqual([run('x')]);
  expect(readdirSync(directory)).toHaveLength(2);
});
