/**
 * Turns the outcome of a contest into rows: who against whom, ratios, goals reached or not. Decides nothing about how to measure.
 *
 * A row compares one figure (smaller is better). Its contestants are a limit, corral in one or more forms, and peers; all of them
 * stay in the row, with a reason where there is no figure.
 */

/** What a contestant is, by its id. A reference is shown, and compared with nothing. */
export function kindOf(id) {
  return ['limit', 'corral', 'reference'].find((kind) => id.startsWith(kind)) ?? 'peer';
}

function reasonFor({ missing, late, failed }) {
  if (missing) return `missing: ${missing}`;
  if (late) return `not done after ${late / 1000} s`;
  if (failed) return `failed: ${failed}`;
  return 'no figure';
}

/**
 * @param {object} spec
 * @param {Map} spec.results of contest()
 * @param {string[]} spec.ids contestants in order; the first one whose id begins with "limit" is the limit
 * @param {string | ((metrics: object) => object | undefined)} spec.metric
 * @param {number} [spec.divide] from the metric's unit to the row's
 * @param {(metrics: object) => string | undefined} [spec.note] said beside the figure
 * @param {(metrics: object) => string | undefined} [spec.without] said where there is no figure
 * @param {{ text: string, subjects: string[], atMost: number, of?: string | number, plus?: number }[]} [spec.goals]
 *   figure of each subject <= atMost * (figure of `of`, or that number, default 1) + plus
 */
export function makeRow({ id, suite, title, unit, results, ids, metric, divide = 1, note, without, goals = [] }) {
  const pick = typeof metric === 'function' ? metric : (metrics) => metrics[metric];
  const contestants = ids.map((contestant) => {
    const result = results.get(contestant);
    const figure = pick(result.metrics);
    const entry = { id: contestant, label: result.label, kind: kindOf(contestant) };
    if (figure === undefined) return { ...entry, reason: without?.(result.metrics) ?? reasonFor(result), late: result.late };
    const scaled = { value: figure.value / divide, low: figure.low / divide, high: figure.high / divide };
    return { ...entry, ...scaled, note: note?.(result.metrics), rounds: figure.rounds.map((value) => value / divide) };
  });
  const figureOf = (contestant) => contestants.find(({ id: other }) => other === contestant)?.value;
  const limit = contestants.find(({ kind, value }) => kind === 'limit' && value !== undefined);
  const peers = contestants.filter(({ kind, value }) => kind === 'peer' && value !== undefined).sort((a, b) => a.value - b.value);
  for (const entry of contestants) {
    if (entry.value === undefined) continue;
    if (limit?.value > 0) entry.toLimit = entry.value / limit.value;
    if (entry.kind === 'corral' && peers[0]?.value > 0) entry.toBestPeer = entry.value / peers[0].value;
  }
  const judged = goals.flatMap(({ text, subjects, atMost, of = 1, plus = 0 }) =>
    subjects.map((subject) => {
      const value = figureOf(subject);
      const reference = typeof of === 'number' ? of : figureOf(of);
      const known = value !== undefined && reference !== undefined;
      return {
        text,
        subject,
        ratio: known && reference > 0 ? value / reference : undefined,
        reached: known ? value <= atMost * reference + plus : undefined,
      };
    }),
  );
  return { id, suite, title, unit, limit: limit?.id, bestPeer: peers[0]?.id, contestants, goals: judged };
}

/** The figure of one contestant of a row, to be the reference of another row. */
export const figure = (row, id) => row.contestants.find((entry) => entry.id === id)?.value;
