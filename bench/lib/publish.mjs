/**
 * Writes the outcome of a run into docs/benchmarks.md, between its two marks, and the plots beside it. Every number is a ratio.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { barChart, lineChart, ratioText } from './plot.mjs';

const DOCS = fileURLToPath(new URL('../../docs', import.meta.url));
const BEGIN = '<!-- begin: written by npm run bench -- --publish -->';
const END = '<!-- end -->';

const SUITE_TITLES = {
  spawn: 'Starting',
  kill: 'Ending a tree',
  reap: 'Seeing an exit',
  scan: 'Scanning',
  sweep: 'Sweeping',
  hook: 'Hook',
  memory: 'Memory',
};
/** What a row without a limit is compared with. */
const BASES = ['node', 'plain-js'];

/** The contestant that is 1.00 in a row. */
function baseOf(row) {
  const has = (id) => row.contestants.find((entry) => entry.id === id && entry.value > 0);
  return has(row.limit) ?? BASES.map(has).find(Boolean);
}

function outcome(goal) {
  if (goal.reached === undefined) return 'not measured';
  return goal.reached ? 'reached' : '**not reached**';
}

/** `|` would end a cell. */
const cell = (text) => String(text).replaceAll('|', '\\|');
const tableRow = (...cells) => `| ${cells.map(cell).join(' | ')} |`;

function goalTable(rows) {
  const lines = ['| what | corral | goal | measured, of the goal’s base | × limit | × best peer | |', '|---|---|---|---|---|---|---|'];
  for (const row of rows) {
    const bestPeer = row.contestants.find(({ id }) => id === row.bestPeer)?.label;
    for (const goal of row.goals) {
      const subject = row.contestants.find(({ id }) => id === goal.subject);
      const measured = subject.value === undefined ? subject.reason : goal.ratio === undefined ? subject.value : ratioText(goal.ratio);
      const toLimit = subject.toLimit === undefined ? '' : ratioText(subject.toLimit);
      const toPeer = subject.toBestPeer === undefined ? '' : `${ratioText(subject.toBestPeer)} (${bestPeer})`;
      lines.push(tableRow(row.title, subject.label, goal.text, measured, toLimit, toPeer, outcome(goal)));
    }
  }
  return lines.join('\n');
}

function rowTable(row) {
  const base = baseOf(row);
  // Survivors have a table of their own; what has no base has its ratio among the goals.
  if (row.unit === 'survivors' || base === undefined) return undefined;
  const lines = ['| | ratio | lowest – highest round |', '|---|---|---|'];
  for (const entry of row.contestants) {
    const label = entry.kind === 'corral' ? `**${entry.label}**` : entry.label;
    if (entry.value === undefined) lines.push(tableRow(label, entry.reason ?? '–', ''));
    else {
      const [low, high] = [entry.low, entry.high].map((value) => ratioText(value / base.value));
      lines.push(tableRow(label, `${ratioText(entry.value / base.value)} ×${entry.note ? ` (${entry.note})` : ''}`, `${low} – ${high}`));
    }
  }
  return `#### ${row.title}\n\n${lines.join('\n')}`;
}

function survivorTable(rows) {
  const shapes = rows.filter(({ unit }) => unit === 'survivors');
  if (shapes.length === 0) return undefined;
  const heads = shapes.map(({ title }) => title.replace(/^end a tree, /, '').replace(/: survivors$/, ''));
  const lines = [tableRow('survivors of', ...heads), `|---|${heads.map(() => '---|').join('')}`];
  for (const { id, label, kind } of shapes[0].contestants) {
    const cells = shapes.map((row) => {
      const entry = row.contestants.find((other) => other.id === id);
      return entry.value === undefined ? entry.reason : String(entry.value);
    });
    lines.push(tableRow(kind === 'corral' ? `**${label}**` : label, ...cells));
  }
  return `#### Survivors, 300 ms after the method says it is done (worst round)\n\n${lines.join('\n')}`;
}

const find = (rows, id) => rows.find((row) => row.id === id);

function bars(row, title, subtitle) {
  const base = row && baseOf(row);
  if (!base) return undefined;
  const entries = row.contestants
    .filter(({ reason }) => !reason?.startsWith('missing'))
    .map(({ label, kind, value, reason, note }) => ({
      label,
      kind,
      ratio: value === undefined ? undefined : value / base.value,
      note: reason ?? note,
    }))
    .sort((a, b) => (a.ratio ?? Number.POSITIVE_INFINITY) - (b.ratio ?? Number.POSITIVE_INFINITY));
  return barChart({ title, subtitle, unit: '×', entries });
}

