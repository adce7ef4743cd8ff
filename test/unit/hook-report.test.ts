import { describe, expect, it } from 'vitest';
import { claude } from '../../src/hook/hosts/claude.js';
import { manual } from '../../src/hook/hosts/manual.js';
import { hookFailure, hookName, hookReport, summaryFor } from '../../src/hook/report.js';
import type { CleanedProcess, SweepReport } from '../../src/types.js';

const FACTS = { event: 'SessionStart', elapsedMs: 1234.5, timestamp: '2026-01-02T03:04:05.000000', notifyThreshold: 10 };
const ended = (pid: number, reason = 'long_running'): CleanedProcess => ({
  pid,
  type: 'ripgrep',
  reason,
  runningTimeSeconds: 301.25,
  name: 'rg',
  rule: 'ripgrep',
  signal: 'SIGTERM',
});
const sweepOf = (changes: Partial<SweepReport> = {}): SweepReport => ({
  success: true,
  ripgrepCleaned: 0,
  bashCleaned: 0,
  totalCleaned: 0,
  failed: 0,
  deferred: 0,
  verdicts: [],
  durationMs: 20,
  cleaned: [],
  failures: [],
  dryRun: false,
  reportOnly: false,
  warnings: [],
  ...changes,
});
const afterKills = (count: number) =>
  sweepOf({ ripgrepCleaned: count, totalCleaned: count, cleaned: Array.from({ length: count }, (_, at) => ended(100 + at)) });

describe('the report', () => {
  it('has the keys, in this order, when nothing was found', () => {
    expect(JSON.stringify(hookReport(sweepOf(), FACTS))).toBe(
      '{"hook":"session_start__process_cleanup","success":true,"execution_time_seconds":1.23,' +
        '"cleanup_stats":{"ripgrep_cleaned":0,"bash_cleaned":0,"total_cleaned":0,"failed":0,"details":[]},"timestamp":"2026-01-02T03:04:05.000000"}',
    );
  });

  it('lists who was ended, the four agreed keys first', () => {
    const [detail] = hookReport(afterKills(1), FACTS).cleanup_stats.details;
    expect(JSON.stringify(detail)).toBe('{"pid":100,"type":"ripgrep","reason":"long_running","running_time":301.25,"name":"rg"}');
  });

  it('says why nothing was ended, and who would have been', () => {
    const verdicts: SweepReport['verdicts'] = [
      {
        process: { pid: 7, startTicks: 1n, bootId: 'b', name: 'rg', ageSeconds: 400.126 },
        action: 'terminate',
        type: 'ripgrep',
        reason: 'long_running',
        evidence: [],
      },
      { process: { pid: 8, startTicks: 1n, bootId: 'b', name: 'rg' }, action: 'spare', evidence: [] },
    ];
    const wouldEnd = [{ pid: 7, type: 'ripgrep', reason: 'long_running', running_time: 400.13, name: 'rg' }];
    expect(hookReport(sweepOf({ verdicts, dryRun: true }), FACTS)).toMatchObject({ report_only: 'dry run', would_end: wouldEnd });
    expect(hookReport(sweepOf({ verdicts, reportOnly: true }), FACTS)).toMatchObject({
      report_only: 'a configuration file is broken',
      would_end: wouldEnd,
    });
    expect(hookReport(sweepOf({ verdicts, dryRun: true }), { ...FACTS, reportOnly: 'because' })).toMatchObject({ report_only: 'because' });
    expect(hookReport(sweepOf({ verdicts }), FACTS)).not.toHaveProperty('would_end');
  });

  it.each([
    [10, false],
    [11, true],
  ])('after %d ended, a notice: %s', (count, notice) => {
    expect('notice' in hookReport(afterKills(count), FACTS)).toBe(notice);
  });

  it('stays short whatever happened: a host cuts or refuses more than 10,000 characters', () => {
    const long = 'x'.repeat(5000);
    const times = <T>(make: (at: number) => T) => Array.from({ length: 500 }, (_, at) => make(4_000_000 + at));
    const warnings = times(() => long);
    const ended = sweepOf({
      success: false,
      cleaned: times((pid) => ({
        pid,
        type: 'bash',
        reason: 'long_running_claude_related',
        runningTimeSeconds: 12345.67,
        name: long,
        rule: 'r',
        signal: null,
      })),
      failures: times((pid) => ({ pid, name: long, rule: 'r', reason: long })),
      warnings,
    });
    const reported = sweepOf({
      dryRun: true,
      verdicts: times((pid) => ({
        process: { pid, startTicks: 1n, bootId: 'b', name: long, ageSeconds: 12345.67 },
        action: 'terminate',
        type: 'bash',
        reason: 'long_running_claude_related',
        evidence: [long],
      })),
      warnings,
    });
    for (const sweep of [ended, reported]) expect(claude.render(hookReport(sweep, FACTS)).length).toBeLessThan(9_000);
  });
});

