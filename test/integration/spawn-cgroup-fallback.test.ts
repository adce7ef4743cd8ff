/** Where no cgroup can be made the tree is held all the same, and it is said why: by the handle, by `corral run`, by `corral doctor`. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { spawn } from '../../src/process/spawn.js';
import { cgroupsBelow, enter, requireCgroup, tempCgroup } from '../helpers/cgroup.js';
import { corralCommand, runCorral, runFile } from '../helpers/command.js';
import { requireRoot, requireUnprivileged } from '../helpers/contained.js';
import { allProcesses } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const SCRIPT = '(setsid sleep 300 >&- 2>&- &) ; grep ^0: /proc/self/cgroup';
const sleepers = () => allProcesses().filter(({ name, state }) => name === 'sleep' && state !== 'Z');

async function expectTree(reason: RegExp): Promise<void> {
  const child = await spawn('sh', ['-c', SCRIPT], { containment: 'cgroup', stdout: 'ignore' });
  expect(child).toMatchObject({ containment: 'tree', containmentReason: expect.stringMatching(reason) });
  expect(await child.empty).toMatchObject({ survivors: [], proof: 'echild' });
  expect(sleepers()).toEqual([]);
}

describe('no more cgroups allowed', () => {
  beforeEach((context) => {
    requireCgroup(context);
    const full = tempCgroup();
    writeFileSync(path.join(full, 'cgroup.max.descendants'), '0');
    enter(full);
  });
  const reason = /^no cgroup can be made in \/.*\/temp-.*: EAGAIN, .*cgroup\.max\.descendants.*the keeper alone holds the tree$/;

  it('spawn()', () => expectTree(reason));

  it('corral run warns, and goes on', async () => {
    const result = await runCorral(['run', '--containment', 'cgroup', '--json', '--', 'sh', '-c', `${SCRIPT}; exit 3`]);
    expect(result).toMatchObject({ code: 3, stdout: expect.stringMatching(/^0::.*\/temp-[\d-]+\n$/) });
    const [warning = '', json = ''] = result.stderr.trim().split('\n');
    expect(warning).toMatch(/^corral: run: containment "tree" is used: no cgroup can be made in /);
    expect(JSON.parse(json)).toMatchObject({
      containment: 'tree',
      containmentReason: expect.stringMatching(reason),
      report: { proof: 'echild' },
    });
    expect(sleepers()).toEqual([]);
  });

  it('corral doctor says what will be used', async () => {
    const { findings } = JSON.parse((await runCorral(['doctor', '--json'])).stdout);
    expect(findings).toContainEqual({
      subject: 'cgroup v2',
      state: 'info',
      found: expect.stringMatching(reason),
      hint: 'containment "cgroup" falls back to "tree"',
    });
  });
});

it('a directory that is not ours', async (context) => {
  requireUnprivileged(context, 'root may write everywhere');
  requireCgroup(context);
  const closed = tempCgroup();
  enter(closed);
  chmodSync(closed, 0o555);
  await expectTree(/EACCES, permission denied \(it is not delegated to this user/);
  chmodSync(closed, 0o755);
});

it('threads only, here and beside', async (context) => {
  requireCgroup(context);
  const own = path.join(tempCgroup(), 'own');
  mkdirSync(own);
  writeFileSync(path.join(own, 'cgroup.type'), 'threaded'); // and the one above it is its domain
  enter(own);
  await expectTree(/is threaded: a cgroup made there can not hold processes/);
});

it.for([
  ['not mounted', 'umount -a -t cgroup2', /^no cgroup v2 hierarchy is mounted here;/],
  ['hidden by another mount', 'for point in $(findmnt -rno TARGET -t cgroup2); do mount -t tmpfs none "$point"; done', /does not show/],
  ['read-only', 'for point in $(findmnt -rno TARGET -t cgroup2); do mount -o remount,bind,ro "$point"; done', /EROFS.*read-only/],
] as const)('a hierarchy that is %s', async ([_, change, reason], context) => {
  requireCgroup(context);
  requireRoot(context, 'changes mounts');
  const script = `${change}; exec "$@"`;
  const command = [...corralCommand(), 'run', '--containment', 'cgroup', '--json', '--', 'sh', '-c', SCRIPT];
  const result = await runFile('unshare', ['--mount', 'sh', '-c', script, 'sh', ...command]);
  expect(result.code).toBe(0);
  const json = JSON.parse(result.stderr.trim().split('\n').at(-1) ?? '');
  expect(json).toMatchObject({ containment: 'tree', containmentReason: expect.stringMatching(reason), report: { proof: 'echild' } });
  expect(sleepers()).toEqual([]);
});

describe('a cgroup namespace', () => {
  const unshared = (script: string, ...args: string[]) =>
    runFile('unshare', ['--cgroup', '--mount', 'sh', '-c', script, 'sh', ...args, ...corralCommand()]);
  const corral = '"$@" run --containment cgroup --json -- grep ^0: /proc/self/cgroup';

  it('with the mount of before: our cgroup is not to be seen there', async (context) => {
    requireCgroup(context);
    requireRoot(context, 'makes a cgroup namespace');
    const result = await unshared(corral);
    expect(result).toMatchObject({ code: 0, stdout: '0::/\n' });
    expect(result.stderr).toMatch(/does not show the cgroup this program is in/);
  });

  it('with a mount of its own', async (context) => {
    requireCgroup(context);
    requireRoot(context, 'makes a cgroup namespace');
    const result = await unshared(`mount -t cgroup2 none "$1" && shift && ${corral}`, tempDirectory());
    expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(/^0::\/corral-[0-9a-f]{32}\.\d+\n$/) });
    expect(JSON.parse(result.stderr)).toMatchObject({ containment: 'cgroup', report: { proof: 'cgroup' } });
    expect(cgroupsBelow()).toEqual([]);
  });
});

it('corral doctor says what this machine offers', async (context) => {
  const run = requireCgroup(context);
  const { findings } = JSON.parse((await runCorral(['doctor', '--json'])).stdout) as { findings: { subject: string }[] };
  expect(findings).toContainEqual({ subject: 'cgroup v2', state: 'ok', found: `trees can have a cgroup of their own, in ${run}` });
  for (const subject of ['cgroup.kill', 'cgroup.freeze', 'clone into a cgroup']) {
    expect(findings).toContainEqual(expect.objectContaining({ subject, state: expect.stringMatching(/^(ok|info)$/) }));
  }
  expect(cgroupsBelow()).toEqual([]);
});
