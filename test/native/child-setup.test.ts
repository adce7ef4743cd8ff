/**
 * What a child finds between clone and exec (child_setup.c): every step, every failure with its stage and errno, in an order that holds
 * for an ordinary user and for root. The probe starts one child and the child reports what it sees.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { build } from '../fixtures/c/build.js';
import { requireOtherUsers, requireRoot, requireUnprivileged } from '../helpers/contained.js';
import { readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const ENOENT = 2;
const ESRCH = 3;
const E2BIG = 7;
const EPERM = 1;
const EBADF = 9;
const EACCES = 13;
const ENOTDIR = 20;
const EINVAL = 22;
const ETXTBSY = 26;
const ENAMETOOLONG = 36;
const ELOOP = 40;
const RLIMIT_CORE = 4;
const RLIMIT_NOFILE = 7;

/** enum corral_stage */
const Stage = { none: 0, rlimit: 3, oom: 4, nice: 5, groups: 6, gid: 7, uid: 8, cwd: 9, owner: 11, stdio: 12, exec: 13 };

interface Outcome {
  pid: number;
  stage: number;
  errno: number;
  hasPidfd: boolean;
  status: number;
  dumpable: number;
}

interface Report {
  pid: number;
  ppid: number;
  pgid: number;
  sid: number;
  umask: number;
  nice: number;
  deathSignal: number;
  noNewPrivs: number;
  cwd: string;
  Uid: string;
  Gid: string;
  Groups: string;
  SigBlk: string;
  SigIgn: string;
  SigCgt: string;
  oomScoreAdj: string;
  fds: string;
  limits: [string, string][];
  args: string[];
}

const built = build('child-probe', 'child-probe-sanitized');

afterEach(() => {
  expect(built.findings()).toBe('');
});

