/** Draws processes as a tree. Pure: gets a table, returns rows. */
import type { ProcessInfo, ProcessTable } from '../types.js';

/** A table whose rows may say that they are threads of the kernel. */
type Table = ProcessTable & Iterable<ProcessInfo & { kernelThread?: boolean }>;

export interface TreeRow {
  process: ProcessInfo;
  /** Branches to the left of the name. */
  branch: string;
  depth: number;
  /** Set on the first process of another group or session than its parent's: a signal to the parent's group ends there. */
  mark: 'session' | 'group' | undefined;
}

/** Rows of the tree below `root`, or of everything but threads of the kernel. Parents before children. */
export function treeRows(table: Table, root?: number): TreeRow[] {
  const rows: TreeRow[] = [];
  const seen = new Set<number>();
  // A stack instead of recursion: nothing limits how deep processes nest.
  const open: Array<{ process: ProcessInfo; indent: string; branch: string; depth: number }> = [];
  const begin = (process: ProcessInfo) => open.push({ process, indent: '', branch: '', depth: 0 });
  if (root === undefined) {
    for (const process of [...table].reverse()) {
      const isRoot = process.ppid === undefined || table.get(process.ppid) === undefined;
      if (isRoot && process.kernelThread !== true) begin(process);
    }
  } else {
    const process = table.get(root);
    if (process !== undefined) begin(process);
  }
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { process, indent, branch, depth } = next;
    // A scan is not one instant: numbers that were used again meanwhile could close a circle.
    if (seen.has(process.pid)) continue;
    seen.add(process.pid);
    rows.push({ process, branch: indent + branch, depth, mark: markOf(process, table) });
    const below = depth === 0 ? '' : indent + (branch === LAST ? '   ' : '│  ');
    const children = table.children(process.pid);
    for (let at = children.length - 1; at >= 0; at--) {
      open.push({
        process: children[at] as ProcessInfo,
        indent: below,
        branch: at === children.length - 1 ? LAST : '├─ ',
        depth: depth + 1,
      });
    }
  }
  return rows;
}

const LAST = '└─ ';

function markOf(process: ProcessInfo, table: Table): TreeRow['mark'] {
  const parent = process.ppid === undefined ? undefined : table.get(process.ppid);
  const isOther = (id: number | undefined, parentsId: number | undefined) =>
    id !== undefined && (parent === undefined ? id === process.pid : id !== parentsId);
  if (isOther(process.sid, parent?.sid)) return 'session';
  return isOther(process.pgid, parent?.pgid) ? 'group' : undefined;
}

export interface TreeNode extends ProcessInfo {
  children: TreeNode[];
}

/** The same as nested objects. */
export function treeNodes(table: Table, root?: number): TreeNode[] {
  const path: TreeNode[] = [];
  const roots: TreeNode[] = [];
  for (const { process, depth } of treeRows(table, root)) {
    const node: TreeNode = { ...process, children: [] };
    path.length = depth;
    (path.at(-1)?.children ?? roots).push(node);
    path.push(node);
  }
  return roots;
}
