/**
 * Draws figures as self-contained SVG: ratios on logarithmic axes, corral in colour, limits dashed, peers grey. Follows the reader's
 * light or dark theme. Knows nothing about benchmarks; takes labels and numbers.
 */

const WIDTH = 800;
const FONT = '13px ui-sans-serif, system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif';
const STYLE = `
  svg { font: ${FONT}; }
  .paper { fill: #ffffff; } .ink { fill: #1f2328; } .soft { fill: #656d76; } .grid { stroke: #d0d7de; }
  .corral { fill: #0969da; } .corral-line { stroke: #0969da; }
  .peer, .reference { fill: #8c959f; } .peer-line { stroke: #8c959f; } .reference-line { stroke: #8c959f; stroke-dasharray: 2 4; }
  .limit { fill: #1a7f37; } .limit-line { stroke: #1a7f37; stroke-dasharray: 5 4; }
  .bad { fill: #cf222e; }
  .head { font-weight: 600; font-size: 15px; } .corral-label { fill: #0969da; font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } .ink { fill: #e6edf3; } .soft { fill: #9198a1; } .grid { stroke: #30363d; }
    .corral { fill: #4493f8; } .corral-line { stroke: #4493f8; } .corral-label { fill: #4493f8; }
    .peer, .reference { fill: #7d8590; } .peer-line, .reference-line { stroke: #7d8590; }
    .limit { fill: #3fb950; } .limit-line { stroke: #3fb950; } .bad { fill: #f85149; }
  }`;

const escapeXml = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
const at = (value) => value.toFixed(1);

function text(x, y, content, { style = 'ink', anchor = 'start' } = {}) {
  return `<text x="${at(x)}" y="${at(y)}" class="${style}" text-anchor="${anchor}">${escapeXml(content)}</text>`;
}

/** Ratio as a reader says it: 3 digits at most, "1/20" below a tenth. */
export function ratioText(ratio) {
  if (ratio === 0) return '0';
  if (ratio >= 100) return Math.round(ratio).toLocaleString('en-US');
  if (ratio >= 10) return ratio.toFixed(0);
  if (ratio >= 1) return ratio.toFixed(ratio >= 3 ? 1 : 2).replace(/\.0+$/, '');
  if (ratio > 0.1) return ratio.toFixed(2);
  return `1/${Math.round(1 / ratio).toLocaleString('en-US')}`;
}

