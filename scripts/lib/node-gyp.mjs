/** Compiles the addon: node-gyp with the headers of the Node that runs, so that nothing is downloaded where they are installed. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { must, projectRoot, tool } from './command.mjs';
import { stage } from './stage.mjs';

/** The prefix of installed headers: those of the Node that runs, or the one npm was told of. undefined: node-gyp fetches them. */
export function headersPrefix() {
  const prefixes = [path.resolve(process.execPath, '../..'), process.env.npm_config_nodedir];
  return prefixes.find((prefix) => prefix && existsSync(path.join(prefix, 'include/node/node_api.h')));
}

/** Incremental; answers with the path of the addon in `directory`, which has a binding.gyp. */
export async function compile(directory = projectRoot, { env = {}, clean = false } = {}) {
  const prefix = headersPrefix();
  const nodedir = prefix === undefined ? [] : [`--nodedir=${prefix}`];
  const commands = clean ? ['rebuild'] : ['configure', 'build'];
  await must(tool('node-gyp/bin/node-gyp.js', ...commands, '--release', '--jobs=max', ...nodedir), { env, cwd: directory });
  return path.join(directory, 'build/Release/corral.node');
}

const SANITIZERS = '-fsanitize=address,undefined';

/** Any finding ends the process. vptr needs RTTI, which the addon does not have. */
export function compileSanitized() {
  const flags = `${SANITIZERS} -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1`;
  return compile(stage('sanitize'), { env: { CFLAGS: flags, CXXFLAGS: flags, LDFLAGS: SANITIZERS } });
}

/** What only the build without identity checks contains: native/sys/identity_checks.h. */
export const UNVERIFIED_MARK = 'corral test build: signals by number, unverified';

/** Where the tests find the addon that signals by number. */
export const unverifiedAddon = path.join(projectRoot, '.cache/unverified/build/Release/corral.node');

/** The define goes with the compilers, which the keeper is compiled with, too. */
export function compileUnverified() {
  const define = '-DCORRAL_TEST_NO_IDENTITY';
  return compile(stage('unverified'), { env: { CC: `${process.env.CC ?? 'cc'} ${define}`, CXX: `${process.env.CXX ?? 'c++'} ${define}` } });
}

const THREAD_SANITIZER = '-fsanitize=thread';

/** The C++ only: what is C runs in a child that still shares our memory, where the runtime of the sanitizer must not be. */
export function compileThreadSanitized() {
  const flags = `${THREAD_SANITIZER} -fno-omit-frame-pointer -g -O1`;
  return compile(stage('sanitize-threads'), { env: { CXXFLAGS: flags, LDFLAGS: THREAD_SANITIZER } });
}

const runtime = (name) => execFileSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();

/**
 * What a process needs in its environment to load the sanitized addon. Node itself is not instrumented, so the runtime has to be there
 * first, and leaks can not be told from what V8 keeps.
 */
export function sanitizedEnvironment() {
  return {
    CORRAL_NATIVE_PATH: path.join(projectRoot, '.cache/sanitize/build/Release/corral.node'),
    CORRAL_TEST_SANITIZED: '1',
    LD_PRELOAD: runtime('libasan.so'),
    // A signal that a test sends on purpose is the process's own affair.
    ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
}

/**
 * The same for the addon with ThreadSanitizer. Node is not instrumented: what happens inside of it is not looked at, its locks are. The
 * programs that are started need no runtime: CORRAL_TEST_PRELOAD is for those that load the addon. To be run below `setarch -R`: with
 * more random bits in its addresses than the runtime knows of it does not start.
 */
export function threadSanitizedEnvironment() {
  const preload = runtime('libtsan.so');
  return {
    CORRAL_NATIVE_PATH: path.join(projectRoot, '.cache/sanitize-threads/build/Release/corral.node'),
    CORRAL_TEST_PRELOAD: preload,
    LD_PRELOAD: preload,
    TSAN_OPTIONS: 'ignore_noninstrumented_modules=1 halt_on_error=1',
  };
}
