/** What is read out of one row: names, scripts, and what is unknown. */
import { describe, expect, it } from 'vitest';
import { describeAge, isLeaderDead, isReparented, namesOf, scriptOperand } from '../../src/orphans/evidence.js';
import { ProcessTable } from '../../src/tree/table.js';
import type { ProcessInfo } from '../../src/types.js';

const row = (change: Partial<ProcessInfo>): ProcessInfo => ({ pid: 50, startTicks: 500n, bootId: 'b', name: 'x', ...change });
const tableOf = (...rows: ProcessInfo[]) => ProcessTable.from(rows, { nowTicks: 1000n, nowMs: 0 });

describe('the script of an interpreter', () => {
  it.each<[string[], string | undefined]>([
    [['node', 'a.js', 'b.js'], 'a.js'],
    [['node', '--inspect', '-r', 'x', '--import', 'y', 'a.js'], 'a.js'],
    [['node', '-e', 'code', 'x'], undefined],
    [['node', '--eval', 'code'], undefined],
    [['node'], undefined],
    [['bun', 'run', 'a.ts'], 'a.ts'],
    [['bun', 'x', 'a'], 'a'],
    [['deno', 'run', '-A', 'a.ts'], 'a.ts'],
    [['python3', '-m', 'pytest', '-x'], 'pytest'],
    [['python3.12', '-X', 'dev', '-W', 'error', 'a.py'], 'a.py'],
    [['python', '-c', 'code'], undefined],
    [['python', '-Ic', 'code'], undefined],
    [['sh', '-e', '/usr/bin/pytest'], '/usr/bin/pytest'],
    [['bash', '-eo', 'pipefail', 'a.sh'], 'pipefail'], // a cluster with a value: harmless, it only makes names
    [['bash', '-o', 'pipefail', 'a.sh'], 'a.sh'],
    [['bash', '-lc', 'pytest'], undefined],
    [['perl', '-e', 'code'], undefined],
    [['rg', 'pytest'], undefined],
  ])('%j: %s', (args, expected) => expect(scriptOperand(row({ args }))).toBe(expected));
});

describe('names', () => {
  it.each<[Partial<ProcessInfo>, string[]]>([
    [{ name: 'node', args: ['node', '/x/node_modules/@openai/codex/bin/codex.js'] }, ['node', 'codex.js', 'codex', '@openai/codex']],
    [{ name: 'node', args: ['node', '/x/node_modules/a/node_modules/b/c.js'] }, ['node', 'c.js', 'c', 'b']],
    [{ name: 'python', args: ['python', '-m', 'alembic.config'] }, ['python', 'alembic.config', 'alembic']],
    [{ name: 'rg', args: ['/x/node_modules/@openai/codex/rg'], exe: '/x/node_modules/@openai/codex/rg (deleted)' }, ['rg']],
    [{ name: 'bash', args: ['-bash'] }, ['bash']],
    [{ name: undefined, args: undefined }, []],
  ])('%j', (change, expected) => expect([...namesOf(row(change))].sort()).toEqual(expected.sort()));
});

describe('the leader of a session', () => {
  const init = row({ pid: 1, startTicks: 0n, name: 'init' });
  it.each<[string, ProcessInfo[], number | undefined, boolean | undefined]>([
    ['is it itself', [init], 50, false],
    ['is alive', [init, row({ pid: 40, startTicks: 400n })], 40, false],
    ['is gone', [init], 40, true],
    ['is a zombie', [init, row({ pid: 40, startTicks: 400n, state: 'Z', threads: 1 })], 40, true],
    ['lives on in other threads', [init, row({ pid: 40, startTicks: 400n, state: 'Z', threads: 2 })], 40, false],
    ['is another by now', [init, row({ pid: 40, startTicks: 600n })], 40, true],
    ['is hidden, as init is', [], 40, undefined],
    ['is there, but hidden', [init, row({ pid: 40, startTicks: 0xffff_ffff_ffff_ffffn, name: undefined })], 40, undefined],
    ['is not known', [init], undefined, undefined],
    ['is outside the namespace', [init], 0, undefined],
  ])('%s', (_, rows, sid, expected) => {
    const process = row({ sid });
    expect(isLeaderDead(process, tableOf(...rows, process))).toBe(expected);
  });
});

it('init and systemd take in orphans; a parent that can not be seen is not known', () => {
  const world = tableOf(row({ pid: 1, name: 'init' }), row({ pid: 30, name: 'systemd' }), row({ pid: 31, name: 'bash' }));
  expect([1, 30, 31, 32, undefined].map((ppid) => isReparented(row({ ppid }), world))).toEqual([true, true, false, undefined, undefined]);
});

it.each([
  [0.01, '0.01 s'],
  [300.01, '300.01 s'],
  [599.999, '600 s'],
  [600, '10 min'],
  [7199, '119 min'],
  [7200, '2 h 0 min'],
  [100_000, '27 h 46 min'],
])('%s seconds are %s', (seconds, expected) => expect(describeAge(seconds)).toBe(expected));
