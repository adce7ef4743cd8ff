/**
 * The watch thread without Node: what it takes from a keeper, and whether its threads disturb each other. A program that is Node can not
 * be built with ThreadSanitizer; this one is, all of it, except what runs in a child between clone and exec.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { build } from '../fixtures/c/build.js';
import { compile, hasSanitizers } from './cc/build.js';

const EPIPE = 32;
const STAGE_KEEPER = 14;

const NATIVE = ['keeper_events.cc', 'environment.cc', 'watch.cc', 'watchdog.cc'].map((file) => `../${file}`);
const SYS = [
  'kernel.cc',
  'proc_parse.cc',
  'proc_scan.cc',
  'process_ref.cc',
  'reap.cc',
  'spawn.cc',
  'thread.cc',
  'cgroup.cc',
  'cgroup_parse.cc',
];
/** Those the addon was built with. */
const nodeDirectory = /"nodedir": "(.+)"/.exec(readFileSync('build/config.gypi', 'utf8'))?.[1] ?? '';
const headers = path.join(nodeDirectory, 'include/node');
const addonApi = path.resolve('node_modules/node-addon-api');

type Sanitizer = 'memory' | 'threads';
const compileDriver = (sanitize: Sanitizer) =>
  compile({
    source: 'watch_driver.cc',
    sys: [...NATIVE, ...SYS],
    plain: ['child_setup.c', 'cgroup_leaf.c'],
    sanitize,
    flags: [
      ...['-isystem', addonApi, '-isystem', headers, '-DNAPI_VERSION=8', '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS'],
      // The wrappers of Node-API mention more than they call, and their inlined errors look uninitialized to gcc.
      ...['-Wno-maybe-uninitialized', '-no-pie', '-Wl,--unresolved-symbols=ignore-all'],
    ],
  });

