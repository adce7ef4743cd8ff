/** Where our own cgroup is: the layouts of machines and containers, mounts made to mislead, and every way to cut the two files. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { compile } from './cc/build.js';

let driver: string;
beforeAll(async () => {
  driver = await compile({ source: 'cgroup_driver.cc', sys: ['cgroup_parse.cc'] });
}, 120_000);

const FOUND = 0;
const NO_HIERARCHY = 1;
const OUTSIDE = 2;

const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex');

function feed(cases: string[], ...args: string[]): string[] {
  const lines = execFileSync(driver, args, { input: cases.map((line) => `${line}\n`).join(''), encoding: 'utf8', maxBuffer: 64 << 20 });
  return lines.trimEnd().split('\n');
}
const findAll = (cases: [string, string][]) =>
  feed(cases.map((texts) => texts.map(hex).join(' '))).map((line) => JSON.parse(line) as object);
const find = (mountinfo: string, cgroup: string) => findAll([[mountinfo, cgroup]])[0];

const V2 = '31 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n';
const PLAIN = '23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n24 23 0:22 / /proc rw - proc proc rw\n';
const HYBRID = [
  '31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
  '37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer',
  '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
  '',
].join('\n');
const mount = (root: string, point: string, options = 'rw', type = 'cgroup2') =>
  `41 31 0:38 ${root} ${point} ${options} - ${type} cgroup2 rw\n`;

describe('layouts', () => {
  it.each([
    ['pure v2', PLAIN + V2, '0::/user.slice/a.scope\n', '/sys/fs/cgroup/user.slice/a.scope', false],
    ['its root', PLAIN + V2, '0::/\n', '/sys/fs/cgroup', true],
    ['hybrid', PLAIN + HYBRID, '7:freezer:/f\n1:name=systemd:/x\n0::/user.slice\n', '/sys/fs/cgroup/unified/user.slice', false],
    ['a container that shows its own cgroup only', mount('/docker/abc', '/sys/fs/cgroup'), '0::/docker/abc\n', '/sys/fs/cgroup', true],
    ['and what is below it', mount('/docker/abc', '/cg'), '0::/docker/abc/job\n', '/cg/job', false],
    ['a cgroup namespace', mount('/', '/sys/fs/cgroup'), '0::/\n', '/sys/fs/cgroup', true],
    ['a mount of the level above the namespace', mount('/..', '/cg'), '0::/../sibling/x\n', '/cg/sibling/x', false],
    ['a mount point with a space and a backslash', mount('/', '/mnt/a\\040b\\134c'), '0::/x\n', '/mnt/a b\\c/x', false],
    ['the one that may be written', mount('/', '/ro', 'ro') + mount('/', '/rw') + mount('/', '/too', 'ro'), '0::/x\n', '/rw/x', false],
    ['the only one, though it may not be written', mount('/', '/ro', 'ro,relatime'), '0::/x\n', '/ro/x', false],
    ['the one on top', mount('/', '/a') + mount('/', '/b'), '0::/x\n', '/b/x', false],
    ['the one that shows us', mount('/', '/a') + mount('/other', '/b'), '0::/x\n', '/a/x', false],
  ])('%s', (_, mountinfo, cgroup, directory, isTop) => {
    expect(find(mountinfo, cgroup)).toEqual({ failure: FOUND, directory, isTop });
  });

  it.each([
    ['v1 only', `${PLAIN}${mount('/', '/sys/fs/cgroup/freezer', 'rw', 'cgroup')}`, '7:freezer:/f\n', NO_HIERARCHY],
    ['v2 that is not mounted', PLAIN, '0::/x\n', NO_HIERARCHY],
    ['a kernel without cgroups', PLAIN, '', NO_HIERARCHY],
    ['a path that is none', V2, '0::x\n', NO_HIERARCHY],
    ['a mount of another part', mount('/docker/abc', '/cg'), '0::/docker/abcd\n', OUTSIDE],
    ['a cgroup outside the namespace', mount('/', '/cg'), '0::/../other\n', OUTSIDE],
    ['the level above it', mount('/', '/cg'), '0::/..\n', OUTSIDE],
    ['a mount from outside the namespace', mount('/..', '/cg'), '0::/\n', OUTSIDE],
    ['a type that only looks like it', mount('/', '/cg', 'rw', 'cgroup2x'), '0::/x\n', NO_HIERARCHY],
  ])('not found: %s', (_, mountinfo, cgroup, failure) => {
    expect(find(mountinfo, cgroup)).toMatchObject({ failure });
  });
});

it('the two files of this machine', () => {
  const texts = ['mountinfo', 'cgroup'].map((name) => readFileSync(`/proc/self/${name}`, 'latin1')) as [string, string];
  expect(findAll([texts])).toHaveLength(1);
});

it('cut anywhere: no read beyond the end, and no place that is not in the text', () => {
  const mountinfo = PLAIN + HYBRID + mount('/docker/abc', '/mnt/a\\040b');
  const cgroup = '7:freezer:/f\n0::/docker/abc/job\n';
  const cases: [string, string][] = [];
  for (let cut = 0; cut <= mountinfo.length; cut++) cases.push([mountinfo.slice(0, cut), cgroup]);
  for (let cut = 0; cut <= cgroup.length; cut++) cases.push([mountinfo, cgroup.slice(0, cut)]);
  for (const place of findAll(cases)) {
    expect(place).toMatchObject({ directory: expect.stringMatching(/^$|^\/mnt\/a|^\/sys\/fs\/cgroup\/unified/) });
  }
});

describe('names of leaves', () => {
  const id = '0123456789abcdef0123456789abcdef';
  it.each([
    [`corral-${id}.1`, true],
    [`corral-${id}.123456789`, true],
    [`corral-${id}`, false],
    [`corral-${id}.`, false],
    [`corral-${id}.1x`, false],
    [`corral-${id.slice(1)}.1`, false],
    [`corral-${id.toUpperCase()}.1`, false],
    [`corral-${id}.1/..`, false],
    [`other-${id}.1`, false],
    ['', false],
  ])('%s: %s', (name, expected) => {
    expect(feed([hex(name)], '--name')).toEqual([String(expected)]);
  });
});
