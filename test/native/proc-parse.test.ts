/**
 * The parser of /proc/PID/stat: recorded lines, lines made to mislead it, and every way to cut or damage one.
 */
import { execFileSync } from 'node:child_process';
import { beforeAll, describe, expect, test } from 'vitest';
import { compile } from './cc/build.js';

interface StatRow {
  pid: number;
  name: string;
  state: string;
  ppid: number;
  pgid: number;
  sid: number;
  tty: number;
  flags: number;
  cpuTicks: number;
  childCpuTicks: number;
  threads: number;
  startTicks: string;
  rssPages: number;
  exitCode: number;
}

let driver: string;
beforeAll(async () => {
  driver = await compile({ source: 'parse_driver.cc', sys: ['proc_parse.cc'] });
}, 120_000);

function feed(args: string[], inputs: string[]): string[] {
  const input = inputs.map((text) => `${Buffer.from(text, 'latin1').toString('hex')}\n`).join('');
  const lines = execFileSync(driver, args, { input, encoding: 'utf8', maxBuffer: 64 << 20 }).split('\n');
  expect(lines.pop()).toBe('');
  expect(lines).toHaveLength(inputs.length);
  return lines;
}

const parseAll = (inputs: string[]): (StatRow | null)[] => feed([], inputs).map((line) => JSON.parse(line));
const parse = (input: string) => parseAll([input])[0];

/** Recorded on Linux 6.18. */
const PLAIN =
  '1 (process_api) S 0 0 0 0 -1 4194560 50231 356216 0 137 287 1694 678 411 20 0 13 0 25 54956032 5394 18446744073709551615 1 1 0 0 0 0 0 ' +
  '4096 1256 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n';
const KERNEL_THREAD =
  '10 (kworker/0:0H-kblockd) I 2 0 0 0 -1 69238880 0 0 0 0 0 11 0 0 0 -20 1 0 25 0 0 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 1 0 0 ' +
  '17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n';
const NASTY_NAME =
  '24410 () ( )\n) S 24408 24404 3184 0 -1 4194368 20 0 0 0 0 0 0 0 20 0 1 0 302804 2400256 103 18446744073709551615 94420011524096 ' +
  '94420011527225 140735531051232 0 0 0 0 6 0 1 0 0 17 1 0 0 0 0 0 94420011535824 94420011536736 94420875624448 140735531059940 ' +
  '140735531059964 140735531059964 140735531061234 0\n';
const ZOMBIE =
  '24418 (fix) Z 24416 24404 3184 0 -1 4227148 18 0 0 0 0 0 0 0 20 0 1 0 302845 0 0 18446744073709551615 0 0 0 0 0 0 0 6 0 1 0 0 17 1 0 0 0 ' +
  '0 0 0 0 0 0 0 0 0 1792\n';
/** The main thread has ended, another one runs. */
const HEADLESS =
  '24424 (fix) Z 24404 24404 3184 0 -1 4227084 120 0 0 0 0 0 0 0 20 0 2 0 302885 0 0 18446744073709551615 0 0 0 0 0 0 0 6 0 0 0 0 17 0 0 0 ' +
  '0 0 0 0 0 0 0 0 0 0 256\n';

/** A line with the given fields (numbers of proc_pid_stat(5)) instead of the plain ones. */
function line(fields: Record<number, string | number>, name = 'rg'): string {
  const all = [0, 4711, `(${name})`, 'S', 1, 4711, 4700, 34816, -1, 4194304, 9, 0, 0, 0, 11, 22, 33, 44, 20, 0, 3, 0, 123456, 1000, 77];
  while (all.length <= 52) all.push(0);
  for (const [field, value] of Object.entries(fields)) all[Number(field)] = value;
  return `${all.slice(1).join(' ')}\n`;
}

