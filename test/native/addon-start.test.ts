/** What the addon has for the start of a program: files as memory, the local time, and what a kernel can only be tried for. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { native } from '../../src/native.js';
import { withAddon } from '../helpers/addon.js';
import { openFiles } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

/** Runs a script that has `addon`, and returns what it printed. */
function run(script: string, { env = {}, flags = [] as string[] } = {}): string {
  return execFileSync(process.execPath, [...flags, '-e', withAddon(script)], { encoding: 'utf8', env: { ...process.env, ...env } });
}

function opened(content: string | Buffer): { file: string; fd: number } {
  const file = path.join(tempDirectory(), 'file');
  writeFileSync(file, content);
  const fd = openSync(file, 'r');
  onTestFinished(() => closeSync(fd));
  return { file, fd };
}

describe('mapFile', () => {
  it.each([1, 4095, 4096, 4097, 300_000])('has all of %i bytes', (size) => {
    const content = Buffer.alloc(size, 'abcdefg');
    expect(native().mapFile(opened(content).fd, size)?.equals(content)).toBe(true);
  });

  it('has no more than was asked for', () => {
    expect(native().mapFile(opened('0123456789').fd, 4)?.toString()).toBe('0123');
  });

  it('keeps it when the file is closed', () => {
    const { file } = opened('still there');
    const fd = openSync(file, 'r');
    const bytes = native().mapFile(fd, 11);
    closeSync(fd);
    expect(bytes?.toString()).toBe('still there');
  });

  it('has nothing of an empty file, a directory or no file', () => {
    const directory = openSync(tempDirectory(), 'r');
    expect(native().mapFile(opened('').fd, 0)).toBeUndefined();
    expect(native().mapFile(directory, 1)).toBeUndefined();
    expect(native().mapFile(-1, 1)).toBeUndefined();
    closeSync(directory);
  });

  it('gives the memory back with the buffer', () => {
    const { file } = opened(Buffer.alloc(100_000, 'x'));
    const script = `const fs = require('node:fs');
      const maps = () => fs.readFileSync('/proc/self/maps', 'utf8').split(${JSON.stringify(file)}).length - 1;
      const fd = fs.openSync(${JSON.stringify(file)}, 'r');
      let sum = 0;
      for (let i = 0; i < 50; i++) sum += addon.mapFile(fd, 100000)[i];
      const before = maps();
      const settle = (left) => { gc(); maps() === 0 || left === 0 ? console.log(sum, before > 0, maps()) : setImmediate(settle, left - 1); };
      settle(100);`;
    expect(run(script, { flags: ['--expose-gc'] })).toBe(`${50 * 'x'.charCodeAt(0)} true 0\n`);
  });
});

describe('localTime', () => {
  const print = (...seconds: number[]) => `for (const s of ${JSON.stringify(seconds)}) console.log(addon.localTime(s));`;

  // Zones by rule: those by name need files that a machine may not have.
  it.each([
    ['UTC0', '1970-01-01T00:00:00', '2026-02-03T04:05:06'],
    ['<+0530>-5:30', '1970-01-01T05:30:00', '2026-02-03T09:35:06'],
    ['EST5EDT,M3.2.0,M11.1.0', '1969-12-31T19:00:00', '2026-02-02T23:05:06'],
  ])('is that of TZ=%s', (TZ, epoch, later) => {
    expect(run(print(0, 1_770_091_506), { env: { TZ } })).toBe(`${epoch}\n${later}\n`);
  });

  it('jumps with summer time', () => {
    const seconds = [1_772_953_199, 1_772_953_200]; // the hour after it is left out
    expect(run(print(...seconds), { env: { TZ: 'EST5EDT,M3.2.0,M11.1.0' } })).toBe('2026-03-08T01:59:59\n2026-03-08T03:00:00\n');
  });

  it('follows a change of TZ', () => {
    const script = `process.env.TZ = 'UTC0'; ${print(0)} process.env.TZ = 'ABC-1'; ${print(0)}`;
    expect(run(script, { env: { TZ: 'DEF-2' } })).toBe('1970-01-01T00:00:00\n1970-01-01T01:00:00\n');
  });

  it('has no text for years of more digits', () => {
    expect(run(print(253_402_300_799, 253_402_300_800, -62_167_219_200, -62_167_219_201, 2 ** 62), { env: { TZ: 'UTC0' } })).toBe(
      '9999-12-31T23:59:59\n\n0000-01-01T00:00:00\n\n\n',
    );
  });
});

describe('tryKernel', () => {
  it('says how the keeper runs, and leaves no descriptor', () => {
    native().tryKernel();
    const before = openFiles().size;
    expect(native().tryKernel()).toEqual({
      pidfdExitInfo: expect.any(Boolean),
      keeper: expect.stringMatching(/^(memfd|file)$/),
      keeperErrno: 0,
    });
    expect(openFiles().size).toBe(before);
  });

  it('does not take a lack of descriptors for a lack of the kernel', () => {
    const script = `const fs = require('node:fs');
      const open = [];
      try { for (;;) open.push(fs.openSync('/dev/null', 'r')); } catch {}
      const { keeper, keeperErrno } = addon.tryKernel();
      for (const fd of open) fs.closeSync(fd);
      console.log(keeper === '', -keeperErrno, JSON.stringify(addon.tryKernel()));`;
    const limited = `ulimit -n 64; exec "$0" "$@"`;
    const output = execFileSync('sh', ['-c', limited, process.execPath, '-e', withAddon(script)], { encoding: 'utf8' });
    const [none, errno, ...rest] = output.trim().split(' ');
    expect([none, Number(errno)]).toEqual(['true', 24]); // EMFILE
    expect(JSON.parse(rest.join(' '))).toEqual(native().tryKernel());
  });
});
