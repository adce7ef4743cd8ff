import { describe, expect, it } from 'vitest';
import { treeNodes, treeRows } from '../../src/cli/tree-view.js';
import { ProcessTable } from '../../src/tree/table.js';

/** pid, ppid, pgid, sid → a table. */
function tableOf(...rows: Array<[number, number, number, number]>): ProcessTable {
  return ProcessTable.from(
    rows.map(([pid, ppid, pgid, sid]) => ({ pid, ppid, pgid, sid, startTicks: BigInt(pid), bootId: 'b', name: `p${pid}` })),
    { nowTicks: 10_000n, nowMs: 0 },
  );
}

const draw = (table: ProcessTable, root?: number) =>
  treeRows(table, root).map((row) => `${row.branch}${row.process.pid}${row.mark ? ` ${row.mark}` : ''}`);

describe('a tree', () => {
  const table = tableOf(
    [1, 0, 1, 1],
    [10, 1, 10, 10],
    [11, 10, 10, 10],
    [12, 10, 12, 10],
    [13, 12, 12, 10],
    [14, 10, 14, 14],
    [20, 1, 1, 1],
  );

  it('is drawn with parents before children and a mark where a group or session begins', () => {
    expect(draw(table, 10)).toEqual(['10 session', '├─ 11', '├─ 12 group', '│  └─ 13', '└─ 14 session']);
  });

  it('begins at the processes without a parent when no root is given', () => {
    expect(draw(table)).toEqual(['1 session', '├─ 10 session', '│  ├─ 11', '│  ├─ 12 group', '│  │  └─ 13', '│  └─ 14 session', '└─ 20']);
  });

  it('leaves out the threads of the kernel', () => {
    const rows = [
      { pid: 1, ppid: 0, startTicks: 1n, bootId: 'b' },
      { pid: 2, ppid: 0, startTicks: 1n, bootId: 'b', kernelThread: true },
      { pid: 3, ppid: 2, startTicks: 1n, bootId: 'b', kernelThread: true },
    ];
    expect(draw(ProcessTable.from(rows, { nowTicks: 10n, nowMs: 0 }))).toEqual(['1']);
  });

  it('is empty for a pid that is not there', () => {
    expect(draw(table, 99)).toEqual([]);
  });

  it('is the same as nested objects', () => {
    const shape = (nodes: ReturnType<typeof treeNodes>): unknown => nodes.map((node) => [node.pid, shape(node.children)]);
    expect(shape(treeNodes(table, 10))).toEqual([
      [
        10,
        [
          [11, []],
          [12, [[13, []]]],
          [14, []],
        ],
      ],
    ]);
  });

  it('ends although reused numbers close a circle', () => {
    expect(draw(tableOf([5, 6, 5, 5], [6, 5, 5, 5]), 5)).toEqual(['5', '└─ 6']);
  });

  it('has room for a chain of 20,000', () => {
    const rows = Array.from({ length: 20_000 }, (_, at): [number, number, number, number] => [at + 2, at + 1, 2, 2]);
    expect(treeRows(tableOf(...rows), 2)).toHaveLength(20_000);
  });
});
