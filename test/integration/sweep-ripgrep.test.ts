/** The leftover this began with: ripgrep, waiting for ever on a stdin that nobody closes. The oldest goes, the young and the protected stay. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { eagerProject } from '../helpers/leftovers.js';
import { isAlive } from '../helpers/proc.js';
import { ageOf, leave, named, olderThan, RIPGREP, stuckRipgrep, sweepIn, verdictOn } from '../helpers/sweeping.js';

it('a stuck ripgrep is ended and recorded; a younger one and one below pytest live on', async () => {
  const project = eagerProject();
  const old = await stuckRipgrep();
  const [tested] = (await leave(`${RIPGREP} corral-needle <&3 >/dev/null 2>&1 & echo $!; wait`, { name: 'pytest' })) as [number];
  await named(tested, 'rg');
  await olderThan(tested, 4);
  const young = await stuckRipgrep();

  const threshold = (ageOf(tested) + ageOf(young)) / 2;
  const config = { min_age_seconds: 0, classes: { ripgrep: { max_age_seconds: threshold } } };
  writeFileSync(path.join(project.env.XDG_CONFIG_HOME as string, 'corral/config.json'), JSON.stringify(config));

  const report = await sweepIn(project, { event: 'SessionStart' });
  expect(report).toMatchObject({ success: true, ripgrepCleaned: 1, bashCleaned: 0, totalCleaned: 1, failed: 0, deferred: 0, warnings: [] });
  expect([old, tested, young].map((pid) => isAlive(pid))).toEqual([false, true, true]);
  expect(verdictOn(report, old)).toMatchObject({ action: 'terminate', rule: 'ripgrep', reason: 'long_running' });
  expect(verdictOn(report, old)?.evidence).toContain('ended by SIGTERM');
  expect(verdictOn(report, tested)).toMatchObject({ action: 'spare', protectedBy: 'protected:pytest' });
  expect(verdictOn(report, young)).toMatchObject({
    action: 'spare',
    evidence: expect.arrayContaining([expect.stringMatching(/^age: .* not more than/)]),
  });

  const log = JSON.parse(readFileSync(report.logPath as string, 'utf8'));
  expect(log).toEqual([
    {
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
      event: 'SessionStart',
      stats: {
        ripgrep_cleaned: 1,
        bash_cleaned: 0,
        total_cleaned: 1,
        failed: 0,
        details: [
          {
            pid: old,
            type: 'ripgrep',
            reason: 'long_running',
            running_time: expect.any(Number),
            name: 'rg',
            rule: 'ripgrep',
            signal: 'SIGTERM',
          },
        ],
        cleaned_by_class: { ripgrep: 1 },
        duration_ms: expect.any(Number),
      },
    },
  ]);
  expect(log[0].stats.details[0].running_time).toBeGreaterThan(threshold);
  expect(report.logPath).toBe(path.join(project.directory, '.moai/cache/process_cleanup_log.json'));
});

it('one that searches for tags is stuck earlier, and for another reason', async () => {
  const project = eagerProject({ classes: { ripgrep: { max_age_seconds: 300 }, ripgrep_tag: { max_age_seconds: 0 } } });
  const plain = await stuckRipgrep('TODO');
  const tags = await stuckRipgrep('@SPEC:AUTH');
  const report = await sweepIn(project);
  expect(report.cleaned).toMatchObject([{ pid: tags, type: 'ripgrep', reason: 'tag_analysis_stuck', rule: 'ripgrep_tag' }]);
  expect(isAlive(plain)).toBe(true);
});

it('nothing to do is recorded as well', async () => {
  const project = eagerProject();
  expect(await sweepIn(project)).toMatchObject({ success: true, totalCleaned: 0, verdicts: [] });
  expect(await sweepIn(project)).toMatchObject({ success: true, totalCleaned: 0 });
  expect(project.log().map(({ stats }) => stats.total_cleaned)).toEqual([0, 0]);
});