function page(height, title, subtitle, body) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escapeXml(title)}">
<style>${STYLE}
</style>
<rect class="paper" width="${WIDTH}" height="${height}" rx="6"/>
${text(20, 30, title, { style: 'ink head' })}
${text(20, 50, subtitle, { style: 'soft' })}
${body.join('\n')}
</svg>
`;
}

/** Powers of ten around all values. */
function decades(values) {
  const low = Math.floor(Math.log10(Math.min(...values)) + 1e-9);
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)) - 1e-9));
  return Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
}

function scale(ticks, from, to) {
  const low = Math.log10(ticks[0]);
  const high = Math.log10(ticks.at(-1));
  return (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
}

/**
 * A line per entry, its length the ratio to 1.
 * @param {{ title: string, subtitle: string, unit: string, entries: { label, kind: 'limit' | 'corral' | 'peer' | 'reference', ratio?, note? }[] }} chart
 */
export function barChart({ title, subtitle, unit, entries }) {
  const LEFT = 250;
  const RIGHT = WIDTH - 130;
  const TOP = 76;
  const STEP = 26;
  const bottom = TOP + entries.length * STEP;
  const ticks = decades([1, ...entries.map(({ ratio }) => ratio).filter(Boolean)]);
  const x = scale(ticks, LEFT, RIGHT);
  const body = ticks.flatMap((tick) => [
    `<line class="grid" x1="${at(x(tick))}" x2="${at(x(tick))}" y1="${TOP - 8}" y2="${at(bottom)}"${tick === 1 ? ' stroke-width="2"' : ''}/>`,
    text(x(tick), bottom + 18, `${ratioText(tick)} ${unit}`, { style: 'soft', anchor: 'middle' }),
  ]);
  entries.forEach(({ label, kind, ratio, note }, i) => {
    const y = TOP + i * STEP + STEP / 2 - 4;
    body.push(text(LEFT - 14, y + 5, label, { style: kind === 'corral' ? 'corral-label' : 'ink', anchor: 'end' }));
    if (ratio === undefined) {
      body.push(text(x(1) + 8, y + 5, note, { style: 'bad' }));
      return;
    }
    const [from, to] = [x(1), x(ratio)].sort((a, b) => a - b);
    body.push(`<rect class="${kind}" x="${at(from)}" y="${at(y - 5)}" width="${at(Math.max(to - from, 2))}" height="10" rx="2"/>`);
    body.push(
      text(Math.max(from, to) + 8, y + 5, `${ratioText(ratio)} ×${note ? `  ${note}` : ''}`, {
        style: kind === 'corral' ? 'corral-label' : 'soft',
      }),
    );
  });
  return page(bottom + 34, title, subtitle, body);
}

/** Moves labels apart that would lie on each other; keeps their order. */
function spread(labels, gap, bottom) {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  for (let i = 1; i < sorted.length; i++) sorted[i].y = Math.max(sorted[i].y, sorted[i - 1].y + gap);
  for (let i = sorted.length - 1, limit = bottom; i >= 0; i--, limit = sorted[i + 1].y - gap) sorted[i].y = Math.min(sorted[i].y, limit);
  return sorted;
}

/**
 * Ratios over a few named steps.
 * @param {{ title: string, subtitle: string, unit: string, steps: string[], series: { label, kind, ratios: (number | undefined)[] }[] }} chart
 */
export function lineChart({ title, subtitle, unit, steps, series }) {
  const LEFT = 90;
  const RIGHT = WIDTH - 250;
  const TOP = 76;
  const BOTTOM = 400;
  const ticks = decades(series.flatMap(({ ratios }) => ratios.filter(Boolean)));
  const y = scale(ticks, BOTTOM, TOP);
  const x = (i) => LEFT + 20 + (i / (steps.length - 1)) * (RIGHT - LEFT - 30);
  const body = [
    ...ticks.flatMap((tick) => [
      `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${at(y(tick))}" y2="${at(y(tick))}"/>`,
      text(LEFT - 8, y(tick) + 4, `${ratioText(tick)} ${unit}`, { style: 'soft', anchor: 'end' }),
    ]),
    ...steps.map((step, i) => text(x(i), BOTTOM + 22, step, { style: 'soft', anchor: 'middle' })),
  ];
  const labels = [];
  for (const { label, kind, ratios } of series) {
    const points = ratios.map((ratio, i) => (ratio === undefined ? undefined : { x: x(i), y: y(ratio) })).filter(Boolean);
    if (points.length === 0 || ratios.at(-1) === undefined) continue; // its label would stand at a wrong place
    const path = points.map((point, i) => `${i === 0 ? 'M' : 'L'}${at(point.x)} ${at(point.y)}`).join(' ');
    body.push(`<path class="${kind}-line" d="${path}" fill="none" stroke-width="${kind === 'corral' ? 3 : 1.6}"/>`);
    body.push(
      ...points.map((point) => `<circle class="${kind}" cx="${at(point.x)}" cy="${at(point.y)}" r="${kind === 'corral' ? 4 : 3}"/>`),
    );
    labels.push({ label, kind, end: points.at(-1), y: points.at(-1).y });
  }
  for (const { label, kind, end, y: where } of spread(labels, 16, BOTTOM)) {
    body.push(`<line class="grid" x1="${at(end.x + 6)}" y1="${at(end.y)}" x2="${at(RIGHT + 8)}" y2="${at(where)}"/>`);
    body.push(text(RIGHT + 12, where + 4, label, { style: kind === 'corral' ? 'corral-label' : 'ink' }));
  }
  return page(BOTTOM + 40, title, subtitle, body);
}
