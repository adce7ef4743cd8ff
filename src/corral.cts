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
/** A file of code that is larger was not made by us. */
const MAX_BYTES = 4 * 1024 * 1024;
/** Any access for group or others: files that a checkout or a download brought are readable. */
const FOR_OTHERS = 0o077;

if (process.argv[2] === 'hook') runHook(path.join(__dirname, 'hook.cjs'));
else require('./cli.cjs');

/** What is needed of it here. */
interface Addon {
  /** src/native.ts; an older binary has it not. */
  mapFile?(fd: number, size: number): Buffer | undefined;
}

function runHook(file: string): void {
  const addon = loadAddon();
  const cache = cachePath();
  const source = readSource(file, addon);
  const cachedData = cache === undefined ? undefined : readCode(cache, addon);
  const script = new vm.Script(source, { filename: file, cachedData });
  const isNew = cachedData === undefined || script.cachedDataRejected === true;
  // Called after the answer was given: by then V8 has compiled what a run needs.
  const keepCode = cache !== undefined && isNew ? () => writeCode(cache, script.createCachedData()) : undefined;
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, file, __dirname, keepCode, addon);
}

/**
 * From the two usual places; undefined: src/native.ts has to find it, which knows all the others (and that a binary for glibc is none for
 * Alpine), and says why when there is none.
 */
function loadAddon(): Addon | undefined {
  if (process.env.CORRAL_NATIVE_PATH) return undefined;
  const root = path.dirname(__dirname);
  const places = [`${root}/build/Release/corral.node`, `${root}/prebuilds/linux-${process.arch}/corral.glibc.node`];
  const found = fs.existsSync('/etc/alpine-release') ? undefined : places.find((place) => fs.existsSync(place));
  if (found === undefined) return undefined;
  const loaded = { exports: {} };
  try {
    process.dlopen(loaded, found);
    return loaded.exports as Addon;
  } catch {
    return undefined;
  }
}

/** A bundle of ASCII only: latin1 is the encoding that costs nothing. */
function readSource(file: string, addon: Addon | undefined): string {
  const fd = fs.openSync(file, 'r');
  const bytes = contentOf(fd, fs.fstatSync(fd).size, addon);
  fs.closeSync(fd);
  if (bytes === undefined) throw new Error(`${file}: expected to read the file in one piece`);
  return bytes.toString('latin1');
}

/** Where that is possible the very pages that the kernel has of the file: memory of our own costs more, by its page faults, than reading. */
function contentOf(fd: number, size: number, addon: Addon | undefined): Buffer | undefined {
  const mapped = addon?.mapFile?.(fd, size);
  if (mapped !== undefined) return mapped;
  const bytes = Buffer.allocUnsafeSlow(size);
  return fs.readSync(fd, bytes, 0, size, null) === size ? bytes : undefined;
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
function readCode(cache: string, addon: Addon | undefined): Buffer | undefined {
  let fd: number | undefined;
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
    fd = fs.openSync(cache, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const { uid, mode, size } = fs.fstatSync(fd);
    const isOurs = (mode & fs.constants.S_IFMT) === fs.constants.S_IFREG && uid === process.geteuid?.() && (mode & FOR_OTHERS) === 0;
    if (!isOurs || size > MAX_BYTES) return undefined;
    const bytes = contentOf(fd, size, addon);
    const middle = BUNDLE_ID.length + (size - BUNDLE_ID.length) / 2;
    if (bytes === undefined || !Number.isInteger(middle) || bytes.toString('latin1', 0, BUNDLE_ID.length) !== BUNDLE_ID) return undefined;
    const code = bytes.subarray(BUNDLE_ID.length, middle);
    return code.length > 0 && code.equals(bytes.subarray(middle)) ? code : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
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
