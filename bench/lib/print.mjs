/** The outcome as text for a terminal: a block per row, then what was reached. */

const COLUMNS = { label: 44, figure: 34, ratio: 12 };

/** Three digits that matter, whatever the size. */
export function number(value) {
  if (value === 0) return '0';
  const magnitude = Math.abs(value);
  if (magnitude >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(magnitude >= 10 ? 1 : magnitude >= 0.1 ? 2 : 4);
}

const times = (ratio) => (ratio === undefined ? '' : number(ratio));

function line(entry, unit) {
  const label = `  ${entry.label}`.padEnd(COLUMNS.label);
  if (entry.value === undefined || entry.reason) return `${label}${entry.reason}`;
  const figure = `${number(entry.value).padStart(9)} ${unit} [${number(entry.low)}–${number(entry.high)}]`;
  const ratios = times(entry.toLimit).padStart(COLUMNS.ratio) + times(entry.toBestPeer).padStart(COLUMNS.ratio);
  return `${label}${figure.padEnd(COLUMNS.figure)}${ratios}${entry.note ? `  ${entry.note}` : ''}`;
}

export function goalText({ text, subject, ratio, reached }, row) {
  const label = row.contestants.find(({ id }) => id === subject)?.label ?? subject;
  const outcome = reached === undefined ? 'unknown' : reached ? 'reached' : 'NOT REACHED';
  return `${label}: ${text}: ${ratio === undefined ? '' : `${number(ratio)}, `}${outcome}`;
}

export function printRow(row) {
  const head = row.title.padEnd(COLUMNS.label + COLUMNS.figure) + '× limit'.padStart(COLUMNS.ratio) + '× best peer'.padStart(COLUMNS.ratio);
  return [
    head,
    ...row.contestants.map((entry) => line(entry, row.unit)),
    ...row.goals.map((goal) => `  goal, ${goalText(goal, row)}`),
    '',
  ].join('\n');
}

export function printSummary(rows) {
  const goals = rows.flatMap((row) => row.goals.map((goal) => ({ goal, row })));
  const reached = goals.filter(({ goal }) => goal.reached === true);
  const open = goals.filter(({ goal }) => goal.reached !== true);
  const missing = new Map(
    rows.flatMap(({ contestants }) =>
      contestants.filter(({ reason }) => reason?.startsWith('missing')).map(({ label, reason }) => [label, reason]),
    ),
  );
  return [
    `goals reached: ${reached.length} of ${goals.length}`,
    ...open.map(({ goal, row }) => `  ${row.id}: ${goalText(goal, row)}`),
    ...[...missing].map(([label, reason]) => `${label}: ${reason}`),
    '',
  ].join('\n');
}
