/**
 * Bundles the two programs into one CommonJS file each, after tsc: dist/hook.cjs and dist/cli.cjs, which dist/corral.cjs chooses from.
 * Loading forty modules costs more than everything a short command does.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { projectRoot } from './lib/command.mjs';

// Numbers of signals are put into the bundle.
if (process.platform !== 'linux') throw new Error(`the bundles can be made on Linux only, not on ${process.platform}`);

const PLACE_OF_ID = 'id of the bundle';
const dist = (name) => path.join(projectRoot, 'dist', name);

/** Puts other texts in the place of modules. */
const instead = (texts) => ({
  name: 'instead',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^.]/ }, ({ path: id, namespace }) =>
      namespace !== 'instead' && Object.hasOwn(texts, id) ? { path: id, namespace: 'instead' } : undefined,
    );
    onLoad({ filter: /./, namespace: 'instead' }, ({ path: id }) => ({ contents: texts[id], resolveDir: projectRoot }));
  },
});

/** Those entries whose names occur in what is bundled. */
function mentioned(numbers) {
  const sources = readdirSync(dist('.'), { recursive: true }).filter((file) => file.endsWith('.js'));
  const text = sources.map((file) => readFileSync(dist(file), 'utf8')).join('\n');
  return Object.fromEntries(Object.entries(numbers).filter(([name]) => new RegExp(`\\b${name}\\b`).test(text)));
}

/** A CommonJS bundle has a require() of its own; `node:module` takes a millisecond to load. */
const ownRequire = (place) => `export const createRequire = (base) => {
  if (base !== ${place}) throw new Error('only its own require() is in a bundle');
  return require;
};`;

/** What costs a hook at every start more than what it is there for: Node compiles each function of its own on first use. */
const LEAN = {
  'node:module': ownRequire('__filename'),
  // Of a bundle, import.meta.url is its path.
  'node:url': 'export const fileURLToPath = (file) => file;',
  // The default import of a CommonJS module becomes a new object with a getter for each of its names, in every file that has it.
  'node:path': `export default require('node:path');`,
  // The numbers are those of the kernel on every architecture that there are binaries for (asm-generic/errno.h, signal(7)).
  'node:os': `export const constants = ${JSON.stringify({ signals: constants.signals, errno: mentioned(constants.errno) })};
    export const homedir = () => require('node:os').homedir();`,
  'node:timers/promises': 'export const setTimeout = (ms) => new Promise((resolve) => void globalThis.setTimeout(resolve, ms));',
  // The launcher has it already, from one of the usual places (corral.cts).
  'node-gyp-build': `export default (root) => (typeof addon === 'object' ? addon : require('node-gyp-build')(root));`,
};

const MODULE = 'exports, require, module, __filename, __dirname';
const common = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  charset: 'utf8',
  logLevel: 'warning',
};
// CommonJS has no import.meta.url. native.ts finds the package from it, which a bundle in dist/ lies as deep in as dist/native.js.
await build({
  ...common,
  entryPoints: [dist('cli/main.js')],
  outfile: dist('cli.cjs'),
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
  plugins: [instead({ 'node:module': ownRequire('moduleUrl') })],
});
await build({
  ...common,
  entryPoints: [dist('hook/main.js')],
  outfile: dist('hook.cjs'),
  charset: 'ascii', // so that corral.cjs can read it as latin1
  // Half the bytes are half the time to read and to parse. Nobody sees a stack trace of it: an error is answered with its message.
  minify: true,
  lineLimit: 140,
  // The first look at `performance` makes Node load perf_hooks, for a millisecond; this is the same clock.
  define: { 'import.meta.url': '__filename', 'performance.now': 'monotonicMs' },
  // A script whose value is a function, for the launcher (corral.cts), and a module that runs.
  banner: {
    js: `((hook) => typeof module === 'object' ? hook(${MODULE}) : hook)(function (${MODULE}, keepCode, addon) {
const monotonicMs = () => process.uptime() * 1000;`,
  },
  footer: { js: '})' },
  plugins: [instead(LEAN)],
});

// Which bundle a kept code was compiled from (src/corral.cts).
const bundle = readFileSync(dist('hook.cjs'));
const launcher = readFileSync(dist('corral.cjs'), 'utf8');
const id = createHash('sha256').update(bundle).digest('hex');
if (launcher.split(PLACE_OF_ID).length !== 2) throw new Error(`corral.cts: expected '${PLACE_OF_ID}' once`);
writeFileSync(dist('corral.cjs'), launcher.replace(PLACE_OF_ID, id));

// The bundles are all that runs of these.
for (const folder of ['hook', 'cli']) rmSync(dist(folder), { recursive: true });
