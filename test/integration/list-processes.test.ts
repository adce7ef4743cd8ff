/** listProcesses and snapshot say what /proc says, of real processes with awkward names, arguments and states. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { identityOf } from '../../src/tree/identity.js';
import { listProcesses, snapshot } from '../../src/tree/scan.js';
import { ProcessTable } from '../../src/tree/table.js';
import type { ProcessInfo } from '../../src/types.js';
import { requireOtherUsers, requireRoot, requireUnprivileged } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, isZombie, readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const only = async (pid: number, fields?: Parameters<typeof listProcesses>[0]) => (await listProcesses({ ...fields, pids: [pid] }))[0]!;

it('ourselves, with the fields of stat and the arguments by default', async () => {
  const row = await only(process.pid);
  const stat = readStat(process.pid)!;
  const { pid, name, ppid, pgid, sid, startTicks } = stat;
  expect(row).toMatchObject({ pid, name, ppid, pgid, sid, startTicks, bootId: identityOf(pid)?.bootId });
  expect(row.state).toMatch(/^[RSD]$/);
  expect(row.args?.[0]).toBe(process.argv0);
  expect(row.ageSeconds).toBeGreaterThan(0);
  expect(Math.abs(row.ageSeconds! - process.uptime())).toBeLessThan(10);
  expect(Math.abs(row.startTime!.getTime() - (Date.now() - process.uptime() * 1000))).toBeLessThan(10_000);
  expect(row.rssBytes! / process.memoryUsage.rss()).toBeGreaterThan(0.5);
  expect(row.rssBytes! / process.memoryUsage.rss()).toBeLessThan(2);
  expect(row.cpuMs).toBeGreaterThan(0);
  expect(row.threads).toBeGreaterThan(1);
  expect(row).not.toHaveProperty('env');
  expect(row).not.toHaveProperty('cwd');
});

it('everybody there is, in ascending order', async () => {
  let rows: ProcessInfo[] = [];
  // Another worker of the test runner may be about to exit.
  await eventually(async () => {
    rows = await listProcesses({ fields: ['ppid'] });
    const there = allProcesses().map(({ pid }) => pid);
    expect(rows.map(({ pid }) => pid)).toEqual(there.sort((left, right) => left - right));
    return true;
  });
  expect(Object.keys(rows[0]!).sort()).toEqual(['bootId', 'pid', 'ppid', 'startTicks']);
});

it('name, arguments, directory, program, environment, user, group of limits: as the process was started', async () => {
  const directory = realpathSync(tempDirectory());
  const program = path.join(directory, 'a) b\n(x');
  copyFileSync('/bin/sleep', program);
  const child = spawn(program, ['300', '0'], { argv0: 'né\nw', cwd: directory, env: { EMPTY: '', 'odd name': 'a=b\nc' }, stdio: 'ignore' });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const pid = child.pid as number;
  const row = await eventually(async () => {
    const now = await only(pid, { fields: ['name', 'args', 'cwd', 'exe', 'env', 'uid', 'cgroup'] });
    return now.name === 'a) b\n(x' && now; // spawn() may return before the new program has set its name
  });
  expect(row).toEqual({
    pid,
    startTicks: readStat(pid)?.startTicks,
    bootId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    name: 'a) b\n(x',
    args: ['né\nw', '300', '0'],
    cwd: directory,
    exe: program,
    env: { EMPTY: '', 'odd name': 'a=b\nc' },
    uid: process.getuid?.(),
    cgroup: expect.stringMatching(/^\d+:/),
  });
});

it('pids that nobody has are left out, doubles come once', async () => {
  expect((await listProcesses({ pids: [4_194_304, process.pid, 1, process.pid] })).map(({ pid }) => pid)).toEqual([1, process.pid]);
  expect(await listProcesses({ pids: [] })).toEqual([]);
});

it('the table knows who belongs to whom', async () => {
  const { pid, ready } = await startFixture('tree-nonchild.sh', ['leave'], { stdin: 'pipe', detached: true });
  const below = Number(ready[0]);
  const table = await snapshot();
  expect(table.size).toBeGreaterThanOrEqual(4);
  expect(table.get(below)).toMatchObject({ pid: below, ppid: pid, pgid: pid, sid: pid });
  expect(table.children(pid).map((row) => row.pid)).toEqual([below]);
  expect(table.descendants(process.pid).map((row) => row.pid)).toEqual(expect.arrayContaining([pid, below]));
  expect(
    table
      .ancestors(below)
      .map((row) => row.pid)
      .slice(0, 2),
  ).toEqual([pid, process.pid]);
  expect(table.session(pid).map((row) => row.pid)).toEqual([pid, below].sort((left, right) => left - right));
  expect(table.group(pid)).toEqual(table.session(pid));
  expect(table.zombies()).toEqual([]);
  process.kill(below, 'SIGKILL');
  await eventually(() => isZombie(below));
  const after = await snapshot();
  expect(after.zombies().map((row) => row.pid)).toEqual([below]);
  expect(after.get(below)).toMatchObject({ state: 'Z', args: [] });

  const restored = ProcessTable.fromJSON(JSON.parse(JSON.stringify(after)));
  expect([...restored]).toEqual([...after]);
});

it('what may not be read is named, not shown empty', async (context) => {
  requireUnprivileged(context, 'root may read everything');
  requireOtherUsers(context, "PID 1 has to be another user's");
  const init = await only(1, { fields: ['name', 'cwd', 'env', 'exe', 'uid'] });
  expect(init.unread).toEqual(expect.arrayContaining(['cwd', 'env', 'exe']));
  expect(init).not.toHaveProperty('env');
  expect(init.name).toBe('sh');
});

it('root may read everything', async (context) => {
  requireRoot(context, 'it reads the environment of PID 1');
  const init = await only(1, { fields: ['name', 'cwd', 'env', 'exe', 'uid'] });
  expect(init).not.toHaveProperty('unread');
  expect(init).toMatchObject({ uid: 0, env: { CORRAL_TEST_CONTAINED: '1' } });
});

it('a scan leaves the event loop alone', async () => {
  let turns = 0;
  let running = true;
  const turn = () => {
    turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  for (let count = 0; count < 20; count++) await listProcesses({ fields: ['name', 'args', 'env'] });
  running = false;
  expect(turns).toBeGreaterThan(20);
});

it('many scans at once', async () => {
  const tables = await Promise.all(Array.from({ length: 50 }, () => listProcesses({ pids: [process.pid], fields: ['name'] })));
  expect(new Set(tables.map((rows) => rows[0]?.startTicks)).size).toBe(1);
});
