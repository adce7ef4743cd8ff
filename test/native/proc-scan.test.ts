/**
 * The scan of /proc against live processes, without Node in between: a driver prints what native/sys/proc_scan found.
 * It runs under sanitizers, and everything it says is compared with what the test reads itself.
 */
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, onTestFinished, type TestContext, test } from 'vitest';
import { FIELD_ARGS, FIELD_CGROUP, FIELD_CWD, FIELD_ENV, FIELD_EXE, FIELD_STAT, FIELD_UID } from '../../src/native.js';
import { requireRoot } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses, readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';
import { compile } from './cc/build.js';

const ALL = FIELD_STAT | FIELD_ARGS | FIELD_UID | FIELD_CWD | FIELD_EXE | FIELD_ENV | FIELD_CGROUP;
const MEBIBYTE = 1 << 20;
const NOBODY = 65534;
const SYS = ['proc_scan.cc', 'proc_parse.cc'];

interface Row {
  pid: number;
  startTicks: string;
  ppid: number;
  pgid: number;
  sid: number;
  tty: number;
  state: number;
  cpuTicks: number;
  childCpuTicks: number;
  rssPages: number;
  threads: number;
  flags: number;
  name: string;
  uid: number;
  args: string;
  cwd: string;
  exe: string;
  env: string;
  cgroup: string;
  unread: number;
}

interface Scan {
  count: number;
  nowTicks: string;
  nowMs: number;
  /** Files opened by the scan, /proc itself included. */
  opened: number;
  blockSize: number;
  columns: Record<string, { offset: number; length: number }>;
  rows: Row[];
}

let driver: string;
let race: string;
let fixture: string;
beforeAll(async () => {
  [driver, race, fixture] = await Promise.all([
    compile({ source: 'scan_driver.cc', sys: SYS, flags: ['-Wl,--wrap=openat'] }),
    compile({ source: 'scan_race.cc', sys: SYS, flags: ['-Wl,--wrap=openat,--wrap=read,--wrap=clock_gettime'] }),
    compile({ source: 'scan_fixture.c', sanitize: false }),
  ]);
}, 120_000);

async function drive(args: (string | number)[], before: string[] = []): Promise<string> {
  const [file, ...rest] = [...before, driver, ...args.map(String)] as [string, ...string[]];
  return (await promisify(execFile)(file, rest, { maxBuffer: 256 * MEBIBYTE })).stdout;
}

async function scan(fields: number, ...args: (string | number)[]): Promise<Scan> {
  return JSON.parse(await drive([`--fields=${fields}`, ...args]));
}

const failedScan = async (fields: number, ...args: (string | number)[]): Promise<{ errno: number; syscall: string; count: number }> =>
  JSON.parse(await drive([`--fields=${fields}`, ...args]));

const pidsOf = ({ rows }: Scan) => rows.map(({ pid }) => pid);

function rowOf({ rows }: Scan, pid: number): Row {
  const row = rows.find((candidate) => candidate.pid === pid);
  if (row === undefined) throw new Error(`no row for ${pid}`);
  return row;
}

interface Fixture {
  pid: number;
  ready: string[];
}

/** Starts the fixture; it lives until the test is finished. */
async function start(
  args: (string | number)[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string; before?: string[] } = {},
): Promise<Fixture> {
  const { before = [], ...rest } = options;
  const [file, ...words] = [...before, fixture, ...args.map(String)] as [string, ...string[]];
  const child = spawn(file, words, { ...rest, stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.stdin.end();
    await exited;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, ...ready] = line.split(' ');
    if (word !== 'READY') continue;
    const pid = child.pid as number;
    // It has said so, and is still on its way to where it waits: until then its figures change.
    if (args[0] !== 'churn') await eventually(() => /[SZ]/.test(readStat(pid)?.state ?? ''));
    return { pid, ready };
  }
  throw new Error(`the fixture ended before it was ready: ${args.join(' ')}`);
}

const startedPid = (fixture: Fixture, index = 0) => Number(fixture.ready[index]);

/** The fields of stat by their numbers in proc_pid_stat(5). */
function statFields(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const close = text.lastIndexOf(')');
  return [
    '',
    String(pid),
    text.slice(text.indexOf('(') + 1, close),
    ...text
      .slice(close + 2)
      .trimEnd()
      .split(' '),
  ];
}

