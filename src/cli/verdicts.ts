/** How verdicts of a sweep are shown to people. Pure. */
import type { SweepReport, Verdict } from '../types.js';
import { formatAge } from './duration.js';
import { type Column, type Style, type Terminal, table } from './format.js';
import { commandText } from './process-columns.js';

/** Long enough to recognise a command; what speaks for and against it comes behind. */
const COMMAND_WIDTH = 48;

type Outcome = 'would end' | 'ended' | 'failed' | 'deferred' | 'report' | 'spare';

const STYLES: Record<Outcome, Style | undefined> = {
  'would end': 'red',
  ended: 'red',
  failed: 'red',
  deferred: 'yellow',
  report: 'yellow',
  spare: 'green',
};

export function verdictTable(verdicts: readonly Verdict[], outcomeOf: (verdict: Verdict) => Outcome, to: Terminal): string {
  const columns: Column<Verdict>[] = [
    { title: 'PID', value: ({ process }) => String(process.pid), align: 'right' },
    { title: 'AGE', value: ({ process }) => (process.ageSeconds === undefined ? '?' : formatAge(process.ageSeconds)), align: 'right' },
    { title: 'VERDICT', value: outcomeOf, style: (verdict) => STYLES[outcomeOf(verdict)] },
    { title: 'RULE', value: ({ rule, reason }) => [rule, reason].filter(Boolean).join(': ') },
    { title: 'COMMAND', value: ({ process }) => shorten(commandText(process)) },
    { title: 'EVIDENCE', value: evidenceText },
  ];
  return table(verdicts, columns, to);
}

/** What a sweep that ends nothing would do. */
export function plannedOutcome({ action }: Verdict): Outcome {
  return action === 'terminate' ? 'would end' : action;
}

/** What a sweep did. */
export function actualOutcome(report: SweepReport): (verdict: Verdict) => Outcome {
  if (report.dryRun || report.reportOnly) return plannedOutcome;
  const ended = new Set(report.cleaned.map(({ pid }) => pid));
  const failed = new Set(report.failures.map(({ pid }) => pid));
  return (verdict) => {
    const { pid } = verdict.process;
    if (ended.has(pid)) return 'ended';
    if (failed.has(pid)) return 'failed';
    return verdict.action === 'terminate' ? 'deferred' : verdict.action;
  };
}

/** Everything there is to say about one process. */
export function explanation(verdict: Verdict): string {
  const { process, rule, reason, protectedBy, evidence } = verdict;
  const age = process.ageSeconds === undefined ? 'unknown age' : `${formatAge(process.ageSeconds)} old`;
  return [
    `${process.pid} ${commandText(process)} (${age})`,
    `verdict: ${plannedOutcome(verdict)}`,
    `rule: ${rule === undefined ? 'none fits' : `${rule}${reason === undefined ? '' : ` (${reason})`}`}`,
    ...(protectedBy === undefined ? [] : [`protected by: ${protectedBy}`]),
    ...(evidence.length > 0 ? ['evidence:', ...evidence.map((line) => `  ${line}`)] : []),
  ].join('\n');
}

/** One line: how many ended, failed, and so on. */
export function summary(report: Pick<SweepReport, 'verdicts' | 'cleaned' | 'failed' | 'deferred' | 'dryRun' | 'reportOnly'>): string {
  const count = (action: Verdict['action']) => report.verdicts.filter((verdict) => verdict.action === action).length;
  const isPlan = report.dryRun || report.reportOnly;
  const types = new Map<string, number>();
  for (const { type } of report.cleaned) types.set(type, (types.get(type) ?? 0) + 1);
  const byType = types.size > 0 ? ` (${[...types].map(([type, number]) => `${number} ${type}`).join(', ')})` : '';
  return [
    isPlan ? `${count('terminate')} would be ended` : `${report.cleaned.length} ended${byType}`,
    ...(report.failed > 0 ? [`${report.failed} failed`] : []),
    ...(report.deferred > 0 ? [`${report.deferred} left to the next run`] : []),
    `${count('report')} to look at`,
    `${count('spare')} spared`,
  ].join(', ');
}

function evidenceText({ evidence, protectedBy }: Verdict): string {
  return [...(protectedBy === undefined ? [] : [`protected by ${protectedBy}`]), ...evidence].join('; ');
}

function shorten(text: string): string {
  return text.length > COMMAND_WIDTH ? `${text.slice(0, COMMAND_WIDTH - 1)}…` : text;
}
