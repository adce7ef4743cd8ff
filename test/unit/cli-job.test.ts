import { describe, expect, it } from 'vitest';
import { isAwaited, isOrphanedGroup } from '../../src/cli/job.js';
import { ProcessTable } from '../../src/tree/table.js';

/** A session (10) led by a shell; corral (50) is in the group 40. Rows: "pid parent group", and Z for a zombie. */
function session(rows: readonly string[]): ProcessTable {
  const all = rows.map((row) => {
    const [pid, ppid, pgid, state = 'S'] = row.split(' ');
    return { pid: Number(pid), ppid: Number(ppid), pgid: Number(pgid), sid: 10, state: state as 'S' | 'Z', threads: 1 };
  });
  return ProcessTable.from(
    all.map((row) => ({ ...row, startTicks: BigInt(row.pid), bootId: 'boot' })),
    { nowTicks: 1000n, nowMs: 0 },
  );
}

const shell = '10 1 10';

describe('whether everybody in the group waits for corral', () => {
  it.each([
    ['corral alone', true, [shell, '50 10 40']],
    ['a script that runs corral', true, [shell, '40 10 40', '50 40 40']],
    ['npx and a shell', true, [shell, '40 10 40', '41 40 40', '50 41 40']],
    ['another job of the shell', true, [shell, '50 10 40', '60 10 60']],
    ['a neighbour in the pipeline', false, [shell, '50 10 40', '51 10 40']],
    ['a neighbour that has ended', true, [shell, '40 10 40 Z', '50 10 40']],
    ['a background job of a script', false, [shell, '40 10 40', '41 40 40', '50 40 40']],
  ])('%s: %s', (_, expected, rows) => {
    const table = session(rows);
    const ancestors = new Set<number>();
    for (let pid = table.get(50)?.ppid; pid !== undefined; pid = table.get(pid)?.ppid) ancestors.add(pid);
    expect(isAwaited(table, { pid: 50, pgid: 40, ancestors })).toBe(expected);
  });
});

describe('whether nobody could continue the group', () => {
  it.each([
    ['a shell started corral', false, [shell, '50 10 40']],
    ['a shell started a script', false, [shell, '40 10 40', '50 40 40']],
    ['corral leads the session', true, ['50 1 40']],
    ['the shell is gone', true, ['40 1 40', '50 40 40']],
    ['a script leads the session', true, ['10 1 40', '50 10 40']],
  ])('%s: %s', (_, expected, rows) => {
    expect(isOrphanedGroup(40, session(rows))).toBe(expected);
  });
});
