/**
 * The keeper with a cgroup of its own for the tree (a leaf): who gets in and how, who is ended, and that the leaf is gone afterwards. The
 * leak guard of the suite sees cgroups as well as processes.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { build } from '../fixtures/c/build.js';
import { Owner } from '../fixtures/c/keeper-owner.js';
import { cgroupOf, cgroupsBelow, enter, processesIn, removeCgroups, requireCgroup, tempCgroup } from '../helpers/cgroup.js';
import { requireRoot } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { isAlive, readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const SIGKILL = 9;
const SIGTERM = 15;
const WAIT = 1;
const LEAVE = 2;
/** Of started. */
const ENTERED = 1;
const CLONED = 2;
const KILL = 4;
/** Of empty. */
const FORCED = 2;
const LEFT = 4;
const CGROUP = 16;
const EPERM_REASON = 1;
const ENOENT = 2;
const EBADF = 9;
const EOPNOTSUPP = 95;
const NOBODY = 65534;

const built = build('keeper', 'keeper-sanitized', 'keeper-without-cgroup-kill', 'keeper-owner', 'artist');
const artist = built.program('artist');

beforeEach(requireCgroup);
afterEach(() => {
  expect(built.findings()).toBe('');
});

let made = 0;
function makeLeaf(parent = tempCgroup()): string {
  const leaf = path.join(parent, `leaf-${++made}`);
  mkdirSync(leaf);
  return leaf;
}

/** $1 is the artist, $2 the leaf. */
const shell = (script: string, leaf = '') => ['/bin/sh', '-c', script, 'sh', artist, leaf];
const wordsFor = (leaf: string) => [`leaf=${leaf}`, `leaf-name=${path.basename(leaf)}`];

