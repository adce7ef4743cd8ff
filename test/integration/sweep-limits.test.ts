/** How far a sweep may go: dry runs, limits, deadlines, a broken configuration, another sweep at work. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { tryLock } from '../../src/history/lock.js';
import { sweep } from '../../src/orphans/sweep.js';
import { eagerProject, type Project } from '../helpers/leftovers.js';
import { isAlive } from '../helpers/proc.js';
import { leave, named, olderThan, stuckRipgrep, sweepIn, verdictOn } from '../helpers/sweeping.js';

const stateOf = (project: Project) => path.join(project.env.XDG_STATE_HOME as string, 'corral');

describe('nobody is ended', () => {
  it('in a dry run, which says what would be, and is not recorded', async () => {
    const project = eagerProject();
    const pid = await stuckRipgrep();
    const report = await sweepIn(project, { dryRun: true });
    expect(report).toMatchObject({ success: true, dryRun: true, totalCleaned: 0, verdicts: [{ action: 'terminate', process: { pid } }] });
    expect(report.logPath).toBeUndefined();
    expect(isAlive(pid)).toBe(true);
    expect(existsSync(path.join(project.directory, '.moai/cache'))).toBe(false);
  });

  it('while a configuration file is broken, which is said and recorded', async () => {
    const project = eagerProject({ protect: 'pytest' });
    const pid = await stuckRipgrep();
    const report = await sweepIn(project);
    expect(report).toMatchObject({ reportOnly: true, totalCleaned: 0, warnings: [expect.stringContaining('protect: expected an array')] });
    expect(isAlive(pid)).toBe(true);
    expect(project.log()[0]?.stats).toMatchObject({ total_cleaned: 0, report_only: true });
  });

  it('while another sweep is at work; that is not recorded', async () => {
    const project = eagerProject();
    const pid = await stuckRipgrep();
    mkdirSync(stateOf(project), { recursive: true });
    const lock = tryLock(path.join(stateOf(project), 'sweep.lock'));
    expect(await sweepIn(project)).toMatchObject({ skipped: 'locked', success: true, totalCleaned: 0, verdicts: [] });
    expect(existsSync(path.join(project.directory, '.moai/cache'))).toBe(false);
    lock?.release();
    expect((await sweepIn(project)).cleaned).toMatchObject([{ pid }]);
    expect(readdirSync(stateOf(project))).toEqual([]);
  });

  it('when there is no time', async () => {
    const project = eagerProject();
    const pid = await stuckRipgrep();
    expect(await sweepIn(project, { deadline: 0 })).toMatchObject({
      totalCleaned: 0,
      deferred: 1,
      warnings: [expect.stringContaining('no time')],
    });
    expect(isAlive(pid)).toBe(true);
  });
});

it('of two sweeps at the same time one does the work', async () => {
  const project = eagerProject();
  const pid = await stuckRipgrep();
  const reports = await Promise.all([sweepIn(project), sweepIn(project), sweepIn(project)]);
  expect(reports.flatMap(({ cleaned }) => cleaned)).toMatchObject([{ pid }]);
  expect(reports.filter(({ skipped }) => skipped === 'locked')).toHaveLength(2);
});

it('a sweep that died leaves no lock behind that counts', async () => {
  const project = eagerProject();
  const pid = await stuckRipgrep();
  mkdirSync(stateOf(project), { recursive: true });
  const [dead] = (await leave('echo $$')) as [number];
  const holder = { pid: dead, startTicks: '1', bootId: 'x', uid: process.getuid?.(), pidNamespace: 'x', takenAtMs: Date.now() };
  writeFileSync(path.join(stateOf(project), 'sweep.lock'), JSON.stringify(holder));
  expect((await sweepIn(project)).cleaned).toMatchObject([{ pid }]);
});

it('no more than max_kills are ended, the oldest first; the rest is left to the next run', async () => {
  const project = eagerProject({ max_kills: 2 });
  const pids = [await stuckRipgrep(), await stuckRipgrep(), await stuckRipgrep()];
  const first = await sweepIn(project);
  expect(first).toMatchObject({ totalCleaned: 2, deferred: 1 });
  expect(first.cleaned.map(({ pid }) => pid)).toEqual(pids.slice(0, 2));
  expect(await sweepIn(project)).toMatchObject({ totalCleaned: 1, deferred: 0, cleaned: [{ pid: pids[2] }] });
});

it('a deadline shortens the grace period', async () => {
  const project = eagerProject({ term_grace_ms: 60_000 });
  const script = `trap '' TERM; : .claude; echo $$; while :; do read -r _ <&3; done`;
  const [pid] = (await leave('setsid bash -c "$SCRIPT" & exit', { env: { SCRIPT: script } })) as [number];
  await named(pid, 'bash');
  await olderThan(pid, 0.01);
  const report = await sweepIn(project, { deadline: 5000 });
  expect(report.cleaned).toMatchObject([{ pid, signal: 'SIGKILL' }]);
});

it('rules of the caller replace the configured ones, protections are added', async () => {
  const project = eagerProject();
  const pid = await stuckRipgrep();
  const never = { id: 'mine', type: 'mine', reason: 'x', names: ['rg'], olderThanSeconds: 1e6 };
  expect(verdictOn(await sweepIn(project, { policy: { rules: [never] } }), pid)).toMatchObject({ action: 'spare', rule: 'mine' });
  expect(verdictOn(await sweepIn(project, { policy: { protect: [{ pid, scope: 'self' }] } }), pid)?.protectedBy).toBe(
    `protected:pid ${pid}`,
  );
  expect(isAlive(pid)).toBe(true);
});

it.each([
  ['an option that does not exist', { dryrun: true }, /dryrun/],
  ['a count', { maxKills: -1 }, /maxKills: expected an integer from 0, received number -1/],
  ['a deadline', { deadline: 'soon' }, /deadline: expected .* received/],
])('%s is refused', async (_, options, message) => {
  await expect(sweep(options as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringMatching(message) });
});