describe('rows', () => {
  test('every process, in ascending order, each with its start time', async () => {
    const before = allProcesses();
    const found = await scan(FIELD_STAT);
    const after = new Map(allProcesses().map((stat) => [stat.pid, stat.startTicks]));
    const stayed = before.filter(({ pid, startTicks }) => after.get(pid) === startTicks);
    expect(stayed.length).toBeGreaterThan(1);
    for (const { pid, startTicks } of stayed) expect(rowOf(found, pid).startTicks).toBe(String(startTicks));
    expect(pidsOf(found)).toEqual([...new Set(pidsOf(found))].sort((a, b) => a - b));
    expect(found.count).toBe(found.rows.length);
  });

  test('all columns of stat', async () => {
    const { pid } = await start(['plain']);
    const fields = statFields(pid);
    const number = (field: number) => Number(fields[field]);
    expect(rowOf(await scan(FIELD_STAT), pid)).toEqual({
      pid,
      startTicks: fields[22],
      ppid: process.pid,
      pgid: number(5),
      sid: number(6),
      tty: number(7),
      state: 'S'.charCodeAt(0),
      cpuTicks: number(14) + number(15),
      childCpuTicks: number(16) + number(17),
      rssPages: number(24),
      threads: 1,
      flags: number(9),
      name: 'scan_fixture',
      unread: 0,
    });
  });

  test('the time of the scan, on both clocks', async () => {
    const earlier = await scan(0);
    const msBefore = Date.now();
    const { pid } = await start(['plain']);
    const later = await scan(0);
    const startTicks = BigInt(rowOf(later, pid).startTicks);
    expect(startTicks).toBeGreaterThanOrEqual(BigInt(earlier.nowTicks));
    expect(startTicks).toBeLessThanOrEqual(BigInt(later.nowTicks));
    expect(later.nowMs).toBeGreaterThanOrEqual(msBefore);
    expect(later.nowMs).toBeLessThanOrEqual(Date.now());
  });

  test('what the process was started with', async () => {
    const cwd = path.join(tempDirectory(), 'a\nb (c) ü');
    mkdirSync(cwd);
    const { pid } = await start(['plain', '', 'two words', 'new\nline', 'ü'], { cwd, env: { A: '1', EMPTY: '', LINES: 'x\ny=z' } });
    const { args, exe, env, cgroup, uid, unread, ...row } = rowOf(await scan(ALL), pid);
    const utf8 = (text: string) => Buffer.from(text, 'latin1').toString('utf8');
    expect(utf8(args)).toBe([fixture, 'plain', '', 'two words', 'new\nline', 'ü', ''].join('\0'));
    expect(utf8(row.cwd)).toBe(realpathSync(cwd));
    expect(exe).toBe(realpathSync(fixture));
    expect(env).toBe('A=1\0EMPTY=\0LINES=x\ny=z\0');
    expect(cgroup).toBe(readFileSync(`/proc/${pid}/cgroup`, 'latin1'));
    expect(uid).toBe(process.getuid?.());
    expect(unread).toBe(0);
  });

  test.each([
    ['that looks like the rest of a stat line', ') R 1 1 1 ('],
    ['with a newline', 'a\nb'],
    ['of parentheses and a newline', ')) (\n)'],
    ['of bytes that are no UTF-8', '\xff\xfe)'],
    ['that is empty', ''],
  ])('a name %s', async (_, name) => {
    const parent = await start(['name', Buffer.from(name, 'latin1').toString('hex')]);
    const found = await scan(FIELD_STAT);
    expect(rowOf(found, parent.pid)).toMatchObject({ name, ppid: process.pid });
    expect(rowOf(found, startedPid(parent))).toMatchObject({ name, ppid: parent.pid, pgid: statFieldsPgid(parent.pid) });
  });
});

function statFieldsPgid(pid: number): number {
  return Number(statFields(pid)[5]);
}

