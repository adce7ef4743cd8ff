#!/usr/bin/env node
/**
 * The command `corral`: hands over to one of two bundles. The hook runs at every session start of an agent, loads nothing of the rest,
 * and is compiled once: V8's code for it is kept in the user's cache directory, which saves a fifth of the time that the hook adds to Node's.
 *
 * That file is run, so it is trusted like the program itself only if it is the user's own and private, if it was made from exactly this
 * bundle, and if both copies in it are the same: V8 looks at its own version and flags, but not whether the bytes are whole.
 */
import fs = require('node:fs');
import path = require('node:path');
import vm = require('node:vm');

/** SHA-256 of hook.cjs in hex, put here by scripts/bundle.mjs. */
const BUNDLE_ID = 'id of the bundle';
const BEFORE = '(function (exports, require, module, __filename, __dirname, keepCode) {';
const AFTER = '\n})';
/** For whatever is read, one after the other: memory that was never touched before costs more than the reading. */
const memory = Buffer.allocUnsafeSlow(1024 * 1024);
const PIECE_BYTES = 16 * 1024;
/** Any access for group or others: files that a checkout or a download brought are readable. */
const FOR_OTHERS = 0o077;

if (process.argv[2] === 'hook') runHook(path.join(__dirname, 'hook.cjs'));
else require('./cli.cjs');

function runHook(file: string): void {
  const cache = cachePath();
  const source = readSource(file);
  const cachedData = cache === undefined ? undefined : readCode(cache);
  const script = new vm.Script(source, { filename: file, cachedData });
  const isNew = cachedData === undefined || script.cachedDataRejected === true;
  // Called after the answer was given: by then V8 has compiled what a run needs.
  const keepCode = cache !== undefined && isNew ? () => writeCode(cache, script.createCachedData()) : undefined;
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, file, __dirname, keepCode);
}

/** As a function, in one string: V8 would copy what was put together. A bundle of ASCII only: latin1 is the encoding that costs nothing. */
function readSource(file: string): string {
  memory.write(BEFORE, 'latin1');
  const fd = fs.openSync(file, 'r');
  const end = BEFORE.length + fs.readSync(fd, memory, BEFORE.length, memory.length - BEFORE.length - AFTER.length, null);
  const isWhole = fs.fstatSync(fd).size === end - BEFORE.length;
  fs.closeSync(fd);
  if (!isWhole) throw new Error(`${file}: expected to read the file in one piece`);
  memory.write(AFTER, end, 'latin1');
  return memory.toString('latin1', 0, end + AFTER.length);
}

/** One file per version of Node; undefined: there is no place, or the user wants none, by the variable that Node itself has for that. */
function cachePath(): string | undefined {
  const { NODE_DISABLE_COMPILE_CACHE, XDG_CACHE_HOME, HOME } = process.env;
  // Bun and Deno have compilers of their own.
  if (NODE_DISABLE_COMPILE_CACHE || process.versions.bun || process.versions.deno) return undefined;
  // A relative one is ignored, as the XDG specification wants.
  const base = XDG_CACHE_HOME && path.isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : HOME && path.join(HOME, '.cache');
  return base && path.isAbsolute(base) ? path.join(base, 'corral', `hook-${process.version}-${process.arch}.code`) : undefined;
}

/** undefined: there is none, or it is not to be trusted. */
function readCode(cache: string): Buffer | undefined {
  let fd: number | undefined;
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
    fd = fs.openSync(cache, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const { uid, mode, size } = fs.fstatSync(fd);
    const isOurs = (mode & fs.constants.S_IFMT) === fs.constants.S_IFREG && uid === process.geteuid?.() && (mode & FOR_OTHERS) === 0;
    const middle = BUNDLE_ID.length + (size - BUNDLE_ID.length) / 2;
    if (!isOurs || !Number.isInteger(middle) || middle <= BUNDLE_ID.length || middle > memory.length) return undefined;
    if (fs.readSync(fd, memory, 0, middle, null) !== middle || memory.toString('latin1', 0, BUNDLE_ID.length) !== BUNDLE_ID)
      return undefined;
    const code = memory.subarray(BUNDLE_ID.length, middle);
    return isNextIn(fd, code) ? code : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

/** Piece by piece, for the reason that `memory` has. */
function isNextIn(fd: number, bytes: Buffer): boolean {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    const end = Math.min(at + PIECE_BYTES, bytes.length);
    if (fs.readSync(fd, piece, 0, end - at, null) !== end - at || bytes.compare(piece, 0, end - at, at, end) !== 0) return false;
  }
  return true;
}

/** Never throws: without it the next run is slower, nothing else. */
function writeCode(cache: string, code: Buffer): void {
  const draft = `${cache}.${process.pid}.tmp`;
  try {
    fs.mkdirSync(path.dirname(cache), { recursive: true, mode: 0o700 });
    const fd = fs.openSync(draft, 'wx', 0o600);
    try {
      fs.writevSync(fd, [Buffer.from(BUNDLE_ID, 'latin1'), code, code]);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(draft, cache); // in one step: whoever reads sees the old one or the new one
  } catch {
    fs.rmSync(draft, { force: true });
  }
}
