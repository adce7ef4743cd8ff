import { describe, expect, it } from 'vitest';
import { BoundedPattern, MAX_MATCHED_LENGTH, MAX_PATTERN_LENGTH, PatternGaveUp, patternFits } from '../../src/orphans/pattern.js';

describe('a pattern of the configuration', () => {
  it.each<[string, string | undefined, boolean | undefined]>([
    ['al.mbic', 'run alembic', true],
    ['^alembic', 'run alembic', false],
    ['Alembic', 'alembic', false],
    ['x', undefined, undefined],
    ['x', `x${'y'.repeat(MAX_MATCHED_LENGTH)}`, undefined],
    ['x', `x${'y'.repeat(MAX_MATCHED_LENGTH - 1)}`, true],
    ['(a+)+$', `${'a'.repeat(4000)}b`, undefined],
    ['.*.*.*.*x', 'a'.repeat(4000), undefined],
  ])('%s', (source, text, expected) => expect(patternFits(new BoundedPattern(source), text)).toBe(expected));

  it('gives up by an error of its own', () => {
    expect(() => new BoundedPattern('x').test('y'.repeat(MAX_MATCHED_LENGTH + 1))).toThrow(PatternGaveUp);
  });

  it('is limited in length and has to be one', () => {
    expect(() => new BoundedPattern('x'.repeat(MAX_PATTERN_LENGTH + 1))).toThrow(RangeError);
    expect(() => new BoundedPattern('(')).toThrow(SyntaxError);
  });

  it('is a RegExp to whoever looks at it', () => {
    const pattern = new BoundedPattern('a/b');
    expect(pattern).toBeInstanceOf(RegExp);
    expect(String(pattern)).toBe('/a\\/b/');
  });
});

it('a pattern of ours is not limited', () => {
  expect(patternFits(/x$/, `${'y'.repeat(MAX_MATCHED_LENGTH)}x`)).toBe(true);
});