describe.each(['child-probe', 'child-probe-sanitized'] as const)('%s', (program) => {
  const probe = built.program(program);

  function start(words: string[], command: string[], cwd?: string): Outcome {
    const { stdout, stderr, status } = spawnSync(probe, [...words, '--', ...command], {
      cwd,
      encoding: 'utf8',
      env: { ...process.env, ...built.environment },
      timeout: 20_000,
    });
    if (status !== 0) throw new Error(`probe ended with ${status}: ${stderr}`);
    return JSON.parse(stdout) as Outcome;
  }

  /** Starts the probe itself as the child; it must succeed. */
  function report(words: string[]): Report & { outcome: Outcome } {
    const directory = tempDirectory();
    chmodSync(directory, 0o1777);
    const file = path.join(directory, 'report');
    const outcome = start(
      [...words, ...Object.entries(built.environment).map(([key, value]) => `env=${key}=${value}`)],
      [probe, 'report', file],
    );
    expect(outcome).toMatchObject({ stage: Stage.none, errno: 0, status: 0 });
    return { ...(JSON.parse(readFileSync(file, 'utf8')) as Report), outcome };
  }

  /** The state without settings, to compare with. */
  const plain = () => report([]);

  describe('without settings', () => {
    it('changes nothing but signals and descriptors', () => {
      const child = report([]);
      const own = /^Uid:\s+(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
      expect(child.pid).toBe(child.outcome.pid);
      expect(child).toMatchObject({
        sid: readStat(process.pid)?.sid,
        cwd: process.cwd(),
        Uid: own,
        umask: process.umask(),
        noNewPrivs: 0,
        deathSignal: 0,
        SigBlk: '0000000000000000',
      });
      expect(child.fds.split('\n').map((line) => line.split('=')[0])).toEqual(['0', '1', '2']);
    });

    it('returns a pidfd, or -1 where the kernel has none', () => {
      expect(report([]).outcome.hasPidfd).toBe(true);
      expect(report(['refuse=clone-pidfd']).outcome.hasPidfd).toBe(false);
    });

    it('starts one child after the other on one stack', () => {
      expect(start(['times=50'], ['/bin/true'])).toMatchObject({ stage: Stage.none, status: 0 });
      expect(start(['times=50'], ['/no/such/file'])).toMatchObject({ stage: Stage.exec, errno: ENOENT });
    });
  });

  describe('signals', () => {
    it('are all default and none is blocked, whatever the parent made of them', () => {
      const child = report(['ignore=1', 'ignore=2', 'ignore=13', 'ignore=64', 'handle=10', 'handle=15', 'handle=34', 'handle=63']);
      // A sanitizer may catch some for itself after exec.
      if (program === 'child-probe') expect(child.SigCgt).toBe('0000000000000000');
      expect(child).toMatchObject({ SigIgn: '0000000000000000', SigBlk: '0000000000000000' });
    });
  });

  describe('settings', () => {
    it('session: an own session and group', () => {
      const child = report(['session=1']);
      expect(child).toMatchObject({ pgid: child.pid, sid: child.pid });
    });

    it('own-group: an own group in the session of the parent', () => {
      const child = report(['own-group=1']);
      expect(child).toMatchObject({ pgid: child.pid, sid: readStat(process.pid)?.sid });
    });

    it('limits, soft and hard', () => {
      const { limits } = report([`limit=${RLIMIT_CORE}:0:1000`, `limit=${RLIMIT_NOFILE}:50:60`]);
      expect(limits[RLIMIT_CORE]).toEqual(['0', '1000']);
      expect(limits[RLIMIT_NOFILE]).toEqual(['50', '60']);
    });

    it('a limit on descriptors below those that have to be moved', () => {
      for (const limit of [0, 3, 4])
        expect(
          start([`limit=${RLIMIT_NOFILE}:${limit}:${limit}`, 'stdin=1', 'stdout=2', 'stderr=0'], [built.program('child-probe'), 'none']),
        ).toMatchObject({
          stage: Stage.none,
          status: 70 << 8, // it runs, and can not open anything
        });
    });

    it.each([
      ['soft above hard', `limit=${RLIMIT_CORE}:2:1`, EINVAL],
      ['soft above hard, descriptors', `limit=${RLIMIT_NOFILE}:2:1`, EINVAL],
      ['an unknown resource', 'limit=99:1:1', EINVAL],
    ])('limits that are refused: %s', (_, word, errno) => {
      expect(start([word], ['/bin/true'])).toMatchObject({ stage: Stage.rlimit, errno, status: 127 << 8 });
    });

    it('a hard limit may not be raised without privilege', (context) => {
      requireUnprivileged(context, 'root may raise hard limits');
      const raised = BigInt(plain().limits[RLIMIT_NOFILE]?.[1] ?? 0) + 1n;
      expect(start([`limit=${RLIMIT_NOFILE}:10:${raised}`], ['/bin/true'])).toMatchObject({ stage: Stage.rlimit, errno: EPERM });
    });

    it('umask', () => {
      expect(report(['umask=027']).umask).toBe(0o27);
      expect(report(['umask=0']).umask).toBe(0);
    });

    it('nice', (context) => {
      expect(report(['nice=7']).nice).toBe(7);
      requireUnprivileged(context, 'root may be less nice');
      expect(start(['nice=-5'], ['/bin/true'])).toMatchObject({ stage: Stage.nice, errno: EACCES });
    });

    it('oom score, of the child alone', () => {
      expect(report(['oom=500']).oomScoreAdj).toBe('500');
      expect(report(['oom=999', 'nice=1']).oomScoreAdj).toBe('999');
      expect(plain().oomScoreAdj).toBe(readFileSync('/proc/self/oom_score_adj', 'utf8').trim());
      expect(start(['oom=1001'], ['/bin/true'])).toMatchObject({ stage: Stage.oom, errno: EINVAL });
    });

    it('oom score that may not be lowered', (context) => {
      requireUnprivileged(context, 'root may lower it');
      expect(start(['oom=-1000'], ['/bin/true'])).toMatchObject({ stage: Stage.oom, errno: EACCES });
      expect(report(['oom-best-effort=-1000']).oomScoreAdj).toBe(plain().oomScoreAdj);
    });

    it('no new privileges', () => {
      expect(report(['nnp=1']).noNewPrivs).toBe(1);
    });

    it('death signal, with the parent compared', () => {
      expect(report(['deathsig=9']).deathSignal).toBe(9);
      expect(start(['deathsig=9', 'parent=1'], ['/bin/true'])).toMatchObject({ stage: Stage.owner, errno: ESRCH });
      expect(start(['deathsig=99'], ['/bin/true'])).toMatchObject({ stage: Stage.owner, errno: EINVAL });
    });

    it('ids', (context) => {
      requireRoot(context, 'changes ids');
      const child = report(['uid=1234', 'gid=2345', 'groups=77,88', 'deathsig=15', 'session=1']);
      expect(child).toMatchObject({ Uid: '1234\t1234\t1234\t1234', Gid: '2345\t2345\t2345\t2345', Groups: '77 88 ', deathSignal: 15 });
      expect(report(['uid=1234', 'groups=']).Groups).toBe('');
    });

    it('ids leave the parent its core dumps and its files in /proc', (context) => {
      requireRoot(context, 'changes ids');
      expect(start(['uid=1234'], ['/bin/true'])).toMatchObject({ stage: Stage.none, dumpable: 1 });
      expect(start(['uid=1234'], ['/no/such/file'])).toMatchObject({ stage: Stage.exec, dumpable: 1 });
    });

    it.for([
      ['uid', 'uid=0', Stage.uid],
      ['gid', 'gid=0', Stage.gid],
      ['groups', 'groups=0', Stage.groups],
    ] as const)('%s may not be changed without privilege', ([, word, stage], context) => {
      requireOtherUsers(context, 'the kernel has to know the id to refuse it');
      const [file, ...args] = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', probe] : [probe];
      const outcome = JSON.parse(
        execFileSync(file as string, [...args, word, '--', '/bin/true'], { encoding: 'utf8', env: built.environment }),
      ) as Outcome;
      expect(outcome).toMatchObject({ stage, errno: EPERM, status: 127 << 8 });
    });
  });

  describe('cwd', () => {
    it("is the child's alone", () => {
      expect(report(['cwd=/usr']).cwd).toBe('/usr');
      expect(report(['cwd=']).cwd).toBe(process.cwd());
    });

    it.each([
      ['does not exist', '/no/such/directory', ENOENT],
      ['is a file', '/etc/passwd', ENOTDIR],
      ['has a name that is too long', `/${'x'.repeat(300)}`, ENAMETOOLONG],
    ])('that %s is named as cwd', (_, cwd, errno) => {
      expect(start([`cwd=${cwd}`], ['/bin/true'])).toMatchObject({ stage: Stage.cwd, errno, status: 127 << 8 });
    });

    it('is entered with the new ids', (context) => {
      requireRoot(context, 'changes ids');
      const closed = tempDirectory();
      chmodSync(closed, 0o700);
      expect(start([`cwd=${closed}`, 'uid=1234'], ['/bin/true'])).toMatchObject({ stage: Stage.cwd, errno: EACCES });
      chownSync(closed, 1234, 0);
      expect(start([`cwd=${closed}`, 'uid=1234'], ['/bin/true'])).toMatchObject({ stage: Stage.none });
    });
  });

  describe('descriptors', () => {
    // Thousands of starts: once with the sanitizers would only be slow.
    it.skipIf(program !== 'child-probe').each([
      ['close_range', []],
      ['/proc/self/fd', ['refuse=close_range']],
      ['a loop over all numbers', ['refuse=close_range', 'refuse=openat']],
      ['close_range, with a limit below their numbers', [`limit=${RLIMIT_NOFILE}:3:3`]],
    ])(
      'arrive in every combination, and no other stays open: %s',
      (_, words) => {
        // The loop goes as far as the limit: thousands of times to the limit of a server would take a minute.
        const output = execFileSync('prlimit', ['--nofile=256:256', probe, 'permute', ...words], { encoding: 'utf8' });
        const outcome = JSON.parse(output) as { count: number; wrong: string[] };
        expect(outcome.wrong).toEqual([]);
        expect(outcome.count).toBeGreaterThan(3000);
      },
      120_000,
    );

    it.each([
      ['stdin', ['stdin=99']],
      ['stdout', ['stdout=-1']],
      ['stderr', ['close=2']],
      ['control', ['control=99']],
    ])('%s that is not open', (_, words) => {
      expect(start(words, ['/bin/true'])).toMatchObject({ stage: Stage.stdio, errno: EBADF, status: 127 << 8 });
    });

    it('control becomes 3 and the program given as a descriptor does not stay', () => {
      const file = path.join(tempDirectory(), 'file');
      writeFileSync(file, '');
      const lines = report([`open=9:${file}`, 'control=9', `exec=${probe}`]).fds.split('\n');
      expect(lines).toHaveLength(4);
      expect(lines[3]).toBe(`3=${file}`);
    });
  });

  describe('exec', () => {
    function files() {
      const directory = tempDirectory();
      chmodSync(directory, 0o755);
      const make = (name: string, text: string, mode: number) => {
        mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
        writeFileSync(path.join(directory, name), text);
        chmodSync(path.join(directory, name), mode);
        return path.join(directory, name);
      };
      return { directory, make };
    }

    /** A script that writes "which argument..." to a file. */
    const script = (target: string, which: string) => `printf '%s ' ${which} "$0" "$@" > ${target}\n`;

    it.each([
      ['a name that is nowhere', 'no-such-command', ENOENT],
      ['an empty name', '', ENOENT],
      ['a path that does not exist', '/no/such/file', ENOENT],
      ['a directory', '/usr', EACCES],
      ['a directory with a slash', '/usr/', EACCES],
      ['a file below a file', '/etc/passwd/x', ENOTDIR],
      ['a file that may not be executed', '/etc/passwd', EACCES],
      ['a name that is too long', 'x'.repeat(256), ENAMETOOLONG],
      ['a path whose name is too long', `/${'x'.repeat(256)}`, ENAMETOOLONG],
    ])('fails for %s', (_, file, errno) => {
      expect(start(['env=PATH=/usr/bin:/bin'], [file])).toMatchObject({ stage: Stage.exec, errno, status: 127 << 8, hasPidfd: true });
    });

    it('fails for links in a circle, a file being written, arguments that are too long', () => {
      const { directory, make } = files();
      symlinkSync('circle', path.join(directory, 'circle'));
      expect(start([], [path.join(directory, 'circle')])).toMatchObject({ stage: Stage.exec, errno: ELOOP });
      const written = make('written', '#!/bin/sh\n', 0o755);
      expect(start([`open=9:${written}`], [written])).toMatchObject({ stage: Stage.exec, errno: ETXTBSY });
      expect(start([`big=${4 << 20}`], ['/bin/true', 'x'])).toMatchObject({ stage: Stage.exec, errno: E2BIG });
    });

    it('fails for an interpreter that does not exist, with the error of the kernel', () => {
      const { make } = files();
      expect(start([], [make('script', '#!/no/such/interpreter\n', 0o755)])).toMatchObject({ stage: Stage.exec, errno: ENOENT });
    });

    it('looks through PATH of the new environment, in order', () => {
      const { directory, make } = files();
      const target = path.join(directory, 'out');
      make('first/other', '', 0o755);
      make('second/command', `#!/bin/sh\n${script(target, 'second')}`, 0o755);
      make('third/command', `#!/bin/sh\n${script(target, 'third')}`, 0o755);
      const search = ['no/such', 'first', 'second', 'third'].map((name) => path.join(directory, name)).join(':');
      expect(start([`env=PATH=${search}`], ['command', 'a', 'b'])).toMatchObject({ stage: Stage.none, status: 0 });
      expect(readFileSync(target, 'utf8')).toBe(`second ${directory}/second/command a b `);
    });

    it('passes over what may not be executed, files that are no directories, and remembers "permission denied"', () => {
      const { directory, make } = files();
      const target = path.join(directory, 'out');
      make('plain/command', 'x', 0o644);
      mkdirSync(path.join(directory, 'directory/command'), { recursive: true });
      make('file', 'x', 0o644);
      make('good/command', `#!/bin/sh\n${script(target, 'good')}`, 0o755);
      const search = (...names: string[]) => `env=PATH=${names.map((name) => path.join(directory, name)).join(':')}`;
      expect(start([search('plain', 'directory', 'file', 'good')], ['command'])).toMatchObject({ stage: Stage.none, status: 0 });
      expect(readFileSync(target, 'utf8')).toMatch(/^good /);
      for (const only of ['plain', 'directory'])
        expect(start([search(only, 'no/such')], ['command'])).toMatchObject({ stage: Stage.exec, errno: EACCES });
      expect(start([search('file')], ['command'])).toMatchObject({ stage: Stage.exec, errno: ENOTDIR });
    });

    it('looks into the current directory, which is cwd, for an empty element only', () => {
      const { directory, make } = files();
      make('command', '#!/bin/sh\n', 0o755);
      const cwd = `cwd=${directory}`;
      for (const search of ['', ':', '/no/such:', ':/no/such', '/no::/such'])
        expect(start([cwd, `env=PATH=${search}`], ['command']), `PATH=${search}`).toMatchObject({ stage: Stage.none, status: 0 });
      expect(start([cwd, 'env=PATH=/no/such'], ['command'])).toMatchObject({ stage: Stage.exec, errno: ENOENT });
      expect(start([cwd, 'env=PATH=/no/such'], ['./command'])).toMatchObject({ stage: Stage.none, status: 0 });
    });

    it('has a default without PATH, and skips elements that are too long', () => {
      expect(start([], ['true'])).toMatchObject({ stage: Stage.none, status: 0 });
      expect(start([`env=PATH=/${'x'.repeat(5000)}:/bin`], ['true'])).toMatchObject({ stage: Stage.none, status: 0 });
      expect(start([`env=PATH=/${'x'.repeat(5000)}`], ['true'])).toMatchObject({ stage: Stage.exec, errno: ENOENT });
    });

    it('gives a script without #! to the shell, by path and through PATH', () => {
      const { directory, make } = files();
      const target = path.join(directory, 'out');
      const file = make('bin/command', script(target, 'plain'), 0o755);
      expect(start([], [file, 'a', 'b c'])).toMatchObject({ stage: Stage.none, status: 0 });
      expect(readFileSync(target, 'utf8')).toBe(`plain ${file} a b c `);
      expect(start([`env=PATH=/no/such:${directory}/bin`], ['command', 'd'])).toMatchObject({ stage: Stage.none, status: 0 });
      expect(readFileSync(target, 'utf8')).toBe(`plain ${file} d `);
      expect(start([], [file])).toMatchObject({ stage: Stage.none, status: 0 });
    });

    it('keeps argv[0] as it was given', () => {
      const directory = tempDirectory();
      const file = path.join(directory, 'report');
      expect(
        start(
          [`file=${probe}`, ...Object.entries(built.environment).map(([key, value]) => `env=${key}=${value}`)],
          ['a name', 'report', file],
        ),
      ).toMatchObject({ status: 0 });
      expect((JSON.parse(readFileSync(file, 'utf8')) as Report).args[0]).toBe('a name');
    });
  });
});