describe('recorded lines', () => {
  test('a process', () => {
    expect(parse(PLAIN)).toEqual({
      pid: 1,
      name: 'process_api',
      state: 'S',
      ppid: 0,
      pgid: 0,
      sid: 0,
      tty: 0,
      flags: 4194560,
      cpuTicks: 287 + 1694,
      childCpuTicks: 678 + 411,
      threads: 13,
      startTicks: '25',
      rssPages: 5394,
      exitCode: 0,
    });
  });

  test('a kernel thread, its name longer than 15', () => {
    expect(parse(KERNEL_THREAD)).toMatchObject({ pid: 10, name: 'kworker/0:0H-kblockd', state: 'I', ppid: 2, cpuTicks: 11 });
    expect((parse(KERNEL_THREAD)?.flags ?? 0) & 0x00200000).not.toBe(0);
  });

  test('a name with parentheses, a space and a newline', () => {
    expect(parse(NASTY_NAME)).toMatchObject({
      pid: 24410,
      name: ') ( )\n',
      state: 'S',
      ppid: 24408,
      pgid: 24404,
      sid: 3184,
      startTicks: '302804',
    });
  });

  test('a zombie and its exit code', () => {
    expect(parse(ZOMBIE)).toMatchObject({ state: 'Z', threads: 1, exitCode: 7 << 8, rssPages: 0 });
  });

  test('a main thread that ended before the others: not the end of the process, so no exit code of it', () => {
    expect(parse(HEADLESS)).toMatchObject({ state: 'Z', threads: 2, exitCode: 0 });
  });
});

describe('every field', () => {
  test.each<[string, number, string | number, keyof StatRow, unknown]>([
    ['pid, largest', 1, 2147483647, 'pid', 2147483647],
    ['state', 3, 't', 'state', 't'],
    ['ppid', 4, 4194304, 'ppid', 4194304],
    ['pgid while being reaped', 5, -1, 'pgid', -1],
    ['sid', 6, 4194303, 'sid', 4194303],
    ['tty of a large minor number', 7, -2147448832, 'tty', -2147448832],
    ['tty, smallest', 7, -2147483648, 'tty', -2147483648],
    ['flags, all set', 9, 4294967295, 'flags', 4294967295],
    ['utime', 14, 100, 'cpuTicks', 122],
    ['stime', 15, 100, 'cpuTicks', 111],
    ['cutime', 16, 100, 'childCpuTicks', 144],
    ['cstime', 17, 100, 'childCpuTicks', 133],
    ['cstime gone negative', 17, -3, 'childCpuTicks', 30],
    ['utime, largest', 14, '18446744073709551615', 'cpuTicks', 2 ** 64],
    ['threads', 20, 32768, 'threads', 32768],
    ['startTicks beyond 2^53', 22, '9007199254740993', 'startTicks', '9007199254740993'],
    ['startTicks, largest', 22, '18446744073709551615', 'startTicks', '18446744073709551615'],
    ['rss', 24, 268435456, 'rssPages', 268435456],
    ['priority of a real-time process', 18, -100, 'pid', 4711],
    ['exit code of a live process', 52, 9, 'exitCode', 0],
  ])('%s', (_, field, value, column, expected) => {
    expect(parse(line({ [field]: value }))?.[column]).toBe(expected);
  });

  test('exit code of a zombie killed by a signal', () => {
    expect(parse(line({ 3: 'Z', 20: 1, 52: 9 }))?.exitCode).toBe(9);
  });

  test('a zombie of a kernel that does not print the exit code', () => {
    const old = line({ 3: 'Z', 20: 1, 52: 9 }).split(' ').slice(0, 44).join(' ');
    expect(parse(`${old}\n`)).toMatchObject({ state: 'Z', exitCode: 0 });
  });
});

describe('names', () => {
  const longest = 'k'.repeat(64);
  test.each([
    ['empty', ''],
    ['of spaces', '   '],
    ['that looks like the rest of a line', ') R 1 1 1 0 -1 0'],
    ['of closing parentheses', '))))'],
    ['of opening parentheses', '(((('],
    ['of newlines', '\n\n'],
    ['with a NUL', 'a\0b'],
    ['of bytes that are no UTF-8', '\xff\xfe\x80'],
    ['of 64 bytes', longest],
  ])('%s', (_, name) => {
    expect(parse(line({}, name))).toMatchObject({ name, pid: 4711, state: 'S', ppid: 1, startTicks: '123456' });
  });

  test('of 65 bytes, more than any kernel prints: cut, not overrun', () => {
    expect(parse(line({}, `${longest}!`))).toMatchObject({ name: longest, state: 'S' });
  });
});