describe('columns', () => {
  const always = ['pid', 'startTicks', 'unread', 'text'];
  const stat = ['ppid', 'pgid', 'sid', 'tty', 'state', 'cpuTicks', 'childCpuTicks', 'rssPages', 'threads', 'flags', 'name'];
  test.each<[string, number, string[]]>([
    ['no field', 0, []],
    ['stat', FIELD_STAT, stat],
    ['args', FIELD_ARGS, ['args']],
    ['uid', FIELD_UID, ['uid']],
    ['cwd', FIELD_CWD, ['cwd']],
    ['exe', FIELD_EXE, ['exe']],
    ['env', FIELD_ENV, ['env']],
    ['cgroup', FIELD_CGROUP, ['cgroup']],
    ['all fields', ALL, [...stat, 'uid', 'args', 'cwd', 'exe', 'env', 'cgroup']],
  ])('%s: what was asked for and nothing else, side by side in one block', async (_, fields, expected) => {
    const { columns, count, blockSize, rows } = await scan(fields);
    expect(Object.keys(columns).sort()).toEqual([...always, ...expected].sort());
    const widths: Record<string, number> = { startTicks: 8, cpuTicks: 8, childCpuTicks: 8, rssPages: 8, state: 1, unread: 1, text: 1 };
    const texts = ['name', 'args', 'cwd', 'exe', 'env', 'cgroup'].filter((name) => name in columns);
    let end = 0;
    for (const [name, { offset, length }] of Object.entries(columns).sort(([, a], [, b]) => a.offset - b.offset)) {
      expect(offset % 8, name).toBe(0);
      expect(offset, name).toBeGreaterThanOrEqual(end);
      if (name !== 'text') expect(length, name).toBe(texts.includes(name) ? count + 1 : count);
      end = offset + length * (widths[name] ?? 4);
    }
    expect(blockSize).toBe(Math.ceil(end / 8) * 8);
    const strings = rows.flatMap((row) => texts.map((name) => String(row[name as keyof Row])));
    expect(columns.text?.length).toBe(strings.reduce((sum, text) => sum + text.length, 0));
  });
});

describe('what could not be read is not empty', () => {
  test('a zombie: no arguments, and that is known', async () => {
    const parent = await start(['zombie']);
    const pid = startedPid(parent);
    const row = rowOf(await scan(ALL), pid);
    expect(row).toMatchObject({
      state: 'Z'.charCodeAt(0),
      ppid: parent.pid,
      threads: 1,
      args: '',
      name: 'scan_fixture',
      uid: process.getuid?.(),
    });
    expect(row.unread & (FIELD_STAT | FIELD_ARGS | FIELD_UID | FIELD_CGROUP)).toBe(0);
    expect(row.unread & FIELD_EXE).toBe(FIELD_EXE);
    expect(JSON.parse(await drive(['--stat', pid]))).toMatchObject({ result: 0, state: 'Z', exitCode: 7 << 8 });
  });

  test('a main thread that has ended: state Z, more than one thread, and what another thread shows', async () => {
    const { pid } = await start(['headless']);
    const row = rowOf(await scan(ALL), pid);
    expect(row).toMatchObject({ state: 'Z'.charCodeAt(0), threads: 2, unread: 0 });
    expect(row.args).toMatch(/scan_fixture\0headless\0$/);
    expect(row.env).toContain('PATH=');
    expect(row.exe).toMatch(/scan_fixture$/);
  });

  test('a live process without arguments, as in the middle of an exec', async (context) => {
    const { pid, ready } = await start(['noargs']);
    if (ready[0] !== 'empty') context.skip(`the arguments can not be emptied here: ${ready.join(' ')}`);
    expect(rowOf(await scan(FIELD_ARGS), pid)).toMatchObject({ args: '', unread: FIELD_ARGS });
  });

  test('files of a process of another user', async (context) => {
    requireRoot(context, 'to scan as somebody else');
    const { pid } = await start(['plain'], { env: { SECRET: '1' } });
    const row = rowOf(await scan(ALL, `--uid=${NOBODY}`), pid);
    expect(row).toMatchObject({ uid: 0, args: `${fixture}\0plain\0`, env: '', cwd: '', exe: '' });
    expect(row.unread).toBe(FIELD_ENV | FIELD_CWD | FIELD_EXE);
  });

  test.each([
    ['arguments of 1.5 MB: whole', 15, 0],
    ['arguments of 3 MB: the first 2 MiB', 30, FIELD_ARGS],
  ])('%s', async (_, count, unread) => {
    const size = 100_000;
    const { pid } = await start(['args', count, size], { before: ['sh', '-c', 'ulimit -s 65536 && exec "$@"', 'sh'] });
    const row = rowOf(await scan(FIELD_ARGS, pid), pid);
    const whole = [fixture, 'plain', ...Array<string>(count).fill('x'.repeat(size)), ''].join('\0');
    expect(row.args === whole.slice(0, 2 * MEBIBYTE)).toBe(true);
    expect(row.unread).toBe(unread);
  });
});

