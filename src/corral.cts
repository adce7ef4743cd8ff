#!/usr/bin/env node
/**
 * The command `corral`. The hook runs at every session start of an agent and has an entry of its own that loads nothing
 * else; this file must stay free of imports so that the way to it costs nothing.
 */
if (process.argv[2] === 'hook') {
  require('./hook.cjs');
} else {
  import('./cli/main.js').then(({ main }) => main(process.argv.slice(2)));
}
