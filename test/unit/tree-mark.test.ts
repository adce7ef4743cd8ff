/** The limit that marks a tree: what it holds, that a double holds it, and that nothing else passes for it. */
import { describe, expect, it } from 'vitest';
import { isOfNamespace, isOwnersStart, markOf, type OwnerMark, ownerOf } from '../../src/tree/mark.js';

const OWNERS: OwnerMark[] = [
  { pid: 1, namespace: 0, ticks: 0, tree: 0 },
  { pid: 4242, namespace: 5, ticks: 7, tree: 1 },
  { pid: 4_194_303, namespace: 16_383, ticks: 255, tree: 255 },
];

it.each(OWNERS)('gives back %o, through the text of /proc too', (owner) => {
  const mark = markOf(owner);
  const text = BigInt(mark).toString();
  expect(ownerOf(mark)).toEqual(owner);
  expect(ownerOf(Number(text))).toEqual(owner);
  expect(BigInt.asUintN(63, BigInt(mark))).toBe(BigInt(text)); // fits a limit, below unlimited
});

it('keeps of larger numbers what there is room for, and recognises them by it', () => {
  const inode = 4_026_531_836;
  const start = 123_456_789n;
  const owner = ownerOf(markOf({ pid: 99, namespace: inode, ticks: Number(start), tree: 1000 })) as OwnerMark;
  expect(owner).toEqual({ pid: 99, namespace: inode % 2 ** 14, ticks: Number(start % 256n), tree: 1000 % 256 });
  expect([isOfNamespace(owner, inode), isOfNamespace(owner, inode + 1)]).toEqual([true, false]);
  expect([isOwnersStart(owner, start), isOwnersStart(owner, start + 1n)]).toEqual([true, false]);
});

describe('no mark is', () => {
  it.each([
    ['nothing', undefined],
    ['what could not be read', Number.NaN],
    ['unlimited', Number('unlimited')],
    ['zero', 0],
    ['what a sound server asks for', 200_000],
    ['a number below', 2 ** 61 - 2 ** 9],
    ['a number above', 2 ** 62],
    ['the largest limit', 2 ** 64],
  ])('%s', (_, limit) => expect(ownerOf(limit)).toBeUndefined());
});
