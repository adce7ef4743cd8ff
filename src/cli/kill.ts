/** `corral kill`: ends whole trees that somebody else started, and says what became of every member. */
import { Command, Option } from 'commander';
import { refuseTarget } from '../tree/identity.js';
import { killTree } from '../tree/kill-tree.js';
import { snapshot } from '../tree/scan.js';
import { selectTree } from '../tree/select.js';
import type { ProcessInfo, Signal, TerminationReport } from '../types.js';
import {
  type Act,
  EXIT_USAGE,
  exitOnSignal,
  explain,
  killAfterArgument,
  pidArgument,
  print,
  signalArgument,
  stdoutTerminal,
  warn,
  withJson,
} from './command.js';
import { formatMs } from './duration.js';
import { type Column, table, toJson } from './format.js';
import { FIELD_COLUMNS, type FieldColumn } from './process-columns.js';

interface KillOptions {
  signal: Signal;
  killAfter: number | false;
  dryRun?: boolean;
  json?: boolean;
}

export function killCommand(act: Act): Command {
  return withJson(new Command('kill'))
    .summary('end whole process trees, with a report')
    .description(
      'Ends each process with everything below it, in its group and in its session: first a signal, then SIGKILL for what is left. ' +
        'Never signals pid 1, kernel threads, corral itself, its ancestors or its own process group.',
    )
    .argument('<pid...>', 'roots of the trees', (text: string, before: number[] = []) => [...before, pidArgument(text)])
    .option('--signal <name>', 'first signal', signalArgument, 'SIGTERM')
    .addOption(
      new Option('--kill-after <duration>', 'SIGKILL what is left so long after the first signal; never = wait')
        .argParser(killAfterArgument)
        .default(5000, '5s'),
    )
    .option('--dry-run', 'list who would be signalled')
    .addHelpText(
      'after',
      `
Exit status: 0 all gone (also when there was nothing); 1 something survived; 2 refused, or called wrongly.

Examples:
  corral kill --dry-run 4711
  corral kill 4711 4802
  corral kill --signal INT --kill-after 30s 4711`,
    )
    .action(act((pids: number[], options: KillOptions) => kill(pids, options)));
}

async function kill(pids: number[], options: KillOptions): Promise<number> {
  const processes = await snapshot();
  // All are looked at before the first is signalled: wrong use ends nothing.
  for (const pid of pids) {
    const why = refusal(pid);
    if (why === undefined) continue;
    warn(`kill: ${why}; nothing was signalled`);
    return EXIT_USAGE;
  }
  // From here on it is this very process that is meant, whoever gets its number.
  const roots = new Map(pids.map((pid) => [pid, processes.get(pid)]));
  return options.dryRun ? showMembers(roots, options) : endTrees(roots, options);
}

function refusal(pid: number): string | undefined {
  try {
    refuseTarget(pid, 'pid');
    return undefined;
  } catch (error) {
    return explain(error);
  }
}

/** Root pid → who runs under it; undefined = nobody. */
type Roots = ReadonlyMap<number, ProcessInfo | undefined>;

async function showMembers(roots: Roots, options: KillOptions): Promise<number> {
  const trees: Array<{ pid: number; members: readonly ProcessInfo[] }> = [];
  for (const [pid, root] of roots) trees.push({ pid, members: root === undefined ? [] : await describe(await selectTree(root)()) });
  if (options.json) {
    print(toJson(trees));
    return 0;
  }
  const columns = ['pid', 'ppid', 'pgid', 'sid', 'state', 'age', 'args'].map((name) => FIELD_COLUMNS[name] as FieldColumn);
  for (const { pid, members } of trees) {
    if (members.length === 0) print(`${pid}: no such process`);
    else print(`${pid}: would end ${count(members.length)}\n${table(members, columns, stdoutTerminal())}`);
  }
  return 0;
}

/** Whom the selection names, with what it had no need to read. */
async function describe(members: readonly ProcessInfo[]): Promise<ProcessInfo[]> {
  const processes = await snapshot();
  return members.map((member) => {
    const row = processes.get(member.pid);
    return row?.startTicks === member.startTicks ? row : member;
  });
}

const NOBODY: TerminationReport = { terminated: [], survivors: [], escalated: false, durationMs: 0, proof: 'scan' };

interface Outcome extends TerminationReport {
  pid: number;
}

async function endTrees(roots: Roots, options: KillOptions): Promise<number> {
  exitOnSignal();
  const outcomes: Outcome[] = [];
  for (const [pid, root] of roots) {
    // Who had no process when the command was given has none to end: the number may be a stranger's by now.
    const report =
      root === undefined ? NOBODY : await killTree(root, { killSignal: options.signal, forceKillAfterDelay: options.killAfter });
    const outcome = { pid, ...report };
    outcomes.push(outcome);
    if (!options.json) showOutcome(outcome);
  }
  if (options.json) print(toJson(outcomes));
  return outcomes.some(({ survivors }) => survivors.length > 0) ? 1 : 0;
}

function showOutcome({ pid, terminated, survivors, durationMs, escalated }: Outcome): void {
  const rows = [
    ...terminated.map((one) => ({ ...one, end: one.signal ?? 'ended' })),
    ...survivors.map((one) => ({ ...one, end: `survived (${one.reason})` })),
  ];
  if (rows.length === 0) {
    print(`${pid}: no such process`);
    return;
  }
  const needed = escalated ? ', SIGKILL was needed' : '';
  print(`${pid}: ended ${count(terminated.length)} in ${formatMs(durationMs)}${needed}, ${survivors.length} left`);
  const columns: Column<(typeof rows)[number]>[] = [
    { title: 'PID', value: (row) => String(row.pid), align: 'right' },
    { title: 'NAME', value: (row) => row.name },
    { title: 'END', value: (row) => row.end },
  ];
  print(table(rows, columns, stdoutTerminal()));
}

function count(processes: number): string {
  return processes === 1 ? '1 process' : `${processes} processes`;
}
