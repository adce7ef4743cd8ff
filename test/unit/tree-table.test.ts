import { describe, expect, it } from 'vitest';
import { FIELD_ARGS, FIELD_CWD, FIELD_ENV, FIELD_STAT, FIELD_UID, type ScanColumns } from '../../src/native.js';
import { PROCESS_FIELDS } from '../../src/tree/row.js';
import { type ProcessRow, ProcessTable } from '../../src/tree/table.js';
import type { ProcessField } from '../../src/types.js';

const BOOT = 'b007';
const FACTS = { bootId: BOOT, ticksPerSecond: 100, pageSize: 4096, scannerPid: 30 };

interface Spec {
  pid: number;
  ppid?: number;
  pgid?: number;
  sid?: number;
  state?: string;
  startTicks?: bigint;
  threads?: number;
  flags?: number;
  name?: string;
  args?: string;
  env?: string;
  cwd?: string;
  uid?: number;
  cgroup?: string;
  unread?: number;
}

/** The columns a scan would give for these processes. */
function columns(specs: Spec[]): ScanColumns {
  const text: Buffer[] = [];
  const strings = (values: string[]) => {
    const offsets = new Uint32Array(values.length + 1);
    values.forEach((value, index) => {
      offsets[index] = Buffer.concat(text).length;
      text.push(Buffer.from(value, 'latin1'));
      offsets[index + 1] = Buffer.concat(text).length;
    });
    return offsets;
  };
  const result = {
    count: specs.length,
    nowTicks: 100_000n,
    nowMs: 1_700_000_000_000,
    pid: Int32Array.from(specs, ({ pid }) => pid),
    startTicks: BigUint64Array.from(specs, ({ startTicks }) => startTicks ?? 40_000n),
    ppid: Int32Array.from(specs, ({ ppid }) => ppid ?? 1),
    pgid: Int32Array.from(specs, ({ pid, pgid }) => pgid ?? pid),
    sid: Int32Array.from(specs, ({ pid, sid }) => sid ?? pid),
    tty: Int32Array.from(specs, () => 34816),
    state: Uint8Array.from(specs, ({ state }) => (state ?? 'S').charCodeAt(0)),
    cpuTicks: Float64Array.from(specs, () => 150),
    childCpuTicks: Float64Array.from(specs, () => 7),
    rssPages: Float64Array.from(specs, () => 3),
    threads: Int32Array.from(specs, ({ threads }) => threads ?? 1),
    flags: Uint32Array.from(specs, ({ flags }) => flags ?? 0),
    name: strings(specs.map(({ name }) => name ?? '')),
    uid: Uint32Array.from(specs, ({ uid }) => uid ?? 1000),
    args: strings(specs.map(({ args }) => args ?? '')),
    cwd: strings(specs.map(({ cwd }) => cwd ?? '')),
    env: strings(specs.map(({ env }) => env ?? '')),
    cgroup: strings(specs.map(({ cgroup }) => cgroup ?? '')),
    unread: Uint8Array.from(specs, ({ unread }) => unread ?? 0),
  };
  return { ...result, text: new Uint8Array(Buffer.concat(text)) };
}

const table = (specs: Spec[], fields: ProcessField[] = PROCESS_FIELDS) => ProcessTable.fromColumns(columns(specs), fields, FACTS);
const pids = (rows: Iterable<{ pid: number }>) => Array.from(rows, ({ pid }) => pid);

