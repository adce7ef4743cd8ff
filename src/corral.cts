#!/usr/bin/env node
/**
 * The command `corral`: hands over to one of two bundles. The hook runs at every session start of an agent and loads nothing of the
 * rest, so this file stays free of imports.
 */
require(process.argv[2] === 'hook' ? './hook.cjs' : './cli.cjs');