/** A process that is nobody's member, until it is put into the leaf. */
async function startGuest(leaf: string, what: string): Promise<ChildProcess & { pid: number }> {
  const guest = spawn(artist, [what], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  const exited = once(guest, 'exit');
  onTestFinished(async () => {
    guest.kill('SIGKILL');
    await exited;
  });
  await once(guest.stdout, 'data');
  writeFileSync(path.join(leaf, 'cgroup.procs'), String(guest.pid));
  return guest as ChildProcess & { pid: number };
}

describe.each(['keeper', 'keeper-sanitized', 'keeper-without-cgroup-kill'] as const)('%s', (program) => {
  const run = (command: string[], words: string[], prefix: string[] = []) =>
    new Owner({ owner: built.program('keeper-owner'), keeper: built.program(program), command, words, env: built.environment, prefix });

  const kernels: [string, string[]][] = [
    ['all of the kernel', []],
    ['no /proc', ['refuse=proc']],
    ['clone3 missing', ['refuse=clone3']],
    ['clone3 forbidden', ['refuse=clone3-eperm']],
    ['no pidfd at all', ['refuse=pidfd']],
    ['no list of children', ['refuse=children']],
  ];
  // The rest makes no difference to what these two are there for.
  describe.each(kernels.slice(0, program === 'keeper' ? undefined : 2))('with %s', (name, kernel) => {
    it('the leader is in the leaf and the keeper is not', async () => {
      const leaf = makeLeaf();
      const owner = run([artist, 'wait'], [...kernel, ...wordsFor(leaf)]);
      const { pid, keeper, leaf: flags, leafErrno } = await owner.event('started');
      await owner.ready(1);
      expect(leafErrno).toBe(0);
      expect(flags & ENTERED).toBe(ENTERED);
      if (name.startsWith('clone3')) expect(flags & CLONED).toBe(0);
      expect(processesIn(leaf)).toEqual([pid]);
      expect(cgroupOf(keeper)).toBe(cgroupOf(process.pid));
      owner.send(`stop ${SIGTERM} 10000`);
      expect((await owner.finished()).flags).toBe(CGROUP);
      expect(existsSync(leaf)).toBe(false);
    });

    const trees: [string, string, number][] = [
      ['a leader that ignores the signal', 'exec "$1" ignore', 1],
      ['a daemon that ignores it', '"$1" daemon ignore; exec "$1" wait', 2],
      ['a stopped member', 'setsid "$1" stop & exec "$1" wait', 2],
      ['a chain of sessions', 'exec "$1" chain 30', 1],
      ['many in sessions of their own', 'exec "$1" flock 100', 1],
      ['a storm of forks', 'exec "$1" storm 4', 1],
      ['a hydra', 'exec "$1" hydra 8', 1],
    ];

    it.each(trees)('STOP ends %s', async (_, script, count) => {
      const leaf = makeLeaf();
      const owner = run(shell(script), [...kernel, ...wordsFor(leaf)]);
      const members = await owner.ready(count);
      owner.send(`stop ${SIGTERM} 300`);
      const empty = await owner.finished();
      expect(empty.flags & CGROUP).toBe(CGROUP);
      for (const member of members) expect(readStat(member.pid), `${member.name} is gone`).toBeUndefined();
      expect(existsSync(leaf)).toBe(false);
    });

    it.each(trees)('KILL ends %s', async (_, script, count) => {
      const leaf = makeLeaf();
      const owner = run(shell(script), [...kernel, ...wordsFor(leaf)]);
      const members = await owner.ready(count);
      owner.send('kill');
      expect((await owner.event('exited')).status).toBe(SIGKILL);
      expect((await owner.finished()).flags).toBe(FORCED | CGROUP);
      for (const member of members) expect(readStat(member.pid), `${member.name} is gone`).toBeUndefined();
      expect(existsSync(leaf)).toBe(false);
    });
  });

  it('says whether the leaf has cgroup.kill', async () => {
    const leaf = makeLeaf();
    const hasKill = existsSync(path.join(leaf, 'cgroup.kill'));
    const owner = run(['true'], wordsFor(leaf));
    expect(((await owner.event('started')).leaf & KILL) !== 0).toBe(hasKill);
    await owner.finished();
  });

  describe('who is in the leaf without being a descendant', () => {
    it.each(['wait', 'ignore'])('is ended by STOP: one that does "%s"', async (what) => {
      const leaf = makeLeaf();
      const owner = run([artist, 'wait'], wordsFor(leaf));
      await owner.ready(1);
      const guest = await startGuest(leaf, what);
      owner.send(`stop ${SIGTERM} ${what === 'wait' ? 15_000 : 300}`);
      expect((await owner.finished()).flags).toBe(what === 'wait' ? CGROUP : CGROUP | FORCED);
      await eventually(() => guest.exitCode !== null || guest.signalCode !== null);
      expect(guest.signalCode).toBe(what === 'wait' ? 'SIGTERM' : 'SIGKILL');
      expect(owner.terminated).toContainEqual(expect.objectContaining({ pid: guest.pid, name: 'artist', detail: -1 }));
    });

    it('is ended by KILL', async () => {
      const leaf = makeLeaf();
      const owner = run([artist, 'wait'], wordsFor(leaf));
      await owner.ready(1);
      const guest = await startGuest(leaf, 'wait');
      owner.send('kill');
      await owner.finished();
      expect(owner.terminated.map(({ pid }) => pid)).toContain(guest.pid);
      await eventually(() => guest.signalCode === 'SIGKILL');
    });

    it('is ended when the leader has ended by itself, and nobody else is left', async () => {
      const leaf = makeLeaf();
      const owner = run(shell('"$1" wait; exit 5'), wordsFor(leaf));
      const [inner] = await owner.ready(1);
      const guest = await startGuest(leaf, 'ignore');
      process.kill(inner?.pid ?? 0, 'SIGKILL');
      expect((await owner.event('exited')).status).toBe(5 << 8);
      owner.send(`stop ${SIGTERM} 100`);
      expect((await owner.finished()).flags & CGROUP).toBe(CGROUP);
      await eventually(() => guest.signalCode === 'SIGKILL');
    });

    it('is waited for by policy, and its end is noticed', async () => {
      const leaf = makeLeaf();
      const owner = run([artist, 'wait'], [...wordsFor(leaf), `leader=${WAIT}`]);
      const { pid } = await owner.event('started');
      await owner.ready(1);
      const guest = await startGuest(leaf, 'wait');
      process.kill(pid, 'SIGKILL');
      await owner.event('exited');
      expect(existsSync(leaf)).toBe(true);
      expect(owner.all('empty')).toEqual([]);
      guest.kill('SIGKILL');
      expect((await owner.finished()).flags).toBe(CGROUP);
      expect(existsSync(leaf)).toBe(false);
    });

    it('is left in peace once it is somewhere else', async () => {
      const parent = tempCgroup();
      const leaf = makeLeaf(parent);
      const owner = run([artist, 'wait'], wordsFor(leaf));
      await owner.ready(1);
      const guest = await startGuest(leaf, 'wait');
      writeFileSync(path.join(parent, 'cgroup.procs'), String(guest.pid));
      owner.send('kill');
      await owner.finished();
      expect(isAlive(guest.pid)).toBe(true);
    });
  });

  describe('the leaf', () => {
    it('goes with everything that members have made in it, however deep', async () => {
      const leaf = makeLeaf();
      const script = `cd "$2"; for i in a .b c d; do mkdir $i; done; mkdir a/x a/y
        i=0; while [ $i -lt 60 ]; do mkdir n; cd n; i=$((i + 1)); done
        sh -c 'echo 0 > cgroup.procs; exec "$1" daemon ignore' sh "$1"
        cd /; exec "$1" wait`;
      const owner = run(shell(script, leaf), wordsFor(leaf));
      await owner.ready(2);
      owner.send(`stop ${SIGTERM} 200`);
      expect((await owner.finished()).flags).toBe(FORCED | CGROUP);
      expect(existsSync(leaf)).toBe(false);
    });

    it('is thawed for the kill signal', async () => {
      const leaf = makeLeaf();
      const owner = run(shell('exec "$1" status 3'), wordsFor(leaf));
      await owner.ready(1);
      writeFileSync(path.join(leaf, 'cgroup.freeze'), '1');
      await eventually(() => /^frozen 1$/m.test(readFileSync(path.join(leaf, 'cgroup.events'), 'utf8')));
      owner.send(`stop ${SIGTERM} 20000`);
      expect((await owner.event('exited')).status).toBe(3 << 8);
      expect((await owner.finished()).flags).toBe(CGROUP);
    });

    it('is gone when the command could not be executed', async () => {
      const leaf = makeLeaf();
      const owner = run(['no-such-command'], wordsFor(leaf));
      expect(await owner.event('failed')).toMatchObject({ errno: ENOENT });
      expect(existsSync(leaf)).toBe(false);
    });

    it('is gone after the death of the owner', async () => {
      const leaf = makeLeaf();
      const owner = run(shell('"$1" daemon ignore; exec "$1" wait'), [...wordsFor(leaf), 'grace=100']);
      const members = await owner.ready(2);
      owner.child.kill('SIGKILL');
      await eventually(() => !existsSync(leaf));
      for (const { pid } of members) expect(isAlive(pid)).toBe(false);
    });

    it('stays with those who are left by policy', async () => {
      const leaf = makeLeaf();
      const owner = run(shell('"$1" daemon wait; exit 0'), [...wordsFor(leaf), `leader=${LEAVE}`]);
      const [member] = await owner.ready(1);
      expect((await owner.finished()).flags).toBe(LEFT);
      expect(processesIn(leaf)).toEqual([member?.pid]);
    });

    it('is locked as long as the keeper lives, and no longer', async () => {
      const leaf = makeLeaf();
      const isLocked = () => spawnSync('flock', ['-n', leaf, 'true']).status !== 0;
      const owner = run([artist, 'wait'], wordsFor(leaf));
      const { keeper, pid } = await owner.event('started');
      await owner.ready(1);
      expect(isLocked()).toBe(true);
      process.kill(keeper, 'SIGKILL');
      await owner.event('keeperExit');
      await eventually(() => !isAlive(pid));
      expect(isLocked()).toBe(false);
    });
  });

  describe('done without', () => {
    it('where nobody can get in: the leader runs, and the tree is held all the same', async () => {
      const parent = tempCgroup();
      const threaded = path.join(parent, 'threaded');
      mkdirSync(threaded);
      writeFileSync(path.join(threaded, 'cgroup.type'), 'threaded');
      const leaf = makeLeaf(parent); // below a threaded domain: "domain invalid"
      const owner = run(shell('"$1" daemon ignore; exec "$1" wait'), wordsFor(leaf));
      expect(await owner.event('started')).toMatchObject({ leaf: 0, leafErrno: EOPNOTSUPP });
      const members = await owner.ready(2);
      expect(existsSync(leaf)).toBe(false);
      owner.send(`stop ${SIGTERM} 100`);
      expect((await owner.finished()).flags).toBe(FORCED);
      for (const { pid } of members) expect(readStat(pid)).toBeUndefined();
    });

    it.each([
      ['it is not a cgroup', (directory: string) => [`leaf=${directory}`, 'leaf-name=other'], ENOENT],
      ['it did not come', () => ['leaf-name=leaf-1'], EBADF],
      ['it has no name', (directory: string) => [`leaf=${directory}`], 0],
    ] as const)('where %s', async (_, words, leafErrno) => {
      const directory = mkdtempSync(path.join(tmpdir(), 'corral-'));
      onTestFinished(() => expect(spawnSync('rmdir', [directory]).status).toBe(0));
      const owner = run([artist, 'wait'], [...words(directory)]);
      expect(await owner.event('started')).toMatchObject({ leaf: 0, leafErrno });
      await owner.ready(1);
      owner.send('kill');
      expect((await owner.finished()).flags).toBe(FORCED);
    });
  });

  it('ends members whom it may not signal, if the kernel has cgroup.kill', async (context) => {
    requireRoot(context, 'makes a program that is set-user-ID');
    const delegated = tempCgroup();
    enter(delegated);
    const leaf = makeLeaf(delegated);
    for (const directory of [delegated, leaf]) {
      for (const file of ['', 'cgroup.procs']) chownSync(path.join(directory, file), NOBODY, NOBODY);
    }
    for (const file of ['cgroup.kill', 'cgroup.freeze']) {
      if (existsSync(path.join(leaf, file))) chownSync(path.join(leaf, file), NOBODY, NOBODY);
    }
    const directory = tempDirectory();
    chmodSync(directory, 0o755);
    const privileged = path.join(directory, 'artist');
    copyFileSync(artist, privileged);
    chmodSync(privileged, 0o4755);
    const owner = run(shell(`"${privileged}" root wait & exec "$1" wait`), wordsFor(leaf), [
      ...['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'],
    ]);
    const members = await owner.ready(2);
    const { pid: leader, leaf: flags } = await owner.event('started');
    expect(flags & ENTERED).toBe(ENTERED);
    const other = members.find((member) => member.pid !== leader);
    owner.send('kill');
    if (program === 'keeper-without-cgroup-kill' || (flags & KILL) === 0) {
      expect(await owner.survivors()).toMatchObject([{ pid: other?.pid, detail: EPERM_REASON }]);
      expect(readFileSync(path.join(leaf, 'cgroup.freeze'), 'utf8')).toBe('0\n');
      process.kill(other?.pid ?? 0, 'SIGKILL');
    }
    expect((await owner.finished()).flags).toBe(FORCED | CGROUP);
    expect(owner.terminated.map(({ pid }) => pid)).toContain(other?.pid);
    expect(readStat(other?.pid ?? 0)).toBeUndefined();
    await removeCgroups(cgroupsBelow(delegated));
  });
});