describe('a row', () => {
  it('shows every field in its unit', () => {
    const row = table([
      {
        pid: 7,
        ppid: 3,
        pgid: 6,
        sid: 5,
        name: 'a) b\n(',
        args: 'rg\0\0@CODE:\0',
        env: 'PATH=/bin\0EMPTY=\0A=b=c\0PATH=/late\0novalue\0=x\0__proto__=p\0',
        cwd: '/srv',
        cgroup: '0::/user.slice\n',
      },
    ]).get(7);
    expect(row).toEqual({
      pid: 7,
      startTicks: 40_000n,
      bootId: BOOT,
      name: 'a) b\n(',
      ppid: 3,
      pgid: 6,
      sid: 5,
      state: 'S',
      tty: 34816,
      startTime: new Date(1_700_000_000_000 - 600_000),
      ageSeconds: 600,
      cpuMs: 1500,
      childCpuMs: 70,
      rssBytes: 12_288,
      threads: 1,
      args: ['rg', '', '@CODE:'],
      uid: 1000,
      cwd: '/srv',
      env: JSON.parse('{ "PATH": "/bin", "EMPTY": "", "A": "b=c", "__proto__": "p" }'),
      cgroup: '0::/user.slice',
    });
  });

  it('shows only what was asked for', () => {
    expect(table([{ pid: 7, name: 'rg' }], ['name']).get(7)).toEqual({ pid: 7, startTicks: 40_000n, bootId: BOOT, name: 'rg' });
  });

  it('leaves out fields that were not scanned', () => {
    const { args: _, ...rest } = columns([{ pid: 7, name: 'rg' }]);
    expect(ProcessTable.fromColumns(rest, ['name', 'args'], FACTS).get(7)).not.toHaveProperty('args');
  });

  it('names what could not be read instead of showing it empty', () => {
    const row = table([{ pid: 7, name: 'su', unread: FIELD_ENV | FIELD_CWD }], ['name', 'cwd', 'env', 'args']).get(7);
    expect(row).toEqual({ pid: 7, startTicks: 40_000n, bootId: BOOT, name: 'su', args: [], unread: ['cwd', 'env'] });
  });

  it('that is hidden shows its pid and nothing that would look like a fact', () => {
    const hidden = { pid: 9, ppid: 0, pgid: 0, sid: 0, startTicks: 0xffff_ffff_ffff_ffffn, unread: FIELD_STAT | FIELD_ARGS | FIELD_UID };
    const view = table([hidden], ['name', 'ppid', 'startTime', 'args']);
    expect(view.get(9)).toEqual({
      pid: 9,
      startTicks: 0xffff_ffff_ffff_ffffn,
      bootId: BOOT,
      unread: ['name', 'ppid', 'startTime', 'args'],
    });
    expect([view.children(0), view.group(0), view.session(0)]).toEqual([[], [], []]);
  });

  it('says that it is a kernel thread', () => {
    const view = table([{ pid: 2, flags: 0x00200040 }, { pid: 3 }], ['name']);
    expect(view.get(2)?.kernelThread).toBe(true);
    expect(view.get(3)).not.toHaveProperty('kernelThread');
    expect([view.isKernelThread(2), view.isKernelThread(3), view.isKernelThread(4)]).toEqual([true, false, false]);
  });

  it('is decoded once', () => {
    const view = table([{ pid: 7 }]);
    expect(view.get(7)).toBe(view.get(7));
    expect([...view][0]).toBe(view.get(7));
  });

  it('decodes UTF-8, and replaces what is none', () => {
    expect(table([{ pid: 7, name: 'x\xc3\xa9\xff' }]).get(7)?.name).toBe('xé\ufffd');
  });

  describe('of a table with much text', () => {
    // Every length modulo the stretch that is converted at once, some longer than it; every third is not ASCII.
    const argument = (index: number) => (index % 3 === 0 ? 'é' : 'e').repeat((index * 7919) % 40_000);
    const specs = Array.from({ length: 40 }, (_, index) => ({
      pid: index + 2,
      name: `process ${index}`,
      args: Buffer.from(`${argument(index)}\0${index}\0`).toString('latin1'),
    }));
    const expected = (pid: number) => ({ pid, name: `process ${pid - 2}`, args: [argument(pid - 2), String(pid - 2)] });

    it.each([
      ['in ascending order', pids(specs)],
      ['in descending order', pids(specs).reverse()],
      ['here and there', pids(specs).map((_, index) => 2 + ((index * 17) % specs.length))],
    ])('decodes all of it, asked for %s', (_, order) => {
      const view = table(specs);
      for (const pid of order) expect(view.get(pid)).toMatchObject(expected(pid));
    });
  });

  it.each([
    ['', []],
    ['\0', ['']],
    ['a\0', ['a']],
    ['a', ['a']], // a program may overwrite its command line
    ['a\0\0', ['a', '']],
  ])('splits the command line %j', (text, args) => {
    expect(table([{ pid: 7, args: text }]).get(7)?.args).toEqual(args);
  });

  it.each([
    [100_000n, 0],
    [99_999n, 0.01],
    [0n, 1000],
    [100_005n, 0], // started while the scan ran
  ])('started at tick %d of 100000 is %d s old', (startTicks, age) => {
    expect(table([{ pid: 7, startTicks }]).get(7)?.ageSeconds).toBe(age);
  });
});

