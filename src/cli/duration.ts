/** Durations and sizes of time as people write them: 500ms, 30s, 5m, 2h, 1d, plain seconds. Pure. */

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, '': 1000 };

/** What a duration option expects, as its error message says it. */
export const DURATION_FORM = 'a duration such as 500ms, 30s, 5m, 2h, 1d or plain seconds';

/** Whole milliseconds, or undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|d|)$/.exec(text);
  if (match === null) return undefined;
  const ms = Math.round(Number(match[1]) * (UNIT_MS[match[2] as string] as number));
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** An age in two units at most: 41s, 4m12s, 3h07m, 12d03h. */
export function formatAge(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${pad(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h${pad(Math.floor(whole / 60) % 60)}m`;
  return `${Math.floor(whole / 86_400)}d${pad(Math.floor(whole / 3600) % 24)}h`;
}

/** A measured time: 840 ms, 3.2 s. */
export function formatMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
