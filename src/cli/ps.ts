/** `corral ps`: processes with what matters for ending them; with --orphans the verdict of a sweep that ends nothing. */
import { Command } from 'commander';
import { loadConfig } from '../orphans/config.js';
import { sweep } from '../orphans/sweep.js';
import { snapshot } from '../tree/scan.js';
import { type Act, print, stdoutTerminal, UsageError, warn, withJson } from './command.js';
import { printable, table, toJson } from './format.js';
import { DEFAULT_FIELDS, FIELD_COLUMNS, type FieldColumn, neededFields } from './process-columns.js';
import { plannedOutcome, verdictTable } from './verdicts.js';

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
    .option('-a, --all', 'other users and kernel threads too')
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
    return psOrphans(options);
  }
  const columns = (options.fields ?? DEFAULT_FIELDS).map((name) => FIELD_COLUMNS[name] as FieldColumn);
  const own = process.getuid?.();
  const found = [...(await snapshot({ fields: [...new Set([...neededFields(columns), 'uid' as const])] }))];
  const shown = options.all ? found : found.filter((one) => one.uid === own && one.kernelThread !== true);
  print(options.json ? toJson(shown) : table(shown, columns, stdoutTerminal()));
  return 0;
}

/** The judgement of a sweep that ends nothing. */
async function psOrphans(options: PsOptions): Promise<number> {
  const report = await sweep({ config: loadConfig(), dryRun: true });
  if (options.json) {
    print(toJson(report.verdicts));
    return 0;
  }
  for (const warning of report.warnings) warn(printable(warning));
  if (report.verdicts.length === 0) print('Nothing looks left behind.');
  else print(verdictTable(report.verdicts, plannedOutcome, stdoutTerminal()));
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
