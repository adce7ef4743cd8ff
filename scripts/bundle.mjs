/**
 * Bundles what starts often into one file each, after tsc: dist/hook.cjs. One CommonJS file without dependencies is what keeps a hook
 * close to the start-up time of node itself. Kept readable: it is what people find in the stack trace of a bug report.
 */
import path from 'node:path';
import { build } from 'esbuild';
import { projectRoot } from './lib/command.mjs';

await build({
  entryPoints: [path.join(projectRoot, 'src/hook/main.ts')],
  outfile: path.join(projectRoot, 'dist/hook.cjs'),
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  // native.ts finds its package through import.meta.url, which CommonJS does not have; dist/ is as deep as dist/native.js.
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: "#!/usr/bin/env node\nconst moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
  charset: 'utf8',
  logLevel: 'warning',
});
