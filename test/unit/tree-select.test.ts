import { describe, expect, it } from 'vitest';
import { twice } from '../../src/tree/select.js';
import type { Select } from '../../src/tree/terminate.js';

/** A look finds what its turn says: one letter for each. */
function looking(turns: string[]): { select: Select; asked: unknown[][] } {
  const asked: unknown[][] = [];
  const select: Select = async (...hints) => {
    asked.push(hints);
    return [...(turns[asked.length - 1] ?? '')].map((name) => ({ pid: name.charCodeAt(0), startTicks: 1n, bootId: 'b', name }));
  };
  return { select, asked };
}

describe('twice', () => {
  it.each<[string, string[], string[]]>([
    ['nobody: one look', ['', 'a'], ['']],
    ['somebody new is told at once', ['a', 'ab'], ['a']],
    ['nobody new: a second look, and who only that has found', ['ab', 'ab', 'bc'], ['ab', 'abc']],
    ['who has gone is told no more', ['ab', 'a', 'ab'], ['ab', 'a']],
    ['whom the second look has found is known from then on', ['a', 'a', 'ab', 'ab', 'ab'], ['a', 'ab', 'ab']],
  ])('%s', async (_, turns, expected) => {
    const { select, asked } = looking(turns);
    const look = twice(select);
    const found: string[] = [];
    while (found.length < expected.length) found.push((await look()).map(({ name }) => name).join(''));
    expect(found).toEqual(expected);
    expect(asked.length).toBeLessThanOrEqual(turns.length);
  });

  it('the same number with another start time is somebody new', async () => {
    let ticks = 1n;
    const look = twice(async () => [{ pid: 7, startTicks: ticks++, bootId: 'b' }]);
    expect(await look()).toHaveLength(1);
    expect(await look()).toHaveLength(1);
    expect(ticks).toBe(3n);
  });

  it('hands on what it is given', async () => {
    const { select, asked } = looking(['a', 'a', 'a']);
    const look = twice(select);
    const hints = [() => true, () => undefined] as const;
    await look(...hints);
    await look(...hints);
    expect(asked).toEqual([hints, hints, hints]);
  });
});
