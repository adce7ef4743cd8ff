import { describe, expect, it } from 'vitest';
import { actualOutcome, explanation, plannedOutcome, summary, verdictTable } from '../../src/cli/verdicts.js';
import type { SweepReport, Verdict } from '../../src/types.js';

const PLAIN = { width: Number.POSITIVE_INFINITY, colour: false };
const verdict = (pid: number, action: Verdict['action'], more: Partial<Verdict> = {}): Verdict => ({
  process: { pid, startTicks: 1n, bootId: 'b', name: 'rg', args: ['rg', 'a b'], ageSeconds: 400 },
  action,
  rule: 'ripgrep',
  type: 'ripgrep',
  reason: 'long_running',
  evidence: ['name: rg'],
  ...more,
});
const verdicts = [verdict(1, 'terminate'), verdict(2, 'terminate'), verdict(3, 'terminate'), verdict(4, 'report'), verdict(5, 'spare')];
const cleaned = [
  { pid: 1, type: 'ripgrep', reason: 'long_running', runningTimeSeconds: 400, name: 'rg', rule: 'ripgrep', signal: 'SIGTERM' as const },
];
const report: SweepReport = {
  success: false,
  ripgrepCleaned: 1,
  bashCleaned: 0,
  totalCleaned: 1,
  failed: 1,
  deferred: 1,
  verdicts,
  durationMs: 1,
  cleaned,
  failures: [{ pid: 2, name: 'rg', rule: 'ripgrep', reason: 'EPERM' }],
  dryRun: false,
  reportOnly: false,
  warnings: [],
};

describe('what became of whom', () => {
  it.each([
    ['after a sweep', report, ['ended', 'failed', 'deferred', 'report', 'spare']],
    ['after a dry run', { ...report, dryRun: true }, ['would end', 'would end', 'would end', 'report', 'spare']],
    ['when the configuration is broken', { ...report, reportOnly: true }, ['would end', 'would end', 'would end', 'report', 'spare']],
  ])('%s', (_name, given, outcomes) => {
    expect(verdicts.map(actualOutcome(given))).toEqual(outcomes);
  });

  it('in one line', () => {
    expect(summary(report)).toBe('1 ended (1 ripgrep), 1 failed, 1 left to the next run, 1 to look at, 1 spared');
    expect(summary({ ...report, cleaned: [], failed: 0, deferred: 0, dryRun: true })).toBe('3 would be ended, 1 to look at, 1 spared');
  });
});

it('a table with rule, command, and what speaks for and against', () => {
  const rows = [
    verdict(7, 'spare', {
      protectedBy: 'tree of pytest',
      process: { pid: 7, startTicks: 1n, bootId: 'b', name: 'rg', args: ['rg', 'x'.repeat(99)] },
    }),
  ];
  expect(verdictTable(rows, plannedOutcome, PLAIN)).toBe(
    'PID  AGE  VERDICT  RULE                   COMMAND                                           EVIDENCE\n' +
      `  7    ?  spare    ripgrep: long_running  rg ${'x'.repeat(44)}…  protected by tree of pytest; name: rg`,
  );
});

it('an explanation names verdict, rule, protection and every piece of evidence', () => {
  expect(explanation(verdict(7, 'spare', { protectedBy: 'ancestor', evidence: ['one', 'two'] }))).toBe(
    "7 rg 'a b' (6m40s old)\nverdict: spare\nrule: ripgrep (long_running)\nprotected by: ancestor\nevidence:\n  one\n  two",
  );
  expect(explanation({ process: { pid: 7, startTicks: 1n, bootId: 'b', name: 'sleep' }, action: 'spare', evidence: [] })).toBe(
    '7 [sleep] (unknown age)\nverdict: spare\nrule: none fits',
  );
});
