/** Compiles the addon: node-gyp with the headers of the Node that runs, so that nothing is downloaded where they are installed. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { must, projectRoot, tool } from './command.mjs';

/** The prefix of the installed headers, or undefined: then node-gyp fetches them for this version. */
export function headersPrefix() {
  const prefix = process.env.npm_config_nodedir ?? path.resolve(process.execPath, '../..');
  return existsSync(path.join(prefix, 'include/node/node_api.h')) ? prefix : undefined;
}

/** Incremental; answers with the path of the addon in `directory`, which has a binding.gyp. */
export async function compile(directory = projectRoot, { env = {}, clean = false } = {}) {
  const prefix = headersPrefix();
  const nodedir = prefix === undefined ? [] : [`--nodedir=${prefix}`];
  const commands = clean ? ['rebuild'] : ['configure', 'build'];
  await must(tool('node-gyp/bin/node-gyp.js', ...commands, '--release', '--jobs=max', ...nodedir), { env, cwd: directory });
  return path.join(directory, 'build/Release/corral.node');
}
