/** Makes process tables for the tests of judging: a small machine with us in it, and the rows a test is about. */
import type { Facts } from '../../src/orphans/classify.js';
import { type ProcessRow, ProcessTable } from '../../src/tree/table.js';

export const ME = 1000;
export const OTHER = 2000;
/** The process that looks, its shell and its terminal; everything of user ME. */
export const SELF = 903;

export type Row = Partial<ProcessRow> & { pid: number };

const MACHINE: Row[] = [
  { pid: 1, ppid: 0, name: 'systemd', args: ['/sbin/init'], uid: 0, ageSeconds: 90_000 },
  { pid: 2, ppid: 0, name: 'kthreadd', args: [], uid: 0, kernelThread: true, ageSeconds: 90_000 },
  { pid: 900, ppid: 1, name: 'gnome-terminal-', args: ['/usr/libexec/gnome-terminal-server'], ageSeconds: 80_000 },
  { pid: 901, ppid: 900, name: 'bash', args: ['-bash'], tty: 34816, ageSeconds: 80_000 },
  { pid: 902, ppid: 901, name: 'sh', args: ['sh', '-c', 'corral sweep'], pgid: 902, sid: 901, tty: 34816, ageSeconds: 70_000 },
  { pid: SELF, ppid: 902, name: 'node', args: ['node', '/usr/bin/corral', 'sweep'], pgid: 902, sid: 901, tty: 34816, ageSeconds: 1 },
];

/** Defaults: own user, sleeping, leader of its own group and session, adopted by init, a day old, exe as argv[0]. */
export function table(...rows: Row[]): ProcessTable {
  const complete = [...MACHINE.filter(({ pid }) => !rows.some((row) => row.pid === pid)), ...rows].map((row): ProcessRow => {
    const ageSeconds = 'ageSeconds' in row ? row.ageSeconds : 86_400;
    return {
      startTicks: BigInt(Math.round(10_000_000 - (ageSeconds ?? 0) * 100)),
      bootId: 'boot',
      ppid: 1,
      pgid: row.pid,
      sid: row.pid,
      tty: 0,
      state: 'S',
      threads: 1,
      uid: ME,
      ...row,
      ...(ageSeconds === undefined ? {} : { ageSeconds }),
    };
  });
  return ProcessTable.from(complete, { nowTicks: 10_000_000n, nowMs: 1_700_000_000_000, bootId: 'boot' });
}

export const FACTS: Facts = { now: 1_700_000_000_000, self: SELF, uid: ME };

export const rg = (row: Row): Row => ({ name: 'rg', args: ['rg', 'TODO'], ...row });
export const bash = (script: string, row: Row): Row => ({ name: 'bash', args: ['/bin/bash', '-c', script], ...row });
