/** `corral tree`: what runs below a process, and where its groups and sessions part. */
import { Command } from 'commander';
import { snapshot } from '../tree/scan.js';
import { type Act, pidArgument, print, stdoutTerminal, warn, withJson } from './command.js';
import { type Column, table, toJson } from './format.js';
import { commandText, FIELD_COLUMNS } from './process-columns.js';
import { type TreeRow, treeNodes, treeRows } from './tree-view.js';

export function treeCommand(act: Act): Command {
  return withJson(new Command('tree'))
    .summary('show processes as a tree, with groups and sessions')
    .description('Shows the tree below a process, or everything. A mark shows where a process left the group or session of its parent.')
    .argument('[pid]', 'root of the tree', pidArgument)
    .addHelpText(
      'after',
      `
Exit status: 0; 1 when there is no such process.

Examples:
  corral tree              everything this user can see
  corral tree 4711         what \`corral kill 4711\` would end at least
  corral tree 4711 --json`,
    )
    .action(act((pid: number | undefined, options: { json?: boolean }) => tree(pid, options)));
}

async function tree(pid: number | undefined, options: { json?: boolean }): Promise<number> {
  const processes = await snapshot({ fields: ['name', 'ppid', 'pgid', 'sid', 'state', 'startTime', 'args'] });
  if (pid !== undefined && processes.get(pid) === undefined) {
    warn(`tree: no process ${pid}`);
    return 1;
  }
  const to = stdoutTerminal();
  const own = (name: string): Column<TreeRow> => {
    const column = FIELD_COLUMNS[name] as (typeof FIELD_COLUMNS)[string];
    return {
      title: column.title,
      ...(column.align && { align: column.align }),
      value: (row) => column.value(row.process),
      style: (row) => column.style?.(row.process),
    };
  };
  const columns: Column<TreeRow>[] = [
    ...['pid', 'pgid', 'sid', 'state', 'age'].map(own),
    { title: '', value: (row) => row.mark ?? '', style: () => 'yellow' },
    { title: 'COMMAND', value: (row) => row.branch + commandText(row.process) },
  ];
  print(options.json ? toJson(treeNodes(processes, pid)) : table(treeRows(processes, pid), columns, to));
  return 0;
}
