/**
 * What a shared object asks of the machine it is loaded on: symbol versions, libraries, and what it exports. Reads 64-bit little-endian
 * ELF (x86-64, aarch64) through its dynamic section, as the loader does; sections may be stripped. System V ABI chapters 4 and 5,
 * LSB "symbol versioning".
 */
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT = { NEEDED: 1, STRTAB: 5, SYMTAB: 6, STRSZ: 10, VERNEED: 0x6ffffffe, VERNEEDNUM: 0x6fffffff, GNU_HASH: 0x6ffffef5, HASH: 4 };
const SYMBOL_SIZE = 24;
const MACHINES = { 62: 'x64', 183: 'arm64' };

/**
 * @param {Buffer} file
 * @returns {{ machine: string, needed: string[], versions: string[], exports: string[] }} versions as "GLIBC_2.14", sorted
 */
export function readSharedObject(file) {
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) throw new Error('not a 64-bit little-endian ELF file');
  const machine = MACHINES[file.readUInt16LE(18)];
  if (machine === undefined) throw new Error(`unknown ELF machine ${file.readUInt16LE(18)}`);

  const segments = programHeaders(file);
  const offsetOf = (address) => {
    const segment = segments.find(({ type, vaddr, size }) => type === PT_LOAD && address >= vaddr && address < vaddr + size);
    if (segment === undefined) throw new Error(`address 0x${address.toString(16)} is in no segment`);
    return address - segment.vaddr + segment.offset;
  };
  const dynamic = dynamicEntries(file, segments);
  const one = (tag) => dynamic.find((entry) => entry.tag === tag)?.value;

  const strings = offsetOf(one(DT.STRTAB));
  const stringAt = (index) => file.toString('latin1', strings + index, file.indexOf(0, strings + index));

  return {
    machine,
    needed: dynamic.filter((entry) => entry.tag === DT.NEEDED).map((entry) => stringAt(entry.value)),
    versions: one(DT.VERNEED) === undefined ? [] : neededVersions(file, offsetOf(one(DT.VERNEED)), one(DT.VERNEEDNUM), stringAt),
    exports: exportedSymbols(file, offsetOf(one(DT.SYMTAB)), symbolCount(file, one, offsetOf), stringAt),
  };
}

/** The highest version of one family, e.g. highest(versions, 'GLIBC') → "2.14"; undefined when none is needed. */
export function highest(versions, family) {
  const numbers = versions.filter((version) => version.startsWith(`${family}_`)).map((version) => version.slice(family.length + 1));
  return numbers.sort(compareVersions).at(-1);
}

/** By number, field by field: 2.9 < 2.14. */
export function compareVersions(a, b) {
  return a.localeCompare(b, 'en', { numeric: true });
}

const number = (file, offset) => Number(file.readBigUInt64LE(offset));

function programHeaders(file) {
  const start = number(file, 32);
  const entrySize = file.readUInt16LE(54);
  return Array.from({ length: file.readUInt16LE(56) }, (_, at) => {
    const header = start + at * entrySize;
    return {
      type: file.readUInt32LE(header),
      offset: number(file, header + 8),
      vaddr: number(file, header + 16),
      size: number(file, header + 32),
    };
  });
}

function dynamicEntries(file, segments) {
  const { offset, size } = segments.find(({ type }) => type === PT_DYNAMIC);
  const entries = [];
  for (let at = offset; at < offset + size; at += 16) entries.push({ tag: number(file, at), value: number(file, at + 8) });
  return entries;
}

/** Chain of libraries (Elf64_Verneed), each with a chain of versions (Elf64_Vernaux). */
function neededVersions(file, start, count, stringAt) {
  const versions = new Set();
  for (let library = start, at = 0; at < count; at++) {
    let entry = library + file.readUInt32LE(library + 8);
    for (let left = file.readUInt16LE(library + 2); left > 0; left--) {
      versions.add(stringAt(file.readUInt32LE(entry + 8)));
      entry += file.readUInt32LE(entry + 12);
    }
    library += file.readUInt32LE(library + 12);
  }
  return [...versions].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** The symbol table has no length of its own; the hash tables know. */
function symbolCount(file, one, offsetOf) {
  if (one(DT.HASH) !== undefined) return file.readUInt32LE(offsetOf(one(DT.HASH)) + 4);
  const table = offsetOf(one(DT.GNU_HASH));
  const [buckets, firstSymbol, bloomWords] = [0, 4, 8].map((at) => file.readUInt32LE(table + at));
  const bucketStart = table + 16 + bloomWords * 8;
  const chainStart = bucketStart + buckets * 4;
  let last = 0;
  for (let at = 0; at < buckets; at++) last = Math.max(last, file.readUInt32LE(bucketStart + at * 4));
  if (last < firstSymbol) return firstSymbol; // nothing is exported
  while ((file.readUInt32LE(chainStart + (last - firstSymbol) * 4) & 1) === 0) last++;
  return last + 1;
}

/** Global or weak symbols with a definition and a visible name. */
function exportedSymbols(file, start, count, stringAt) {
  const names = [];
  for (let at = 1; at < count; at++) {
    const symbol = start + at * SYMBOL_SIZE;
    const isLocal = file[symbol + 4] >> 4 === 0;
    const isVisible = (file[symbol + 5] & 3) === 0 || (file[symbol + 5] & 3) === 3; // default or protected
    const isDefined = file.readUInt16LE(symbol + 6) !== 0;
    if (!isLocal && isVisible && isDefined) names.push(stringAt(file.readUInt32LE(symbol)));
  }
  return names.sort();
}
