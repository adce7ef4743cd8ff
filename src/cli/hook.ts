/** `corral hook` as help lists it. The launcher hands the real one to dist/hook.cjs and never loads this program for it. */
import { Command } from 'commander';
import { HOOK_HELP } from '../hook/options.js';

export function hookCommand(): Command {
  const command = new Command('hook')
    .summary('clean up at session start of a coding agent (Claude Code): JSON in, JSON out')
    .helpOption(false);
  command.helpInformation = () => HOOK_HELP;
  return command;
}
