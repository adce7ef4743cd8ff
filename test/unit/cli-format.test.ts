import { describe, expect, it } from 'vitest';
import { cut, displayWidth, printable, table, terminal, toJson } from '../../src/cli/format.js';

const PLAIN = { width: Number.POSITIVE_INFINITY, colour: false };

describe('what a stranger calls itself', () => {
  it.each([
    ['plain name', 'plain name'],
    ['\x1b[31mred', '\\x1b[31mred'],
    ['a\nb\tc', 'a\\nb\\tc'],
    ['\x9b2J', '\\x9b2J'],
    ['\u202egnp.exe', '\\u{202e}gnp.exe'],
    ['ünï 日本', 'ünï 日本'],
    ['\x00', '\\x00'],
  ])('%j is shown as %s', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });
});

describe('width on a terminal', () => {
  it.each([
    ['abc', 3],
    ['日本', 4],
    ['e\u0301', 1],
    ['🙂', 2],
    ['├─ x', 4],
  ])('%s takes %d columns', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });

  it.each([
    ['abcdef', 6, 'abcdef'],
    ['abcdef', 5, 'abcd…'],
    ['日本語', 4, '日…'],
    ['abc', 0, ''],
  ])('%s cut to %d is %j', (text, width, shown) => {
    expect(cut(text, width)).toBe(shown);
  });
});

describe('tables', () => {
  const columns = [
    { title: 'PID', value: (row: [number, string]) => String(row[0]), align: 'right' as const },
    { title: 'NAME', value: (row: [number, string]) => row[1] },
  ];

  it('aligns columns and leaves no blanks at the end', () => {
    const rows: Array<[number, string]> = [
      [7, 'a'],
      [1234, 'long name'],
    ];
    expect(table(rows, columns, PLAIN)).toBe(' PID  NAME\n   7  a\n1234  long name');
  });

  it('cuts the last column at the width of the terminal, only there', () => {
    expect(table([[1, 'abcdefghij']], columns, { width: 10, colour: false })).toBe('PID  NAME\n  1  abcd…');
    expect(table([[1, 'abcdefghij']], columns, PLAIN)).toContain('abcdefghij');
  });

  it('colours only a terminal that wants it', () => {
    const styled = [{ title: 'X', value: () => 'x', style: () => 'red' as const }];
    expect(table([0], styled, { width: 80, colour: true })).toContain('\x1b[31mx\x1b[0m');
    expect(table([0], styled, PLAIN)).toBe('X\nx');
  });
});

describe('the terminal', () => {
  const stream = (isTTY: boolean) => ({ isTTY, columns: 100 }) as NodeJS.WriteStream;
  it.each([
    [true, {}, 100, true],
    [true, { NO_COLOR: '1' }, 100, false],
    [true, { NO_COLOR: '' }, 100, true],
    [true, { TERM: 'dumb' }, 100, false],
    [false, {}, Number.POSITIVE_INFINITY, false],
  ])('a terminal: %s with %j → %d columns, colour %s', (isTTY, env, width, colour) => {
    expect(terminal(stream(isTTY), env)).toEqual({ width, colour });
  });
});

it('writes bigints of identities as numbers', () => {
  expect(JSON.parse(toJson({ startTicks: 123456789012n }))).toEqual({ startTicks: 123456789012 });
});