describe('refused', () => {
  test.each([
    ['nothing', ''],
    ['one NUL', '\0'],
    ['only a name', '(rg)'],
    ['no pid', ' (rg) S 1'],
    ['no closing parenthesis', '4711 (rg S 1 4711 4700'],
    ['no opening parenthesis', '4711 rg) S 1 4711 4700'],
    ['parentheses the wrong way round', '4711 )rg( S 1 4711 4700'],
    ['pid 0', line({ 1: 0 })],
    ['a negative pid', line({ 1: -4711 })],
    ['a pid beyond int32', line({ 1: '2147483648' })],
    ['a pid with a letter', line({ 1: '47x1' })],
    ['no space after the pid', line({}).replace('4711 (', '4711(')],
    ['a state that is no letter', line({ 3: '0' })],
    ['a state of two letters', line({ 3: 'SS' })],
    ['a word for a number', line({ 6: 'nan' })],
    ['an empty field', line({ 8: '' })],
    ['a lone minus', line({ 7: '-' })],
    ['a minus before an unsigned number', line({ 9: -1 })],
    ['two spaces', line({}).replace(' S ', '  S ')],
    ['a tab for a space', line({}).replace(' S ', '\tS ')],
    ['ppid beyond int32', line({ 4: '2147483648' })],
    ['tty below int32', line({ 7: '-2147483649' })],
    ['flags beyond uint32', line({ 9: '4294967296' })],
    ['startTicks beyond uint64', line({ 22: '18446744073709551616' })],
    ['startTicks of 40 digits', line({ 22: '1'.repeat(40) })],
    ['a negative startTicks', line({ 22: -1 })],
    ['a NUL in a field', line({ 22: '12\x0034' })],
  ])('%s', (_, input) => {
    expect(parse(input)).toBeNull();
  });
});

test('a line cut anywhere is refused until all fields are whole, and then means the same', () => {
  for (const whole of [PLAIN, NASTY_NAME, KERNEL_THREAD]) {
    const expected = parse(whole);
    const close = whole.lastIndexOf(')');
    // Field 24 is the 22nd after the name; the separator behind it shows that it is whole.
    const fields = whole
      .slice(close + 1)
      .split(' ')
      .slice(0, 23);
    const needed = close + 1 + fields.join(' ').length + 1;
    const rows = parseAll(Array.from({ length: whole.length + 1 }, (_, size) => whole.slice(0, size)));
    rows.forEach((row, size) => {
      expect(row, `${size} of ${whole.length} bytes`).toEqual(size < needed ? null : expected);
    });
  }
});

test('damaged lines: refused or understood, never read beyond their end', () => {
  // A fixed sequence (xorshift32), so that a failure can be repeated.
  let state = 0x2545f491;
  const random = (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const seeds = [PLAIN, KERNEL_THREAD, NASTY_NAME, ZOMBIE, HEADLESS];
  const damaged = Array.from({ length: 4000 }, () => {
    const bytes = Buffer.from(seeds[random(seeds.length)] ?? '', 'latin1');
    for (let changes = 1 + random(4); changes > 0; changes--) bytes[random(bytes.length)] = '() \n-09Z\0\xff'.charCodeAt(random(10));
    return bytes.subarray(0, random(4) === 0 ? random(bytes.length) : bytes.length).toString('latin1');
  });
  const rows = parseAll(damaged);
  // Both must occur, or the damage was not of the kind that says something.
  expect(rows.filter((row) => row === null).length).toBeGreaterThan(100);
  const understood = rows.filter((row) => row !== null);
  expect(understood.length).toBeGreaterThan(100);
  for (const row of understood) expect(row).toMatchObject({ pid: expect.any(Number), state: expect.stringMatching(/^[A-Za-z]$/) });
});

test('a pid is what a directory of /proc is called, nothing else', () => {
  const names = ['1', '42', '4194304', '2147483647', '2147483648', '99999999999', '0', '01', '-1', '+1', ' 1', '1 ', '1a', 'self', '', '.'];
  const pids = [1, 42, 4194304, 2147483647, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  expect(feed(['--pid'], names).map(Number)).toEqual(pids);
});
