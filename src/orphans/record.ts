/** From the report of a sweep to the entry of the log. Pure. */
import type { RunStats } from '../history/log.js';
import type { SweepReport } from '../types.js';

/** The five established keys first; what is ours is added only where there is something to say. */
export function runStats(report: SweepReport): RunStats {
  const byClass: Record<string, number> = {};
  for (const { rule } of report.cleaned) byClass[rule] = (byClass[rule] ?? 0) + 1;
  const reported = report.verdicts.filter(({ action }) => action === 'report').length;
  return {
    ripgrep_cleaned: report.ripgrepCleaned,
    bash_cleaned: report.bashCleaned,
    total_cleaned: report.totalCleaned,
    failed: report.failed,
    details: report.cleaned.map(({ pid, type, reason, runningTimeSeconds, name, rule, signal }) => ({
      pid,
      type,
      reason,
      running_time: runningTimeSeconds,
      name,
      rule,
      signal,
    })),
    ...(report.cleaned.length > 0 ? { cleaned_by_class: byClass } : {}),
    ...(report.failures.length > 0
      ? { failed_details: report.failures.map(({ pid, reason, name, rule }) => ({ pid, reason, name, rule })) }
      : {}),
    ...(reported > 0 ? { reported } : {}),
    ...(report.deferred > 0 ? { deferred: report.deferred } : {}),
    ...(report.reportOnly ? { report_only: true } : {}),
    duration_ms: Math.round(report.durationMs),
  };
}
