/** `corral ps`: processes with what matters for ending them; with --orphans the verdict of a sweep that ends nothing. */
import { Command } from 'commander';
import { snapshot } from '../tree/scan.js';
import { type Act, print, stdoutTerminal, UsageError, withJson } from './command.js';
import { table, toJson } from './format.js';
import { DEFAULT_FIELDS, FIELD_COLUMNS, type FieldColumn, neededFields } from './process-columns.js';

interface PsOptions {
  orphans?: boolean;
  all?: boolean;
  fields?: string[];
  json?: boolean;
}

export function psCommand(act: Act): Command {
  return withJson(new Command('ps'))
    .summary('list processes with age, state, group, session, owner')
    .description('Lists the processes of this user. With --orphans: which of them look left over, and the evidence; nothing is ended.')
    .option('--orphans', 'only what a rule of the clean-up names: verdict and evidence')
    .option('-a, --all', 'other users and kernel threads too; with --orphans every verdict')
    .option('--fields <names>', `columns, comma separated: ${Object.keys(FIELD_COLUMNS).join(', ')}`, fieldsArgument)
    .addHelpText(
      'after',
      `
Examples:
  corral ps
  corral ps --fields pid,age,cpu,memory,args
  corral ps --orphans
  corral ps --all --json`,
    )
    .action(act((options: PsOptions) => ps(options)));
}

async function ps(options: PsOptions): Promise<number> {
  if (options.orphans) {
    if (options.fields !== undefined)
      throw new UsageError('ps: --fields: expected without --orphans, whose columns are fixed, received both');
    const { showOrphans } = await import('./orphans.js');
    return showOrphans(options);
  }
  const columns = (options.fields ?? DEFAULT_FIELDS).map((name) => FIELD_COLUMNS[name] as FieldColumn);
  const own = process.getuid?.();
  const found = [...(await snapshot({ fields: [...new Set([...neededFields(columns), 'uid' as const])] }))];
  const shown = options.all ? found : found.filter((one) => one.uid === own && one.kernelThread !== true);
  print(options.json ? toJson(shown) : table(shown, columns, stdoutTerminal()));
  return 0;
}

function fieldsArgument(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !Object.hasOwn(FIELD_COLUMNS, name));
  if (unknown !== undefined) {
    throw new UsageError(
      `ps: --fields: expected names out of ${Object.keys(FIELD_COLUMNS).join(', ')}, received ${JSON.stringify(unknown)}`,
    );
  }
  return names;
}
