/** The committed binaries: made from the sources that are here, loadable with the oldest libraries we promise, exporting nothing else. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareVersions, highest, readSharedObject } from '../../scripts/lib/elf.mjs';
import { UNVERIFIED_MARK } from '../../scripts/lib/node-gyp.mjs';
import { binaries, describe as describeBinary, ENTRY_POINTS, FLOORS, manifestFile, sourceHash } from '../../scripts/lib/prebuilds.mjs';

interface Record_ {
  file: string;
  sources: string;
  needs: Record<string, string | null>;
}
const manifest = JSON.parse(readFileSync(manifestFile, 'utf8')) as { binaries: Record_[] };
const directory = path.dirname(manifestFile);

it('lists exactly the binaries that are there', () => {
  expect(manifest.binaries.map((record) => record.file)).toEqual(binaries());
  expect(binaries()).toContain('linux-x64/corral.glibc.node');
});

describe.each(binaries())('%s', (file) => {
  const shared = readSharedObject(readFileSync(path.join(directory, file)));
  const record = manifest.binaries.find((candidate) => candidate.file === file);

  it('was compiled from these sources (else: npm run prebuilds)', () => {
    expect(record?.sources).toBe(sourceHash());
  });

  it('is the file the manifest describes', () => {
    expect(record).toEqual({ ...describeBinary(file), sources: record?.sources });
  });

  it.each(Object.entries(FLOORS))('needs no newer %s than %s (else see native/glibc_compat.h)', (family, floor) => {
    const tooNew = shared.versions.filter(
      (version) => version.startsWith(`${family}_`) && compareVersions(version.slice(family.length + 1), floor) > 0,
    );
    expect(tooNew).toEqual([]);
  });

  it('exports the entry points of Node-API and nothing else', () => {
    expect(shared.exports).toEqual(ENTRY_POINTS);
  });

  it('checks identities: it is not the test build that signals by number', () => {
    expect(readFileSync(path.join(directory, file)).includes(UNVERIFIED_MARK)).toBe(false);
  });

  it('is linked to libraries that Node itself has loaded', () => {
    const known = [
      'libstdc++.so.6',
      'libgcc_s.so.1',
      'libm.so.6',
      'libpthread.so.0',
      'libdl.so.2',
      'libc.so.6',
      'libc.musl-x86_64.so.1',
      'libc.musl-aarch64.so.1',
    ];
    expect(shared.needed.filter((name) => !known.includes(name))).toEqual([]);
  });
});

describe('the ELF reader', () => {
  const libraries = binaries().filter((file) => file.startsWith(`linux-${process.arch}/`));

  it.each(libraries)('agrees with objdump on %s', (file) => {
    const shared = readSharedObject(readFileSync(path.join(directory, file)));
    const lines = execFileSync('objdump', ['-T', path.join(directory, file)], { encoding: 'utf8' }).split('\n');
    const symbols = lines.filter((line) => /^[0-9a-f]{16} /.test(line));
    const exported = symbols.filter((line) => !line.includes('*UND*')).map((line) => line.split(/\s+/).at(-1));
    const versions = symbols
      .map((line) => /\(?((?:GLIBC|GLIBCXX|CXXABI|GCC)_[\d.]+)\)?/.exec(line)?.[1])
      .filter((version) => version !== undefined);
    expect(shared.exports).toEqual(exported.sort());
    expect(new Set(shared.versions)).toEqual(new Set(versions));
  });

  it('orders versions by number and names the highest', () => {
    expect(highest(['GLIBC_2.9', 'GLIBC_2.14', 'GLIBC_2.2.5', 'GLIBCXX_3.4.21'], 'GLIBC')).toBe('2.14');
    expect(highest(['GLIBC_2.9'], 'CXXABI')).toBeUndefined();
    expect(compareVersions('3.4.9', '3.4.21')).toBeLessThan(0);
  });

  it('refuses what is not ELF', () => {
    expect(() => readSharedObject(Buffer.alloc(64))).toThrow('not a 64-bit little-endian ELF file');
  });
});
