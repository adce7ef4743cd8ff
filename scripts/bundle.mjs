/**
 * Bundles the two programs into one CommonJS file each, after tsc: dist/hook.cjs and dist/cli.cjs, which dist/corral.cjs chooses from.
 * Loading forty modules costs more than everything a short command does.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { projectRoot } from './lib/command.mjs';

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
  'node:timers/promises': 'export const setTimeout = (ms) => new Promise((resolve) => void globalThis.setTimeout(resolve, ms));',
  // The two usual places, in the order of the loader, which knows all the others (and that a binary for glibc is none for Alpine).
  'node-gyp-build': `import { existsSync } from 'node:fs';
    export default function load(root) {
      const places = [root + 'build/Release/corral.node', root + 'prebuilds/linux-' + process.arch + '/corral.glibc.node'];
      const found = existsSync('/etc/alpine-release') ? undefined : places.find((file) => existsSync(file));
      const addon = { exports: {} };
      try {
        process.dlopen(addon, found); // throws, too, when nothing was found
        return addon.exports;
      } catch {
        return require('node-gyp-build')(root);
      }
    }`,
};

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
  banner: { js: 'const monotonicMs = () => process.uptime() * 1000;' },
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