const built = build('keeper');
const drivers = {} as Record<Sanitizer, string>;
let fake: string;
beforeAll(async () => {
  drivers.memory = await compileDriver('memory');
  drivers.threads = await compileDriver('threads');
  fake = await compile({ source: 'fake_keeper.c', sanitize: false });
}, 300_000);
describe('what the owner takes from a keeper', () => {
  /** Events of a tree whose keeper says these words, and how many descriptors it left. */
  async function hear(...words: string[]): Promise<string[]> {
    const { stdout } = await promisify(execFile)(drivers.memory, [fake, 'say', ...words]);
    return stdout.trim().split('\n');
  }

  const header = (type: number, size: number, version: number = VERSION) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt8(version, 0);
    bytes.writeUInt8(type, 1);
    bytes.writeUInt32LE(size, 4);
    return bytes;
  };
  const packet = (type: number, body: Buffer) => Buffer.concat([header(type, 8 + body.length), body]);
  const pid = (number: number) => {
    const bytes = Buffer.alloc(24);
    bytes.writeInt32LE(number, 0);
    return bytes;
  };
  const members = (type: number, names: string[], count = names.length) => {
    const body = Buffer.alloc(8 + 32 * names.length);
    body.writeUInt32LE(count, 0);
    for (const [index, name] of names.entries()) {
      body.writeInt32LE(100 + index, 8 + 32 * index);
      body.write(name, 24 + 32 * index, 'latin1');
    }
    return packet(type, body);
  };
  const VERSION = Number(/CORRAL_PROTOCOL_VERSION (\d+)/.exec(readFileSync('native/keeper/protocol.h', 'utf8'))?.[1]);
  const started = packet(65, pid(4711));
  const failed = packet(66, Buffer.from([13, 0, 0, 0, 2, 0, 0, 0]));
  const exited = packet(67, Buffer.alloc(32));
  const empty = packet(70, Buffer.alloc(16));
  const hex = (bytes: Buffer) => bytes.toString('hex') || '-';
  const NOTHING_LEFT = '0 descriptors left';

  it('a whole life', async () => {
    const life = [started, exited, members(68, ['a', 'b']), members(69, ['c']), members(69, []), empty];
    expect(await hear(...life.map(hex), 'exit')).toEqual([
      'started 4711',
      'exited',
      'terminated 100:a 101:b',
      'survivors 100:c',
      'survivors',
      'empty',
      NOTHING_LEFT,
    ]);
  });

  it('a failed start', async () => {
    expect(await hear(hex(failed), 'exit')).toEqual(['failed 13 2', NOTHING_LEFT]);
  });

  it('a full list of members', async () => {
    const names = Array.from({ length: 120 }, (_, index) => `n${index}`);
    const [, list] = await hear(hex(started), hex(members(68, names)), hex(empty), 'exit');
    expect(list?.split(' ')).toHaveLength(121);
  });

  it('one descriptor with STARTED, and closes it in the end', async () => {
    expect(await hear(`1:${hex(started)}`, hex(empty), 'exit')).toEqual(['started 4711', 'empty', NOTHING_LEFT]);
  });

  const refused: [string, string][] = [
    ['of no length', '-'],
    ['too short for a header', '0143'],
    ['of another version', hex(Buffer.concat([header(67, 40, VERSION + 1), Buffer.alloc(32)]))],
    ['of an unknown type', hex(header(99, 8))],
    ['of a type that only an owner sends', hex(header(3, 8))],
    ['with a size that is not its own', hex(Buffer.concat([header(67, 41), Buffer.alloc(32)]))],
    ['longer than its type', hex(packet(67, Buffer.alloc(33)))],
    ['longer than any', hex(packet(68, Buffer.alloc(6000)))],
    ['cut short', hex(packet(67, Buffer.alloc(31)))],
    ['with fewer members than it says', hex(members(68, ['a'], 2))],
    ['with more members than it says', hex(members(68, ['a', 'b'], 1))],
    ['with more members than there may be', hex(members(68, [], 0xffff_ffff))],
    ['with a name that does not end', hex(members(68, ['0123456789abcdef']))],
    ['with a descriptor that has no business there', `1:${hex(exited)}`],
    ['with many descriptors', `5:${hex(exited)}`],
    ['that answers again', hex(started)],
    ['that fails after the start', hex(failed)],
  ];

  it.each(refused)('a packet %s: the keeper counts as lost, nothing is kept', async (_, word) => {
    expect(await hear(hex(started), word, hex(exited), hex(empty))).toEqual(['started 4711', 'lost', NOTHING_LEFT]);
  });

  it.each([
    ['something else first', hex(exited)],
    ['nothing at all', 'exit'],
    ['a STARTED without a process', hex(packet(65, pid(0)))],
    ['a STARTED with a negative pid', hex(packet(65, pid(-1)))],
    ['a STARTED with two descriptors', `2:${hex(started)}`],
    ['a STARTED of another version', hex(Buffer.concat([header(65, 32, VERSION + 1), pid(4711)]))],
  ])('%s: the start has failed, nothing is kept', async (_, word) => {
    expect(await hear(word, hex(started))).toEqual([`failed ${STAGE_KEEPER} ${EPIPE}`, NOTHING_LEFT]);
  });

  it('nothing after the end', async () => {
    expect(await hear(hex(started), hex(empty), hex(exited), hex(empty))).toEqual(['started 4711', 'empty', NOTHING_LEFT]);
  });
});

describe.each([
  ['ThreadSanitizer', 'threads'],
  ['AddressSanitizer', 'memory'],
] as const)('under %s', (_, sanitize) => {
  it('environments that begin, spawn, stop, scan and end at any moment', async (context) => {
    if (!hasSanitizers) context.skip('this C library has no sanitizers');
    // -R: with more random bits in its addresses than the runtime knows of, the program would not start.
    const words = [built.program('keeper'), 'stress', '1', '15', '4'];
    const { stdout } = await promisify(execFile)('setarch', ['-R', drivers[sanitize], ...words], {
      env: { ...process.env, TSAN_OPTIONS: 'halt_on_error=1 second_deadlock_stack=1' },
    });
    const [spawned, ended, abandoned, signals] = [...stdout.matchAll(/\d+/g)].map(Number);
    expect(spawned).toBeGreaterThanOrEqual(60);
    expect((ended ?? 0) + (abandoned ?? 0)).toBe(spawned);
    expect(ended).toBeGreaterThan(0);
    expect(abandoned).toBeGreaterThan(0);
    expect(signals).toBeGreaterThan(0);
  }, 120_000);
});
