/**
 * Compiles the addon for the architecture and C library of this machine into prebuilds/ and records in prebuilds/manifest.json what it
 * was made from and what it needs. Records of other machines' binaries are kept. Works offline where the headers of Node are installed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import prebuildify from 'prebuildify';
import { projectRoot } from './lib/command.mjs';
import { headersPrefix } from './lib/node-gyp.mjs';
import { binaries, describe, manifestFile, sourceHash } from './lib/prebuilds.mjs';
import { stage } from './lib/stage.mjs';

function recorded() {
  try {
    return JSON.parse(readFileSync(manifestFile, 'utf8')).binaries;
  } catch {
    return [];
  }
}

const sources = sourceHash();
const prefix = headersPrefix();
if (prefix !== undefined) process.env.npm_config_nodedir = prefix; // prebuildify has no option for it; node-gyp reads this

const before = new Map(recorded().map((record) => [record.file, record]));
await promisify(prebuildify)({
  cwd: stage('prebuild'),
  out: projectRoot,
  napi: true,
  strip: true,
  tagLibc: true,
  targets: [process.versions.node],
});

const records = binaries().map((file) => {
  const current = describe(file);
  const old = before.get(file);
  // Only the binary just made comes from these sources; one that is as it was recorded keeps its record.
  return { ...current, sources: old?.sha256 === current.sha256 ? old.sources : sources };
});
writeFileSync(manifestFile, `${JSON.stringify({ binaries: records }, null, 2)}\n`);
for (const { file, size, needs, exports } of records) {
  const floors = Object.entries(needs).map(([family, version]) => `${family} ${version ?? '-'}`);
  process.stdout.write(`${file}: ${size} bytes, needs ${floors.join(', ')}, exports ${exports}\n`);
}