describe('users', () => {
  test('a process that is not dumpable, and a zombie, belong to their user and not to root', async (context) => {
    requireRoot(context, 'to become another user');
    const parent = await start(['user', NOBODY]);
    const found = await scan(FIELD_UID);
    expect(rowOf(found, parent.pid).uid).toBe(NOBODY);
    expect(rowOf(found, startedPid(parent)).uid).toBe(NOBODY);
    expect(rowOf(found, process.pid).uid).toBe(0);
  });

  /** The driver as another user, in a mount namespace whose /proc hides the processes of others. */
  const scanHidden = async (context: TestContext, hidepid: number, ...args: (string | number)[]): Promise<Scan> => {
    requireRoot(context, 'to mount /proc');
    const script = `mount -t proc -o hidepid=${hidepid} proc /proc && exec "$@"`;
    return JSON.parse(
      await drive([`--uid=${NOBODY}`, `--fields=${FIELD_STAT}`, ...args], ['unshare', '--mount', 'sh', '-c', script, 'sh']),
    );
  };
  const hidden = (pid: number) => ({ pid, startTicks: String(2n ** 64n - 1n), unread: FIELD_STAT, name: '', pgid: 0, state: 0 });

  test('hidepid=1: the others are there, but unknown', async (context) => {
    const { pid } = await start(['plain']);
    expect(rowOf(await scanHidden(context, 1), pid)).toMatchObject(hidden(pid));
  });

  test('hidepid=2: the others are not listed, and unknown when asked for; who is gone is gone', async (context) => {
    const { pid } = await start(['plain']);
    const gone = spawnSync('true').pid;
    expect(pidsOf(await scanHidden(context, 2))).not.toContain(pid);
    const asked = await scanHidden(context, 2, pid, gone);
    expect(asked.rows).toMatchObject([hidden(pid)]);
  });
});

describe('restricted', () => {
  test('to a process group, a session, or both', async () => {
    const leader = await start(['family']);
    const [same, group, session] = [0, 1, 2].map((index) => startedPid(leader, index)) as [number, number, number];
    const members = async (...args: string[]) => pidsOf(await scan(FIELD_STAT, ...args));
    expect(await members(`--pgid=${leader.pid}`)).toEqual([leader.pid, same]);
    expect(await members(`--pgid=${group}`)).toEqual([group]);
    expect(await members(`--sid=${leader.pid}`)).toEqual([leader.pid, same, group].sort((a, b) => a - b));
    expect(await members(`--sid=${session}`)).toEqual([session]);
    expect(await members(`--sid=${leader.pid}`, `--pgid=${group}`)).toEqual([group]);
    expect(await members(`--sid=${session}`, `--pgid=${group}`)).toEqual([]);
    expect(await members(`--pgid=${leader.pid}`, ...[same, group, session].map(String))).toEqual([same]);
  });

  test.each(['pgid', 'sid'])('to a %s: no file of anybody else is opened', async (restriction) => {
    const leader = await start(['family']);
    const found = await scan(FIELD_STAT | FIELD_ARGS, `--${restriction}=${leader.pid}`);
    expect(found.count).toBeGreaterThan(1);
    expect(found.opened).toBe(1 + 2 * found.count);
  });

  test('to a group whose only member is a zombie', async () => {
    const parent = await start(['zombie']);
    const pgid = statFieldsPgid(parent.pid);
    expect(pidsOf(await scan(0, `--pgid=${pgid}`))).toContain(startedPid(parent));
  });

  test('to pids, in any order, twice, dead, impossible, or thread ids', async () => {
    const [one, two] = [await start(['plain']), await start(['thread'])];
    const gone = spawnSync('true').pid;
    const asked = [two.pid, one.pid, gone, one.pid, 0, -1, 2147483647, startedPid(two)];
    expect(pidsOf(await scan(FIELD_STAT, ...asked))).toEqual([one.pid, two.pid].sort((a, b) => a - b));
    expect(readStat(startedPid(two)), 'the kernel does answer to a thread id').toBeDefined();
  });

  test('to nobody', async () => {
    const found = await scan(ALL, 0);
    expect(found).toMatchObject({ count: 0, rows: [] });
    expect(found.columns.args).toMatchObject({ length: 1 });
  });
});

