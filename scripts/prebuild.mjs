/**
 * Compiles the addon for the architecture and C library of this machine into prebuilds/ and records in prebuilds/manifest.json what it
 * was made from and what it needs. Records of other machines' binaries are kept. Works offline where the headers of Node are installed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import prebuildify from 'prebuildify';
import { projectRoot } from './lib/command.mjs';
import { headersPrefix, UNVERIFIED_MARK } from './lib/node-gyp.mjs';
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

const arch = process.env.PREBUILD_ARCH ?? process.arch;
const libc = process.env.PREBUILD_LIBC ?? (existsSync('/etc/alpine-release') ? 'musl' : 'glibc'); // as prebuildify and node-gyp-build tell
const made = `linux-${arch}/corral.${libc}.node`;

const before = new Map(recorded().map((record) => [record.file, record]));
await promisify(prebuildify)({
  cwd: stage('prebuild'),
  out: projectRoot,
  napi: true,
  strip: true,
  tagLibc: true,
  targets: [process.versions.node],
  cache: path.join(projectRoot, '.cache/prebuildify'),
});

if (readFileSync(path.join(projectRoot, 'prebuilds', made)).includes(UNVERIFIED_MARK)) {
  throw new Error(`${made} was compiled without identity checks: it must not be shipped`);
}
const records = binaries().map((file) => ({ ...describe(file), sources: file === made ? sources : before.get(file)?.sources }));
writeFileSync(manifestFile, `${JSON.stringify({ binaries: records }, null, 2)}\n`);
for (const { file, size, needs, exports } of records) {
  const floors = Object.entries(needs).map(([family, version]) => `${family} ${version ?? '-'}`);
  process.stdout.write(`${file}: ${size} bytes, needs ${floors.join(', ')}, exports ${exports}\n`);
}
