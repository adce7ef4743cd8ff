import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { lockWithin, tryLock } from '../../src/history/lock.js';
import { tempDirectory } from '../helpers/temp.js';

/** Above the highest pid there can be (PID_MAX_LIMIT). */
const NOBODY = 4_194_305;

function setup() {
  const directory = tempDirectory();
  const file = path.join(directory, 'x.lock');
  return { directory, file };
}

/** What a lock of ours looks like, changed. */
function holder(change: Record<string, unknown>): string {
  const { file } = setup();
  using _ = tryLock(file);
  return JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change });
}

describe('a lock', () => {
  it('is held by one, until it is released', () => {
    const { directory, file } = setup();
    const lock = tryLock(file);
    expect(lock).toBeDefined();
    expect(tryLock(file)).toBeUndefined();
    lock?.release();
    lock?.release();
    expect(readdirSync(directory)).toEqual([]);
    const second = tryLock(file);
    expect(second).toBeDefined();
    lock?.release(); // somebody else's by now
    expect(tryLock(file)).toBeUndefined();
    second?.release();
  });

  it('is waited for', async () => {
    const { file } = setup();
    const lock = tryLock(file);
    const waiting = lockWithin(file, 5000);
    setImmediate(() => lock?.release());
    const second = await waiting;
    expect(second).toBeDefined();
    expect(await lockWithin(file, 20)).toBeUndefined();
    second?.release();
  });

  it.each<[string, () => Record<string, unknown>]>([
    ['that has died', () => ({ pid: NOBODY })],
    ['whose number is another’s now', () => ({ pid: process.ppid, startTicks: '1' })],
    ['of before the last boot', () => ({ bootId: 'other' })],
    ['that nobody has seen for long', () => ({ pidNamespace: 'pid:[1]', takenAtMs: Date.now() - 11 * 60_000 })],
  ])('of a holder %s is taken over', (_, change) => {
    const { directory, file } = setup();
    writeFileSync(file, holder(change()));
    const lock = tryLock(file);
    expect(lock).toBeDefined();
    expect(tryLock(file)).toBeUndefined();
    lock?.release();
    expect(readdirSync(directory)).toEqual([]);
  });

  it.each<[string, () => Record<string, unknown>]>([
    ['that lives', () => ({})],
    ['in another pid namespace', () => ({ pid: NOBODY, pidNamespace: 'pid:[1]' })],
    ['of another user whom we may not see', () => ({ pid: NOBODY, uid: 12345 })],
  ])('of a holder %s is not', (_, change) => {
    const { file } = setup();
    writeFileSync(file, holder(change()));
    expect(tryLock(file)).toBeUndefined();
  });

  // As on a full disk: a name of which another can not be made.
  it('of a holder that lives is held, too, where no other could be made', () => {
    const file = path.join(tempDirectory(), 'x'.repeat(250));
    writeFileSync(file, holder({}));
    expect(tryLock(file)).toBeUndefined();
    writeFileSync(file, holder({ pid: NOBODY }));
    expect(() => tryLock(file)).toThrow(/ENAMETOOLONG/);
  });

  it('that can not be read is somebody’s who is just writing it, for a while', () => {
    const { file } = setup();
    writeFileSync(file, '{"pid":');
    expect(tryLock(file)).toBeUndefined();
    utimesSync(file, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000));
    expect(tryLock(file)).toBeDefined();
  });

  it('is not taken over while another takes it over; a takeover that died is taken over', () => {
    const { directory, file } = setup();
    writeFileSync(file, holder({ pid: NOBODY }));
    writeFileSync(`${file}.takeover`, holder({}));
    expect(tryLock(file)).toBeUndefined();
    writeFileSync(`${file}.takeover`, holder({ pid: NOBODY }));
    expect(tryLock(file)).toBeDefined();
    expect(readdirSync(directory)).toEqual(['x.lock']);
  });

  it('can not be made where there is no directory', () => {
    const { file } = setup();
    expect(() => tryLock(`${file}/x`)).toThrow('ENOENT');
  });
});