describe('a failure', () => {
  it('keeps the session going when that is wanted, and says so', () => {
    expect(hookFailure('no /proc', true, FACTS)).toEqual({
      hook: 'session_start__process_cleanup',
      success: false,
      execution_time_seconds: 1.23,
      error: 'no /proc',
      graceful_degradation: true,
      message: expect.stringContaining('session goes on'),
      timestamp: '2026-01-02T03:04:05.000000',
    });
    expect(hookFailure('no /proc', false, FACTS)).not.toHaveProperty('message');
  });
});

it.each([
  [undefined, 'session_start__process_cleanup'],
  ['SessionStart', 'session_start__process_cleanup'],
  ['PreToolUse', 'pre_tool_use__process_cleanup'],
  ['"; rm -rf', '_rm_rf__process_cleanup'],
])('the name for event %s is %s', (event, name) => {
  expect(hookName(event)).toBe(name);
});

describe('what the user is told', () => {
  it.each([
    ['nothing happened', hookReport(sweepOf(), FACTS), undefined],
    ['one ended', hookReport(afterKills(1), FACTS), 'corral: ended 1 leftover process (ripgrep long_running).'],
    ['three ended', hookReport(afterKills(3), FACTS), 'corral: ended 3 leftover processes (3 × ripgrep long_running).'],
    ['one survived', hookReport(sweepOf({ failed: 1, success: false }), FACTS), 'corral: could not end 1.'],
    ['it failed', hookFailure('no /proc', true, FACTS), 'corral: process clean-up did not run: no /proc'],
    [
      'a broken configuration',
      hookReport(sweepOf({ reportOnly: true }), FACTS),
      'corral: only reported, because a configuration file is broken.',
    ],
  ])('%s', (_name, answer, sentence) => {
    expect(summaryFor(answer)).toBe(sentence);
  });

  it('asks to look at the workflow after more than the threshold', () => {
    expect(summaryFor(hookReport(afterKills(11), FACTS))).toMatch(/11 processes were left behind in one go: please check the workflow/);
  });
});

describe('hosts', () => {
  it('claude gets one line, with a message for the user only when there is one', () => {
    const quiet = claude.render(hookReport(sweepOf(), FACTS));
    expect(quiet).toMatch(/^\{.*\}\n$/);
    expect(JSON.parse(quiet)).not.toHaveProperty('systemMessage');
    expect(JSON.parse(claude.render(hookReport(afterKills(1), FACTS)))).toMatchObject({
      systemMessage: expect.stringContaining('ended 1'),
    });
  });

  it('a person gets it indented', () => {
    expect(manual.render(hookReport(sweepOf(), FACTS))).toMatch(/^\{\n {2}"hook": /);
  });

  it('reads the event of Claude Code, and leaves out what has a wrong type', () => {
    expect(claude.event({ hook_event_name: 'SessionStart', source: 'resume', session_id: 's', cwd: '/p' })).toEqual({
      name: 'SessionStart',
      cause: 'resume',
      sessionId: 's',
      cwd: '/p',
    });
    expect(manual.event({ hook_event_name: 'Stop' })).toEqual({ name: 'Stop' });
    expect(claude.event({ hook_event_name: 'SessionEnd', reason: 'other', session_id: 5, cwd: null })).toEqual({
      name: 'SessionEnd',
      cause: 'other',
    });
  });

  it.each([
    [{ hook_event_name: 'Stop' }, true],
    [{ hook_event_name: 5 }, false],
    [{}, false],
  ])('%j is an event of Claude Code: %s', (input, recognised) => {
    expect(claude.recognises(input)).toBe(recognised);
  });
});
