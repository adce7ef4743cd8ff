/**
 * The keeper as it is embedded: a small static program that comes out the same every time and tells nothing about where it was built.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { tempDirectory } from '../helpers/temp.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const script = path.join(root, 'scripts/embed-keeper.mjs');

function embed(compiler = process.env.CC ?? 'cc'): { text: string; image: Buffer } {
  const directory = tempDirectory();
  const text = path.join(directory, 'generated/keeper_elf.inc');
  const elf = path.join(directory, 'keeper');
  execFileSync(process.execPath, [script, text, '--elf', elf], { env: { ...process.env, CC: compiler }, cwd: directory });
  return { text: readFileSync(text, 'utf8'), image: readFileSync(elf) };
}

it('is a static ELF of a few pages, without an interpreter or an executable stack', () => {
  const { image } = embed();
  expect(image.length).toBeLessThan(32 * 1024);
  expect(image.subarray(0, 4).toString('latin1')).toBe('\x7fELF');
  const PT_INTERP = 3;
  const PT_GNU_STACK = 0x6474e551;
  const PF_X = 1;
  const headers = Array.from({ length: image.readUInt16LE(56) }, (_, i) => image.subarray(Number(image.readBigUInt64LE(32)) + i * 56));
  expect(headers.some((header) => header.readUInt32LE(0) === PT_INTERP)).toBe(false);
  const stack = headers.find((header) => header.readUInt32LE(0) === PT_GNU_STACK);
  expect(stack?.readUInt32LE(4)).toBeDefined();
  expect((stack?.readUInt32LE(4) ?? PF_X) & PF_X).toBe(0);
});

it('is written as the initializer of a byte array', () => {
  const { text, image } = embed();
  expect(Buffer.from(text.split(',').slice(0, -1).map(Number)).equals(image)).toBe(true);
});

it('is the same each time, and knows no path of the machine', () => {
  const { image } = embed();
  expect(embed().image.equals(image)).toBe(true);
  expect(embed(`env ${process.env.CC ?? 'cc'}`).image.equals(image)).toBe(true);
  expect(image.includes(Buffer.from(path.resolve(root)))).toBe(false);
  expect(image.includes(Buffer.from('GCC:'))).toBe(false);
}, 120_000);

it('fails, and says why, without a compiler or a file to write to', () => {
  const missing = spawnSync(process.execPath, [script, path.join(tempDirectory(), 'out')], {
    env: { ...process.env, CC: 'no-such-compiler' },
    encoding: 'utf8',
  });
  expect(missing.status).not.toBe(0);
  expect(missing.stderr).toMatch(/no-such-compiler/);
  const nothing = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  expect(nothing.status).toBe(2);
  expect(nothing.stderr).toMatch(/^usage: /);
});
