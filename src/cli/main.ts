/**
 * The program `corral` without the hook, bundled into dist/cli.cjs: one table of commands, one place where errors become messages and
 * exit statuses. No command logic here.
 */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { ProcessError } from '../errors.js';
import { type Act, EXIT_USAGE, explain, UsageError, warn } from './command.js';
import { doctorCommand } from './doctor.js';
import { EXIT_OWN_ERROR } from './exit-code.js';
import { hookCommand } from './hook.js';
import { killCommand } from './kill.js';
import { psCommand } from './ps.js';
import { runCommand } from './run.js';
import { sweepCommand } from './sweep.js';
import { treeCommand } from './tree.js';

/** Runs one command line (without node and script) and leaves its status in process.exitCode. */
async function main(argv: readonly string[]): Promise<void> {
  let status = 0;
  const act: Act =
    (action) =>
    async (...args) => {
      status = await action(...args);
    };
  const program = createProgram(act);
  // `corral ps | head` ends our reader; there is nobody left to tell.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const usageStatus = argv[0] === 'run' ? EXIT_OWN_ERROR : EXIT_USAGE;
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    status = statusOfFailure(error, usageStatus);
  }
  // Not process.exit: what was written to a pipe still has to reach it.
  process.exitCode = status;
}

function createProgram(act: Act): Command {
  const { version, description } = createRequire(import.meta.url)('corral/package.json') as { version: string; description: string };
  const program = new Command('corral')
    .description(description)
    .version(version)
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'corral: ')) })
    .showHelpAfterError('(--help shows examples)')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  corral run --timeout 5m -- npm test     end the whole tree after five minutes, however it forks
  corral tree 4711                        what runs below a process
  corral kill 4711                        end that tree, and show that nothing of it is left
  corral ps --orphans                     what is left over on this machine, and why corral thinks so
  corral sweep --dry-run                  what a clean-up would end, without ending it`,
    );
  for (const create of [runCommand, psCommand, treeCommand, killCommand, sweepCommand, hookCommand, doctorCommand]) {
    program.addCommand(create(act).copyInheritedSettings(program));
  }
  return program;
}

function statusOfFailure(error: unknown, usageStatus: number): number {
  // commander has printed it already; help and version are no errors
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageStatus;
  warn(explain(error));
  const isUsage = error instanceof UsageError || (error instanceof ProcessError && error.type === 'INVALID_ARGUMENT');
  return isUsage ? usageStatus : usageStatus === EXIT_OWN_ERROR ? EXIT_OWN_ERROR : 1;
}

main(process.argv.slice(2));