/** Lines over several rows; 1 is `base` in the first of them. */
function lines(rows, ids, steps, { base, title, subtitle, unit }) {
  const found = ids.map((id) => find(rows, id));
  const present = found.flatMap((row, i) => (row ? [{ row, step: steps[i] }] : []));
  const one = present[0]?.row.contestants.find(({ id }) => id === base)?.value;
  if (present.length < 2 || !one) return undefined;
  const series = present[0].row.contestants.map(({ id, label, kind }) => ({
    label,
    kind,
    ratios: present.map(({ row }) => {
      const value = row.contestants.find((entry) => entry.id === id)?.value;
      return value === undefined ? undefined : value / one;
    }),
  }));
  return lineChart({ title, subtitle, unit, steps: present.map(({ step }) => step), series });
}

function plots(rows) {
  const drawn = {
    'spawn-block': lines(
      rows,
      [0, 100, 1000, 4000].map((mb) => `spawn-block-${mb}`),
      ['empty heap', '100 MB', '1 GB', '4 GB'],
      {
        base: 'node',
        title: 'How long spawn() blocks the JavaScript thread',
        subtitle: '1 = child_process.spawn of Node with an empty heap; lower is better',
        unit: '×',
      },
    ),
    'kill-100': bars(
      find(rows, 'kill-flat-100'),
      'Ending a tree of 100: call → all dead and known',
      '1 = kill(-pgid) and ECHILD in C; shorter is better',
    ),
    reap: lines(
      rows,
      [0, 500, 2000].map((live) => `reap-${live}`),
      ['0 other children', '500', '2,000'],
      {
        base: 'limit',
        title: 'From a child’s exit to the callback',
        subtitle: '1 = pidfd and epoll in C with no other child alive; lower is better',
        unit: '×',
      },
    ),
    'scan-1000': bars(find(rows, 'scan-1000'), 'Listing 1,000 processes with arguments', '1 = C, one thread; shorter is better'),
    hook: bars(find(rows, 'hook'), 'A hook with nothing to do, whole process', '1 = node with an empty file; shorter is better'),
  };
  return Object.entries(drawn).filter(([, svg]) => svg !== undefined);
}

function machineText({ cpu, cores, memoryGb, kernel, versions }) {
  const list = Object.entries(versions)
    .filter(([, version]) => version)
    .map(([name, version]) => `${name} ${version}`);
  return `${cores} cores (${cpu}), ${memoryGb} GB, Linux ${kernel}; ${list.join(', ')}.`;
}

export function publish({ rows, machine, quick }) {
  if (quick) throw new Error('--publish needs a whole run, not --quick');
  const plotDirectory = path.join(DOCS, 'benchmarks');
  mkdirSync(plotDirectory, { recursive: true });
  const pictures = plots(rows);
  for (const [name, svg] of pictures) writeFileSync(path.join(plotDirectory, `${name}.svg`), svg);
  const picturesOf = (suite) => pictures.filter(([name]) => name.startsWith(suite)).map(([name]) => `![${name}](benchmarks/${name}.svg)`);

  const suites = Object.keys(SUITE_TITLES).filter((suite) => rows.some((row) => row.suite === suite));
  const sections = suites.flatMap((suite) => {
    const own = rows.filter((row) => row.suite === suite);
    const tables = [survivorTable(own), ...own.map(rowTable)].filter(Boolean);
    if (tables.length === 0) return [];
    return [
      `### ${SUITE_TITLES[suite]}`,
      ...picturesOf(suite),
      `<details><summary>All figures</summary>\n\n${tables.join('\n\n')}\n\n</details>`,
    ];
  });
  const generated = [`Machine: ${machineText(machine)}`, goalTable(rows), ...sections].join('\n\n');

  const page = path.join(DOCS, 'benchmarks.md');
  const [before, rest] = readFileSync(page, 'utf8').split(BEGIN);
  if (rest === undefined || !rest.includes(END)) throw new Error(`${page} has lost its marks ${BEGIN} and ${END}`);
  writeFileSync(page, `${before}${BEGIN}\n\n${generated}\n\n${END}${rest.split(END)[1]}`);
}