describe('failures', () => {
  const EMFILE = -24;
  test.each([
    ['/proc', 3, FIELD_STAT],
    ['the first stat', 4, FIELD_STAT],
    ['the first cmdline', 5, FIELD_STAT | FIELD_ARGS],
  ])('no descriptor left for %s: an error, not an empty table', async (_, nofile, fields) => {
    expect(await failedScan(fields, `--nofile=${nofile}`)).toEqual({ errno: EMFILE, syscall: 'open', count: 0 });
  });

  test('two descriptors are all that stat needs', async () => {
    expect((await scan(FIELD_STAT, '--nofile=5')).count).toBeGreaterThan(1);
  });

  test.each(['first', 'second'])('no descriptor left in the %s of two threads', async (which) => {
    const pids = [(await start(['plain'])).pid, (await start(['plain'])).pid].sort((a, b) => a - b);
    const emfile = `--emfile=${which === 'first' ? pids[0] : pids[1]}`;
    expect(await failedScan(FIELD_STAT, '--batch=1', emfile, ...pids)).toEqual({ errno: EMFILE, syscall: 'open', count: 0 });
  });

  test('a /proc of another pid namespace, whose numbers mean other processes', async (context) => {
    const EXDEV = -18;
    const user = process.getuid?.() === 0 ? [] : ['--user', '--map-current-user'];
    const inside = ['unshare', ...user, '--pid', '--fork', '--kill-child'] as const;
    if (spawnSync(inside[0], [...inside.slice(1), 'true']).status !== 0) context.skip('no pid namespace inside this one');
    // Leak detection needs the process to find itself in /proc.
    const failed = execFileSync('env', ['ASAN_OPTIONS=detect_leaks=0', ...inside, driver], { encoding: 'utf8' });
    expect(JSON.parse(failed)).toEqual({ errno: EXDEV, syscall: 'readlink', count: 0 });
  });

  test.each([
    ['a pid that has ended', () => spawnSync('true').pid],
    ['pid 0', () => 0],
    ['a negative pid', () => -1],
  ])('the stat of %s', async (_, pid) => {
    const ESRCH = -3;
    expect(JSON.parse(await drive(['--stat', pid()]))).toMatchObject({ result: ESRCH });
  });
});

describe('processes that change while we look', () => {
  const outcome = (...args: string[]) => execFileSync(race, args, { encoding: 'utf8' }).trim();

  const witness = 'witness whole unread 0';

  test('gone before its arguments are read: they are unknown', () => {
    expect(outcome('cmdline')).toBe(`victim 0 unread ${FIELD_ARGS | FIELD_ENV}\n${witness}`);
  });

  test('gone after its arguments were read: no row when time has passed, and the strings of the next are its own', () => {
    expect(outcome('environ')).toBe(`victim whole unread ${FIELD_ENV}\n${witness}`);
    expect(outcome('--tick', 'environ')).toBe(witness);
  });

  test('replaced by another process under the same pid, and time has passed: no row with the arguments of a stranger', (context) => {
    requireRoot(context, 'to choose the pid of a new process');
    expect(outcome('--tick', '--recycle', 'cmdline')).toBe(witness);
  });

  test.each([
    ['reaped while stat was read: group and session -1', 'PID (a) R 1 -1 -1 0 -1 0 0 0 0 0 0 0 0 0 20 0 0 0 5 0 0 \n', ''],
    ['state X', 'PID (a) X 1 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 0 0 5 0 0 \n', ''],
    ['a stat we do not understand: there, but unknown', 'something else\n', `victim whole unread ${FIELD_STAT}\n`],
    [
      'the stat of another pid: there, but unknown',
      '1 (a) S 1 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 0 0 5 0 0 \n',
      `victim whole unread ${FIELD_STAT}\n`,
    ],
  ])('%s', (_, stat, expected) => {
    expect(outcome('--stat', stat)).toBe(expected + witness);
  });

  test('coming and going: what is listed is whole', async () => {
    await start(['churn']);
    const found = await scan(FIELD_STAT | FIELD_ARGS, '--repeat=100');
    for (const row of found.rows) {
      expect(row.pgid, `group of ${row.pid}`).toBeGreaterThanOrEqual(0);
      expect(String.fromCharCode(row.state)).toMatch(/[RSDTtZI]/);
      if (row.args === '') expect(row.unread === FIELD_ARGS || row.state === 'Z'.charCodeAt(0), `arguments of ${row.pid}`).toBe(true);
    }
  });

  test('two threads find what one finds', async () => {
    const fixtures = [await start(['family']), await start(['zombie']), await start(['name', '2920'])];
    const pids = fixtures.flatMap(({ pid, ready }) => [pid, ...ready.map(Number)]);
    const one = await scan(ALL, ...pids);
    const two = await scan(ALL, '--batch=1', '--repeat=5', ...pids);
    const all = await scan(ALL, '--batch=1');
    expect(two.rows).toEqual(one.rows);
    expect(all.rows.filter(({ pid }) => pids.includes(pid))).toEqual(one.rows);
    expect(pidsOf(all)).toEqual([...pidsOf(all)].sort((a, b) => a - b));
  });
});
