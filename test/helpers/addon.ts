/** For scripts of their own process that talk to the addon itself. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const build = createRequire(import.meta.url)('node-gyp-build') as { path(root: string): string };

/** The script, with the binary that fits here as `addon`; for `node -e`. */
export const withAddon = (script: string) => `const addon = require(${JSON.stringify(build.path(root))}); ${script}`;
