/** From the report of a sweep to the object a hook answers with. Pure; the keys are a contract with scripts that read them. */
import type { SweepReport } from '../types.js';

export interface HookDetail {
  pid: number;
  type: string;
  reason: string;
  /** Seconds, two decimals. */
  running_time: number;
  name: string;
}

interface HookAnswer {
  /** Event and task in one name, as in the hooks this format comes from. */
  hook: string;
  success: boolean;
  execution_time_seconds: number;
  timestamp: string;
  warnings?: string[];
}

export interface HookReport extends HookAnswer {
  cleanup_stats: { ripgrep_cleaned: number; bash_cleaned: number; total_cleaned: number; failed: number; details: HookDetail[] };
  /** Present when nothing was ended on purpose; then `would_end` has what would have been. */
  report_only?: string;
  would_end?: HookDetail[];
  failed_details?: Array<{ pid: number; name: string; reason: string }>;
  /** More were found than one run may end; the next run goes on. */
  deferred?: number;
  skipped?: string;
  notice?: string;
  log?: string;
}

export interface HookFailure extends HookAnswer {
  success: false;
  error: string;
  graceful_degradation: boolean;
  message?: string;
}

export interface AnswerFacts {
  /** The host's event; undefined = run by hand, which counts as a session start. */
  event: string | undefined;
  elapsedMs: number;
  timestamp: string;
}

/** A host may cut or refuse long answers (Claude Code: 10,000 characters); the log has everything. */
const MAX_ENTRIES = 20;
const MAX_WARNINGS = 8;
const MAX_TEXT = 200;
const MAX_NAME = 60;

export function hookReport(
  sweep: SweepReport,
  facts: AnswerFacts & { reportOnly?: string | undefined; notifyThreshold: number; warnings?: readonly string[] },
): HookReport {
  const report: HookReport = {
    hook: hookName(facts.event),
    success: sweep.success,
    execution_time_seconds: seconds(facts.elapsedMs),
    cleanup_stats: {
      ripgrep_cleaned: sweep.ripgrepCleaned,
      bash_cleaned: sweep.bashCleaned,
      total_cleaned: sweep.totalCleaned,
      failed: sweep.failed,
      details: sweep.cleaned.slice(0, MAX_ENTRIES).map(({ pid, type, reason, runningTimeSeconds, name }) => ({
        pid,
        type,
        reason,
        running_time: runningTimeSeconds,
        name: shorten(name, MAX_NAME),
      })),
    },
    timestamp: facts.timestamp,
  };
  const reportOnly = facts.reportOnly ?? (sweep.reportOnly ? 'a configuration file is broken' : sweep.dryRun ? 'dry run' : undefined);
  if (reportOnly !== undefined) {
    report.report_only = reportOnly;
    report.would_end = wouldEnd(sweep);
  }
  if (sweep.failures.length > 0) {
    report.failed_details = sweep.failures
      .slice(0, MAX_ENTRIES)
      .map(({ pid, name, reason }) => ({ pid, name: shorten(name, MAX_NAME), reason: shorten(reason, MAX_NAME) }));
  }
  if (sweep.deferred > 0) report.deferred = sweep.deferred;
  if (sweep.skipped !== undefined) report.skipped = sweep.skipped;
  if (sweep.totalCleaned > facts.notifyThreshold) report.notice = noticeOf(sweep.totalCleaned);
  if (sweep.logPath !== undefined) report.log = sweep.logPath;
  const warnings = [...(facts.warnings ?? []), ...sweep.warnings].slice(0, MAX_WARNINGS).map((warning) => shorten(warning));
  if (warnings.length > 0) report.warnings = warnings;
  return report;
}

export function hookFailure(error: string, graceful: boolean, facts: AnswerFacts): HookFailure {
  return {
    hook: hookName(facts.event),
    success: false,
    execution_time_seconds: seconds(facts.elapsedMs),
    error: shorten(error),
    graceful_degradation: graceful,
    ...(graceful ? { message: 'Nothing depends on this clean-up: the session goes on, the next one tries again.' } : {}),
    timestamp: facts.timestamp,
  };
}

/** SessionStart → session_start__process_cleanup */
export function hookName(event = 'SessionStart'): string {
  // Known as it is: the expressions below are compiled to machine code for a single use, at every session start.
  if (event === 'SessionStart') return 'session_start__process_cleanup';
  const words = event.replace(/[^A-Za-z0-9]+/g, '_').replace(/([a-z0-9])([A-Z])/g, '$1_$2');
  return `${words.toLowerCase().slice(0, 60)}__process_cleanup`;
}

/** One sentence for the user; undefined when there is nothing worth interrupting for. */
export function summaryFor(answer: HookReport | HookFailure): string | undefined {
  if ('error' in answer) return `corral: process clean-up did not run: ${answer.error}`;
  const { total_cleaned: total, failed, details } = answer.cleanup_stats;
  const parts: string[] = [];
  if (total > 0) {
    const reasons = new Map<string, number>();
    for (const { type, reason } of details) reasons.set(`${type} ${reason}`, (reasons.get(`${type} ${reason}`) ?? 0) + 1);
    const list = [...reasons].map(([what, times]) => (times > 1 ? `${times} × ${what}` : what)).join(', ');
    parts.push(`ended ${total} leftover process${total === 1 ? '' : 'es'} (${list})`);
  }
  if (failed > 0) parts.push(`could not end ${failed}`);
  if (answer.report_only === 'a configuration file is broken') parts.push(`only reported, because ${answer.report_only}`);
  if (parts.length === 0) return undefined;
  return `corral: ${parts.join('; ')}.${answer.notice === undefined ? '' : ` ${answer.notice}`}`;
}

function noticeOf(total: number): string {
  return `${total} processes were left behind in one go: please check the workflow that leaves them.`;
}

function wouldEnd(sweep: SweepReport): HookDetail[] {
  return sweep.verdicts
    .filter((verdict) => verdict.action === 'terminate')
    .slice(0, MAX_ENTRIES)
    .map(({ process, type, reason }) => ({
      pid: process.pid,
      type: type ?? '',
      reason: reason ?? '',
      running_time: Math.round((process.ageSeconds ?? 0) * 100) / 100,
      name: shorten(process.name ?? '', MAX_NAME),
    }));
}

function shorten(text: string, limit = MAX_TEXT): string {
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}

function seconds(ms: number): number {
  return Math.round(ms / 10) / 100;
}
