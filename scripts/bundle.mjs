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

/** A CommonJS bundle has a require() of its own; `node:module` takes a millisecond to load. */
const ownRequire = {
  name: 'own-require',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:module$/ }, ({ path: id }) => ({ path: id, namespace: 'own-require' }));
    onLoad({ filter: /./, namespace: 'own-require' }, () => ({
      contents: `export const createRequire = (base) => {
        if (base !== moduleUrl) throw new Error('only its own require() is in a bundle');
        return require;
      };`,
    }));
  },
};

const common = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  // CommonJS has no import.meta.url. native.ts finds the package from it, which a bundle in dist/ lies as deep in as dist/native.js.
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
  plugins: [ownRequire],
  charset: 'utf8',
  logLevel: 'warning',
};
await build({ ...common, entryPoints: [dist('cli/main.js')], outfile: dist('cli.cjs') });
await build({
  ...common,
  entryPoints: [dist('hook/main.js')],
  outfile: dist('hook.cjs'),
  charset: 'ascii', // so that corral.cjs can read it as latin1
  // Half the bytes are half the time to read and to parse. Nobody sees a stack trace of it: an error is answered with its message.
  minify: true,
  lineLimit: 140,
  // The first look at `performance` makes Node load perf_hooks, for a millisecond; this is the same clock.
  define: { ...common.define, 'performance.now': 'monotonicMs' },
  banner: { js: `${common.banner.js}\nconst monotonicMs = () => process.uptime() * 1000;` },
});

// Which bundle a kept code was compiled from (src/corral.cts).
const bundle = readFileSync(dist('hook.cjs'));
const launcher = readFileSync(dist('corral.cjs'), 'utf8');
const id = createHash('sha256').update(bundle).digest('hex');
if (launcher.split(PLACE_OF_ID).length !== 2) throw new Error(`corral.cts: expected '${PLACE_OF_ID}' once`);
writeFileSync(dist('corral.cjs'), launcher.replace(PLACE_OF_ID, id));

// The bundles are all that runs of these.
for (const folder of ['hook', 'cli']) rmSync(dist(folder), { recursive: true });