describe('links', () => {
  const view = table(
    [
      { pid: 1, ppid: 0 },
      { pid: 10, ppid: 1 },
      { pid: 11, ppid: 10, pgid: 10, sid: 10 },
      { pid: 12, ppid: 11, pgid: 12, sid: 10, state: 'Z' },
      { pid: 13, ppid: 11, pgid: 12, sid: 10 },
      { pid: 14, ppid: 10, pgid: 14, sid: 14, state: 'X' },
      { pid: 20, ppid: 1, state: 'Z', threads: 2 },
      { pid: 30, ppid: 13, pgid: 12, sid: 10, state: 'T' },
    ],
    ['name'], // links do not depend on what rows show
  );

  it('children', () => expect(pids(view.children(10))).toEqual([11, 14]));
  it('descendants, parents first', () => expect(pids(view.descendants(10))).toEqual([11, 14, 12, 13, 30]));
  it('ancestors, nearest first', () => expect(pids(view.ancestors(30))).toEqual([13, 11, 10, 1]));
  it('group', () => expect(pids(view.group(12))).toEqual([12, 13, 30]));
  it('session', () => expect(pids(view.session(10))).toEqual([10, 11, 12, 13, 30]));
  it('of nobody', () => expect([view.children(99), view.descendants(99), view.ancestors(99), view.group(99)]).toEqual([[], [], [], []]));
  it('get of nobody', () => expect([view.get(99), view.get(0), view.get(Number.NaN)]).toEqual([undefined, undefined, undefined]));

  it('a zombie whose other threads run on is no zombie', () => {
    expect(pids(view.zombies())).toEqual([12]);
    expect(Object.fromEntries([12, 14, 20, 30, 99].map((pid) => [pid, view.isLive(pid)]))).toEqual({
      12: false,
      14: false,
      20: true,
      30: true,
      99: false,
    });
  });

  it('find wants the very process', () => {
    expect(view.find({ pid: 11, startTicks: 40_000n })?.pid).toBe(11);
    expect(view.find({ pid: 11, startTicks: 40_001n })).toBeUndefined();
  });

  it('that close a circle end', () => {
    const circle = table([
      { pid: 5, ppid: 6 },
      { pid: 6, ppid: 5 },
      { pid: 7, ppid: 7 },
    ]);
    expect(pids(circle.descendants(5))).toEqual([6]);
    expect(pids(circle.ancestors(5))).toEqual([6]);
    expect(pids(circle.descendants(7))).toEqual([]);
    expect(pids(circle.ancestors(7))).toEqual([]);
  });
});

describe('plain rows', () => {
  const row = (pid: number, more: Partial<ProcessRow> = {}): ProcessRow => ({ pid, startTicks: 70_000n, bootId: BOOT, ...more });
  const moment = { nowTicks: 100_000n, nowMs: 1_700_000_000_000 };

  it('are sorted, linked and aged', () => {
    const view = ProcessTable.from([row(9, { ppid: 3, state: 'Z' }), row(3, { ppid: 1, sid: 3, pgid: 3, kernelThread: true })], moment);
    expect(pids(view)).toEqual([3, 9]);
    expect(pids(view.children(3))).toEqual([9]);
    expect(pids(view.zombies())).toEqual([9]);
    expect(view.get(9)).toMatchObject({ ageSeconds: 300, startTime: new Date(1_700_000_000_000 - 300_000) });
    expect(view.isKernelThread(3)).toBe(true);
    expect(view.bootId).toBe(BOOT);
  });

  it('keep an age that was set', () => {
    expect(ProcessTable.from([row(9, { ageSeconds: 301 })], moment).get(9)?.ageSeconds).toBe(301);
  });

  it('whose parent is not there', () => {
    const rows = [row(1, { ppid: 0 }), row(2, { ppid: 1 }), row(3, { ppid: 7 }), row(4, { ppid: 3 }), row(5)];
    expect(pids(ProcessTable.from(rows, moment).parentless())).toEqual([3]);
  });

  it('without links belong to nobody', () => {
    const view = ProcessTable.from([row(9)], moment);
    expect([view.children(0), view.group(0), view.session(0), view.ancestors(9)]).toEqual([[], [], [], []]);
    expect(view.isLive(9)).toBe(true);
  });

  it('with a pid twice are refused', () => {
    expect(() => ProcessTable.from([row(9), row(9)], moment)).toThrow(/rows: expected each pid once, received "pid 9 twice"/);
  });
});

