/** Text for a terminal: tables, colour, names of strangers made harmless. Pure but for `terminal`, which looks at a stream. */

export interface Terminal {
  /** Columns to fit into; Infinity when the output is not a terminal (nothing is cut for a program or a file). */
  width: number;
  colour: boolean;
}

export function terminal(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Terminal {
  return {
    width: stream.isTTY ? stream.columns || 80 : Number.POSITIVE_INFINITY,
    // no-color.org: present and not empty
    colour: stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb',
  };
}

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
export type Style = keyof typeof STYLES;

export function paint(text: string, style: Style | undefined, to: Terminal): string {
  return to.colour && style !== undefined ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
}

/**
 * Shows control and format characters as escapes: any process may choose its name and arguments, and none of them may
 * write to the reader's terminal.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (char) => {
    const code = char.codePointAt(0) as number;
    if (char === '\n') return '\\n';
    if (char === '\t') return '\\t';
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

export interface Column<Row> {
  title: string;
  value: (row: Row) => string;
  align?: 'right';
  style?: (row: Row) => Style | undefined;
}

/** Rows under titles, in columns as wide as they need to be. The last column is cut at the width of the terminal. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], to: Terminal): string {
  const cells = rows.map((row) => columns.map((column) => printable(column.value(row))));
  const widths = columns.map((column, at) =>
    cells.reduce((width, line) => Math.max(width, displayWidth(line[at] as string)), column.title.length),
  );
  const line = (texts: readonly string[], styleOf: (at: number) => Style | undefined) => {
    let used = 0;
    const parts = texts.map((text, at) => {
      const column = columns[at] as Column<Row>;
      const last = at === texts.length - 1;
      const shown = last ? cut(text, to.width - used) : text;
      const gap = ' '.repeat(Math.max(0, (widths[at] as number) - displayWidth(shown)));
      used += (widths[at] as number) + 2;
      const painted = paint(shown, styleOf(at), to);
      return column.align === 'right' ? gap + painted : last ? painted : painted + gap;
    });
    return parts.join('  ').trimEnd();
  };
  const head = line(
    columns.map((column) => column.title),
    () => 'dim',
  );
  return [head, ...cells.map((texts, row) => line(texts, (at) => columns[at]?.style?.(rows[row] as Row)))].join('\n');
}

/** Cuts to a number of columns, with an ellipsis. */
export function cut(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let shown = '';
  let used = 0;
  for (const char of text) {
    const wide = charWidth(char);
    if (used + wide > width - 1) break;
    shown += char;
    used += wide;
  }
  return width < 1 ? '' : `${shown}…`;
}

/** Columns a text takes: wide (East Asian, emoji) characters take two, combining marks none. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

function charWidth(char: string): number {
  if (char < '\u0300') return 1;
  if (/^\p{M}$/u.test(char)) return 0;
  return /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]$|^\p{Emoji_Presentation}$/u.test(
    char,
  ) || (char.codePointAt(0) as number) >= 0x20000
    ? 2
    : 1;
}

/** JSON for programs. Start ticks are whole numbers far below 2^53, so a bigint becomes a number. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, bigintAsNumber, 2);
}

export function toJsonLine(value: unknown): string {
  return JSON.stringify(value, bigintAsNumber);
}

function bigintAsNumber(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}