describe('a saved table', () => {
  const original = table([
    { pid: 1, ppid: 0, name: 'init' },
    { pid: 7, name: 'rg', args: 'rg\0x\0', state: 'Z', unread: FIELD_ENV, startTicks: 0xffff_ffff_0000n },
    { pid: 8, flags: 0x00200000 },
  ]);

  it('comes back the same', () => {
    const restored = ProcessTable.fromJSON(JSON.parse(JSON.stringify(original)));
    expect([...restored]).toEqual([...original]);
    expect(restored).toMatchObject({ nowTicks: 100_000n, nowMs: 1_700_000_000_000, bootId: BOOT, scannerPid: 30, ticksPerSecond: 100 });
    expect(pids(restored.zombies())).toEqual([7]);
    expect(JSON.stringify(restored)).toBe(JSON.stringify(original));
  });

  it('keeps an age that was set by hand', () => {
    const saved = ProcessTable.from([{ pid: 5, startTicks: 0n, bootId: BOOT, ageSeconds: 1 }], { nowTicks: 1000n, nowMs: 0 });
    expect(ProcessTable.fromJSON(JSON.parse(JSON.stringify(saved))).get(5)?.ageSeconds).toBe(1);
  });

  const good = JSON.parse(JSON.stringify(original)) as Record<string, unknown>;
  it.each<[string, unknown, RegExp]>([
    ['null', null, /^snapshot: expected the object/],
    ['an array', [], /^snapshot\.corralSnapshot: expected version 1, received undefined$/],
    ['another version', { ...good, corralSnapshot: 2 }, /corralSnapshot: expected version 1, received number 2/],
    ['ticks as a number', { ...good, nowTicks: 5 }, /nowTicks: expected clock ticks as a decimal string/],
    ['no clock', { ...good, nowMs: undefined }, /nowMs/],
    ['no boot', { ...good, bootId: 1 }, /bootId/],
    ['no rate', { ...good, ticksPerSecond: 0 }, /ticksPerSecond/],
    ['a bad scanner', { ...good, scannerPid: 'x' }, /scannerPid: expected a process id, received "x"/],
    ['no processes', { ...good, processes: {} }, /processes: expected an array/],
    ['a hole', { ...good, processes: [null] }, /processes\[0\]: expected an object/],
    ['a bad pid', { ...good, processes: [{ pid: 0, startTicks: '1' }] }, /processes\[0\]\.pid/],
    ['a bad start', { ...good, processes: [{ pid: 4, startTicks: '-1' }] }, /processes\[0\]\.startTicks/],
  ])('%s is refused', (_, saved, message) => {
    expect(() => ProcessTable.fromJSON(saved)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringMatching(message) }),
    );
  });
});

describe('named', () => {
  const specs = [
    { pid: 3, name: 'rg' },
    { pid: 4, name: 'rgx' },
    { pid: 5, name: 'bash' },
    { pid: 6, name: '' },
    { pid: 7, name: 'r' },
    { pid: 8, name: 'rg' },
  ];

  it.each([
    [['rg'], [3, 8]],
    [
      ['bash', 'rg'],
      [3, 5, 8],
    ],
    [['g', 'RG', 'ba'], []],
    [[], []],
  ])('%j finds %j, whole names only', (names, pids) => {
    const scanned = table(specs);
    expect(scanned.named(new Set(names)).map((row) => row.pid)).toEqual(pids);
    const plain = ProcessTable.from([...scanned], { nowTicks: scanned.nowTicks, nowMs: scanned.nowMs });
    expect(plain.named(new Set(names)).map((row) => row.pid)).toEqual(pids);
  });
});
