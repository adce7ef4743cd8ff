/**
 * The keeper over its socket: what it says, whom it ends, what it leaves. The leak guard of the suite sees to it that each test leaves
 * no process behind, so a member that got away fails the test even where nothing else would notice.
 */
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readlinkSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { testFreezer } from '../../scripts/lib/test-cgroup.mjs';
import { build } from '../fixtures/c/build.js';
import { Owner, type OwnerOptions } from '../fixtures/c/keeper-owner.js';
import { requireRoot, requireUnprivileged } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses, isAlive, openFiles, readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const SIGKILL = 9;
const SIGTERM = 15;
const SIGSTOP = 19;
const WAIT = 1;
const LEAVE = 2;
const TIMED_OUT = 1;
const FORCED = 2;
const LEFT = 4;
const NOT_FORCED = 3;
const EPERM_REASON = 1;
const UNINTERRUPTIBLE = 2;
/** sizeof(struct corral_settings) */
const SETTINGS_SIZE = 32 + 16 * 24 + 4 + 256 * 4 + 4;
/** CORRAL_PROTOCOL_VERSION */
const VERSION = 2;
/** CORRAL_LEAF_NAME */
const LEAF_SIZE = 64;
const EPROTO = 71;
const STAGE_CWD = 9;
const STAGE_EXEC = 13;
const STAGE_KEEPER = 14;

const built = build('keeper', 'keeper-sanitized', 'keeper-owner', 'artist');
const artist = built.program('artist');

afterEach(() => {
  expect(built.findings()).toBe('');
});

function start(program: 'keeper' | 'keeper-sanitized', command: string[], options: Partial<OwnerOptions> = {}): Owner {
  const { env, ...rest } = options;
  return new Owner({
    owner: built.program('keeper-owner'),
    keeper: built.program(program),
    command,
    env: { ...built.environment, ...env },
    ...rest,
  });
}

const shell = (script: string) => ['/bin/sh', '-c', script, 'sh', artist];

describe.each(['keeper', 'keeper-sanitized'] as const)('%s', (program) => {
  const run = (command: string[], words: string[] = [], options: Partial<OwnerOptions> = {}) =>
    start(program, command, { words, ...options });

  describe('start', () => {
    it('reports exit status, resource usage and the end of all', async () => {
      const owner = run(shell('echo out; echo err >&2; exit 7'));
      const exited = await owner.event('exited');
      expect(exited).toMatchObject({ status: 7 << 8, flags: 0 });
      expect(exited.maxRssBytes).toBeGreaterThan(100_000);
      expect(await owner.finished()).toMatchObject({ flags: 0, durationUs: 0 });
      expect(owner.output).toBe('out\nerr\n');
      expect(owner.terminated).toEqual([]);
    });

    it('reports the signal that ended the leader', async () => {
      const owner = run(shell('kill -KILL $$'));
      expect((await owner.event('exited')).status).toBe(SIGKILL);
      await owner.finished();
    });

    it('names the leader by pid, start ticks and pidfd, in a session below that of the keeper', async () => {
      const owner = run([artist, 'wait']);
      const started = await owner.event('started');
      await owner.ready(1);
      const leader = readStat(started.pid);
      const keeper = readStat(started.keeper);
      expect(started.pidfdPid).toBe(started.pid);
      expect(leader).toMatchObject({ ppid: started.keeper, pgid: started.pid, sid: started.pid, startTicks: BigInt(started.startTicks) });
      expect(keeper).toMatchObject({ name: 'corral-keeper', pgid: started.keeper, sid: started.keeper });
      owner.send('kill');
      await owner.finished();
    });

    it.each([
      ['a command that does not exist', ['no-such-command'], [], STAGE_EXEC, 2],
      ['a directory as command', ['/usr'], [], STAGE_EXEC, 13],
      ['a file that may not be executed', ['/etc/passwd'], [], STAGE_EXEC, 13],
      ['a working directory that does not exist', ['true'], ['cwd=/no/such/directory'], STAGE_CWD, 2],
      ['a file as working directory', ['true'], ['cwd=/etc/passwd'], STAGE_CWD, 20],
    ] as const)('fails for %s and leaves nothing', async (_, command, words, stage, errno) => {
      const owner = run([...command], [...words]);
      expect(await owner.event('failed')).toMatchObject({ stage, errno });
      await owner.event('end');
      expect((await owner.event('keeperExit')).status).toBe(1 << 8);
    });

    it('runs in cwd with a relative command, and keeps the cwd busy no longer than the leader does', async () => {
      const owner = run(['./sh', '-c', 'pwd; exec sleep 30'], ['cwd=/bin/']);
      const { keeper } = await owner.event('started');
      await owner.until(() => owner.output.includes('\n'), 'output');
      expect(owner.output).toMatch(/^(\/usr)?\/bin\n$/);
      await eventually(() => readlinkSync(`/proc/${keeper}/cwd`) === '/');
      owner.send('kill');
      await owner.finished();
    });

    it('holds no end of the stdio pipes: their end is the end of the leader', async () => {
      const owner = run(shell('exec >&- 2>&-; exec "$1" wait'));
      await owner.event('outputEnd');
      const { keeper } = await owner.event('started');
      expect([...openFiles(keeper).values()].some((target) => target.startsWith('pipe:'))).toBe(false);
      owner.send('kill');
      await owner.finished();
    });

    it('hides arguments and environment, and shows which tree it holds', async () => {
      const env = { SECRET: 's3cret', CORRAL_TREE: 'tree-0123456789', LAST: 'z'.repeat(20_000) };
      const owner = run([artist, 'wait', 's3cret'], [], { env });
      const { keeper, pid } = await owner.event('started');
      await owner.ready(1);
      // The leader runs while the keeper still tidies up.
      const title = await eventually(() => {
        const text = readFileSync(`/proc/${keeper}/cmdline`, 'utf8').replace(/\0+$/, '');
        return text.startsWith('corral-keeper --') && text;
      });
      expect(title).toBe(`corral-keeper --tree tree-0123456789 --leader ${pid}`);
      expect(readFileSync(`/proc/${keeper}/environ`, 'utf8')).not.toMatch(/s3cret|SECRET|zzz/);
      expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).toContain('SECRET=s3cret');
      owner.send('kill');
      await owner.finished();
    });

    it('cuts its title to the room there is', async () => {
      const owner = start(program, ['sh', '-c', 'sleep 30'], { prefix: ['env', '-i', `PATH=${process.env.PATH}`] });
      const { keeper } = await owner.event('started');
      await eventually(() => readFileSync(`/proc/${keeper}/cmdline`, 'utf8').startsWith('corral-keeper --leader '));
      owner.send('kill');
      await owner.finished();
    });

    it('runs a script without #! that gets no environment, and hides that as well', async () => {
      const file = path.join(tempDirectory(), 'script');
      writeFileSync(file, 'echo READY script $$; exec sleep 30\n');
      chmodSync(file, 0o755);
      const owner = run([file, 's3cret'], [], { prefix: ['env', '-i'] });
      const [script] = await owner.ready(1);
      const { keeper, pid } = await owner.event('started');
      expect(script?.pid).toBe(pid);
      const title = `corral-keeper --leader ${pid}`;
      await eventually(() => readFileSync(`/proc/${keeper}/cmdline`, 'utf8').replace(/\0+$/, '') === title);
      owner.send('kill');
      await owner.finished();
    });

    it.each(['HUP', 'INT', 'QUIT', 'TERM', 'USR1', 'PIPE', 'ALRM', 'TSTP'] as const)('is not disturbed by SIG%s', async (name) => {
      const owner = run([artist, 'wait']);
      const { keeper } = await owner.event('started');
      process.kill(keeper, `SIG${name}`);
      await owner.ready(1);
      owner.send('kill');
      await owner.finished();
    });

    it('takes its leader with it when it is killed', async () => {
      const owner = run([artist, 'ignore']);
      const { keeper, pid } = await owner.event('started');
      await owner.ready(1);
      process.kill(keeper, 'SIGKILL');
      expect((await owner.event('keeperExit')).status).toBe(SIGKILL);
      await eventually(() => !isAlive(pid));
    });
  });

  // What a tree is made of and how it is ended, on every kind of kernel the keeper knows.
  describe.each([
    ['all of the kernel', []],
    ['no group signal by pidfd', ['refuse=pidfd-group']],
    ['no pidfd at all', ['refuse=pidfd']],
    ['no list of children', ['refuse=children']],
    ['no list of children, no pidfd', ['refuse=children', 'refuse=pidfd']],
    ['no /proc', ['refuse=proc']],
  ] as const)('with %s', (_, kernel) => {
    const trees: [string, string, number][] = [
      ['a leader that ends by the signal', 'exec "$1" wait', 1],
      ['a leader that ignores it', 'exec "$1" ignore', 1],
      ['a member that ignores it when the leader has gone', '"$1" ignore & exec "$1" status 3', 2],
      ['a member in a group of its own', 'set -m; "$1" ignore & "$1" wait & wait', 2],
      ['a member in a session of its own', 'setsid "$1" ignore & exec "$1" wait', 2],
      ['a daemon (double fork, setsid)', '"$1" daemon ignore; exec "$1" wait', 2],
      ['a daemon without an environment', 'env -i "$1" daemon ignore; exec "$1" wait', 2],
      ['a stopped member', '"$1" stop & exec "$1" wait', 2],
      ['a stopped member elsewhere', 'setsid "$1" stop & exec "$1" wait', 2],
      ['a member elsewhere whose first thread has ended', 'setsid "$1" headless & exec "$1" wait', 2],
      ['a chain of sessions', 'exec "$1" chain 30', 1],
      ['a child of another thread', 'exec "$1" thread "$1" chain 3', 1],
      ['many in one group', 'exec "$1" herd 100', 1],
      ['many in sessions of their own', 'exec "$1" flock 100', 1],
      ['processes that hop from session to session', 'exec "$1" hop 5', 1],
      ['a storm of forks', 'exec "$1" storm 4', 1],
      ['a hydra', 'exec "$1" hydra 8', 1],
    ];

    const isWithoutProc = kernel.some((word) => word === 'refuse=proc');
    // There the keeper tries one number after the other, while these take a new number ten thousand times a second.
    const reachable = trees.filter(([name]) => !(isWithoutProc && /hop/.test(name)));

    it.each(reachable)('STOP ends %s', async (name, script, count) => {
      const owner = run(shell(script), [...kernel]);
      const members = await owner.ready(count);
      const { pid, startTicks } = await owner.event('started');
      // Without /proc members elsewhere are found late: when their parents have died, or their numbers have been tried.
      const isStubborn = members.some((member) => member.name === 'ignore') || /hop|storm|hydra/.test(name) || isWithoutProc;
      owner.send(`stop ${SIGTERM} ${isStubborn ? 300 : 15_000}`);
      const exited = await owner.event('exited');
      const empty = await owner.finished();
      for (const member of members) expect(readStat(member.pid), `${member.name} is gone`).toBeUndefined();
      expect(empty.flags & ~(isStubborn ? FORCED : 0)).toBe(0);
      const leader = owner.terminated.find((member) => member.pid === pid);
      expect(leader?.detail).toBe(exited.status & 0x7f);
      expect(leader).toMatchObject({ startTicks });
    });

    it.each(reachable)('KILL ends %s', async (_name, script, count) => {
      const owner = run(shell(script), [...kernel]);
      const members = await owner.ready(count);
      owner.send('kill');
      expect((await owner.event('exited')).status).toBe(SIGKILL);
      const empty = await owner.finished();
      expect(empty.flags).toBe(FORCED);
      for (const member of members) expect(readStat(member.pid), `${member.name} is gone`).toBeUndefined();
    });

    it('stops what the leader left when it ended by itself', async () => {
      const owner = run(shell('"$1" daemon wait; exec "$1" wait'), [...kernel]);
      const members = await owner.ready(2);
      const { pid } = await owner.event('started');
      process.kill(pid, 'SIGUSR1');
      expect((await owner.event('exited')).status).toBe(10);
      expect((await owner.finished()).flags).toBe(0);
      for (const member of members) expect(readStat(member.pid)).toBeUndefined();
    });

    it('waits for it instead', async () => {
      const owner = run(shell('"$1" daemon wait; exit 4'), [`leader=${WAIT}`, ...kernel]);
      const [member] = await owner.ready(1);
      expect((await owner.event('exited')).status).toBe(4 << 8);
      expect(owner.all('empty')).toEqual([]);
      process.kill(member?.pid ?? 0, 'SIGKILL');
      expect(await owner.finished()).toMatchObject({ flags: 0, durationUs: 0 });
    });
  });

  describe('a leader on a terminal', () => {
    it('stays in the session of the keeper, in a group of its own', async () => {
      const owner = run([artist, 'wait'], ['own-group=1']);
      const { keeper, pid } = await owner.event('started');
      await owner.ready(1);
      expect(readStat(pid)).toMatchObject({ ppid: keeper, pgid: pid, sid: keeper });
      owner.send('stop 15 5000');
      expect((await owner.event('exited')).status).toBe(SIGTERM);
      await owner.finished();
    });

    it('its stops are reported, every one and once', async () => {
      const owner = run([artist, 'wait'], ['own-group=1']);
      const { pid } = await owner.event('started');
      await owner.ready(1);
      for (const times of [1, 2]) {
        process.kill(pid, 'SIGSTOP');
        await owner.until(() => owner.all('stopped').length === times, `stop ${times}`);
        process.kill(pid, 'SIGCONT');
      }
      owner.send('kill');
      await owner.finished();
      expect(owner.all('stopped').map(({ signal }) => signal)).toEqual([SIGSTOP, SIGSTOP]);
    });

    it('nobody is told of the stops of one without', async () => {
      const owner = run([artist, 'wait']);
      const { pid } = await owner.event('started');
      await owner.ready(1);
      process.kill(pid, 'SIGSTOP');
      await eventually(() => readStat(pid)?.state === 'T');
      owner.send('stop 15 5000');
      await owner.finished();
      expect(owner.all('stopped')).toEqual([]);
    });

    it('the end of the terminal is reported, and ends nothing by itself', async () => {
      const owner = run([artist, 'wait'], ['own-group=1']);
      const { pid } = await owner.event('started');
      await owner.ready(1);
      owner.send('hangup');
      await owner.event('hungUp');
      expect(isAlive(pid)).toBe(true);
      owner.send('stop 15 5000');
      await owner.finished();
      expect(owner.all('hungUp')).toHaveLength(1);
    });
  });

  describe('the end of the leader', () => {
    it('begins the whole ladder for the others', async () => {
      const owner = run(shell('"$1" daemon ignore; while [ ! -e "$PWD/go" ]; do sleep 0.01; done'), ['grace=200', 'cwd=/']);
      const [member] = await owner.ready(1);
      process.kill((await owner.event('started')).pid, 'SIGKILL');
      expect((await owner.event('exited')).flags).toBe(0);
      const empty = await owner.finished();
      expect(empty.flags).toBe(FORCED);
      expect(empty.durationUs).toBeGreaterThanOrEqual(200_000);
      expect(owner.terminated).toContainEqual(expect.objectContaining({ pid: member?.pid, detail: SIGKILL, name: 'artist' }));
    });

    it('leaves the others alone, by policy', async () => {
      const owner = run(shell('"$1" daemon wait; exit 0'), [`leader=${LEAVE}`]);
      const [member] = await owner.ready(1);
      const pid = member?.pid ?? 0;
      // The daemon may say READY after the keeper has gone.
      expect(await owner.finished()).toMatchObject({ flags: LEFT, durationUs: 0 });
      expect(isAlive(pid)).toBe(true);
      process.kill(pid, 'SIGKILL');
      await eventually(() => !isAlive(pid));
    });

    it('has nothing to leave when nothing is left', async () => {
      const owner = run(['true'], [`leader=${LEAVE}`]);
      expect((await owner.finished()).flags).toBe(0);
    });

    it('is no reason to leave anything when a stop was asked for', async () => {
      const owner = run(shell('"$1" daemon ignore; exec "$1" wait'), [`leader=${LEAVE}`]);
      const members = await owner.ready(2);
      owner.send(`stop ${SIGTERM} 100`);
      expect((await owner.finished()).flags).toBe(FORCED);
      for (const member of members) expect(readStat(member.pid)).toBeUndefined();
    });

    it('does not stop the reaping of what was adopted', async () => {
      const script = 'for i in 1 2 3 4 5; do (setsid true &); done; exec "$1" wait';
      const owner = run(shell(script));
      const { keeper, pid } = await owner.event('started');
      await owner.ready(1);
      await eventually(() => readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'utf8').trim() === String(pid));
      owner.send('kill');
      await owner.finished();
    });
  });

  it('reaps a thousand that it adopts while the tree lives on', async () => {
    const owner = run(shell('i=0; while [ $i -lt 1000 ]; do (true &); i=$((i + 1)); done; echo DONE; exec "$1" wait'));
    const { keeper, pid } = await owner.event('started');
    const zombies = () => allProcesses().filter(({ ppid, state }) => ppid === keeper && state === 'Z').length;
    await owner.until(() => owner.output.includes('DONE'), 'the end of the thousand');
    await eventually(() => zombies() === 0, 5000, 'nobody adopted stays a zombie');
    expect(isAlive(pid)).toBe(true);
    owner.send('kill');
    await owner.finished();
  });

  describe('the end of the owner', () => {
    it.each([
      ['closes the socket', (owner: Owner) => owner.send('close')],
      ['is killed', (owner: Owner) => owner.child.kill('SIGKILL')],
    ] as const)('ends the tree: it %s', async (_, end) => {
      const owner = run(shell('"$1" daemon ignore; exec "$1" wait'), ['grace=100']);
      const members = await owner.ready(2);
      const { keeper } = await owner.event('started');
      end(owner);
      await eventually(() => members.every((member) => !isAlive(member.pid)) && !isAlive(keeper));
    });

    it('lets the tree live, by policy, and is no reason for the keeper to stay', async () => {
      const owner = run(shell('"$1" daemon wait; exec "$1" wait'), [`owner=${LEAVE}`]);
      const members = await owner.ready(2);
      owner.send('close');
      expect((await owner.event('keeperExit')).status).toBe(0);
      for (const member of members) {
        expect(isAlive(member.pid)).toBe(true);
        process.kill(member.pid, 'SIGKILL');
      }
    });

    it('does not end the timeout', async () => {
      const owner = run([artist, 'wait'], [`owner=${LEAVE}`, 'timeout=2000']);
      const [member] = await owner.ready(1);
      owner.send('close');
      expect((await owner.event('keeperExit')).status).toBe(0);
      expect(readStat(member?.pid ?? 0)).toBeUndefined();
    });

    it('does not end a ladder that has begun', async () => {
      const owner = run([artist, 'ignore'], [`owner=${LEAVE}`]);
      const [member] = await owner.ready(1);
      owner.send(`stop ${SIGTERM} 200`);
      owner.send('close');
      expect((await owner.event('keeperExit')).status).toBe(0);
      expect(readStat(member?.pid ?? 0)).toBeUndefined();
    });
  });

  it.each([
    ['until its owner has closed the socket', ['close']],
    ['though its owner never closes it, not for long', []],
  ])('stays after its last word %s', async (_, commands) => {
    const owner = run(['true']);
    await owner.event('empty');
    for (const command of commands) owner.send(command);
    expect((await owner.event('keeperExit')).status).toBe(0);
  });

  it('says that the ladder ended a leader that its owner killed right after it had asked for that', async () => {
    const owner = run([artist, 'wait']);
    const [leader] = await owner.ready(1);
    const { keeper } = await owner.event('started');
    // Stopped, so that it wakes up to both at once.
    process.kill(keeper, 'SIGSTOP');
    await eventually(() => readStat(keeper)?.state === 'T');
    owner.send('kill\nkill');
    await owner.until(() => owner.events.filter(({ type }) => type === 'asked').length === 2, 'the first is in the socket');
    process.kill(leader?.pid ?? 0, 'SIGKILL');
    process.kill(keeper, 'SIGCONT');
    expect((await owner.event('exited')).flags & FORCED).toBe(FORCED);
    await owner.finished();
    expect(owner.terminated).toMatchObject([{ pid: leader?.pid, detail: SIGKILL, name: 'artist' }]);
  });

  it('takes the last word of an owner that did not read its replies', async () => {
    const owner = run(shell('"$1" daemon ignore; exec "$1" wait'), [`leader=${WAIT}`, `owner=${LEAVE}`]);
    const members = await owner.ready(2);
    const { pid } = await owner.event('started');
    owner.send('pause');
    process.kill(pid, 'SIGKILL');
    await eventually(() => readStat(pid) === undefined);
    owner.send(`stop ${SIGTERM} 100\nclose`);
    expect((await owner.event('keeperExit')).status).toBe(0);
    for (const member of members) expect(readStat(member.pid)).toBeUndefined();
  });

  describe('the ladder', () => {
    it('begins by itself at the timeout', async () => {
      const owner = run([artist, 'wait'], ['timeout=200']);
      expect(await owner.event('exited')).toMatchObject({ status: SIGTERM, flags: TIMED_OUT });
      const empty = await owner.finished();
      expect(empty.flags).toBe(TIMED_OUT);
    });

    it('counts the whole run for the timeout, not the life of the leader', async () => {
      const owner = run(shell('"$1" daemon ignore; exit 0'), ['timeout=2000', 'grace=100', `leader=${WAIT}`]);
      expect((await owner.event('exited')).flags).toBe(0);
      expect((await owner.finished()).flags).toBe(TIMED_OUT | FORCED);
    });

    it('uses the signal of the packet, or of the start', async () => {
      const byPacket = run(shell('trap "exit 5" INT; echo READY trap $$; while :; do sleep 0.01; done'));
      await byPacket.ready(1);
      byPacket.send('stop 2 5000');
      expect((await byPacket.event('exited')).status).toBe(5 << 8);
      await byPacket.finished();
      const byStart = run([artist, 'wait'], ['signal=10', 'timeout=100']);
      expect((await byStart.event('exited')).status).toBe(10);
      await byStart.finished();
    });

    it('forces at once when that signal is SIGKILL', async () => {
      const owner = run([artist, 'wait']);
      await owner.ready(1);
      owner.send(`stop ${SIGKILL} 5000`);
      expect(await owner.finished()).toMatchObject({ flags: FORCED });
    });

    it('gives the grace period, and not more', async () => {
      const owner = run([artist, 'ignore']);
      await owner.ready(1);
      owner.send(`stop ${SIGTERM} 300`);
      const { durationUs, flags } = await owner.finished();
      expect(flags).toBe(FORCED);
      expect(durationUs).toBeGreaterThanOrEqual(300_000);
      expect(durationUs).toBeLessThan(5_000_000);
    });

    it('gives none when it is 0', async () => {
      const owner = run([artist, 'ignore']);
      await owner.ready(1);
      owner.send(`stop ${SIGTERM} 0`);
      expect((await owner.finished()).flags).toBe(FORCED);
    });

    it('is shortened by a second STOP and never lengthened', async () => {
      const owner = run([artist, 'ignore']);
      await owner.ready(1);
      owner.send(`stop ${SIGTERM} 60000`);
      owner.send(`stop ${SIGTERM} 200`);
      owner.send(`stop ${SIGTERM} 60000`);
      owner.send(`stop ${SIGTERM} -1`);
      const { durationUs } = await owner.finished();
      expect(durationUs).toBeGreaterThanOrEqual(200_000);
      expect(durationUs).toBeLessThan(5_000_000);
    });

    it('is cut short by KILL', async () => {
      const owner = run([artist, 'ignore']);
      await owner.ready(1);
      owner.send(`stop ${SIGTERM} 60000`);
      owner.send('kill');
      expect((await owner.finished()).flags).toBe(FORCED);
    });

    it('reports who does not end where SIGKILL is not allowed, and again when asked again', async () => {
      const owner = run(shell('"$1" daemon ignore; exec "$1" wait'));
      const members = await owner.ready(2);
      const daemon = members.find((member) => member.name === 'ignore');
      owner.send(`stop ${SIGTERM} -1`);
      const left = await owner.survivors();
      expect(left).toEqual([
        { pid: daemon?.pid, detail: NOT_FORCED, startTicks: String(readStat(daemon?.pid ?? 0)?.startTicks), name: 'artist' },
      ]);
      expect(owner.all('empty')).toEqual([]);
      owner.send(`stop ${SIGTERM} -1`);
      await owner.until(() => owner.all('survivors').length === 4, 'a second list');
      owner.send('kill');
      expect((await owner.finished()).flags).toBe(FORCED);
    });

    it('names whoever ended by what, once', async () => {
      const owner = run(shell('"$1" status 3 & setsid "$1" ignore & exec "$1" wait'));
      const members = await owner.ready(3);
      owner.send(`stop ${SIGTERM} 60000`);
      const obedient = members.filter(({ name }) => name !== 'ignore');
      await eventually(() => obedient.every(({ pid }) => readStat(pid) === undefined));
      owner.send('kill');
      await owner.finished();
      const details = members.map(({ name, pid }) => [
        name,
        owner.terminated.filter((member) => member.pid === pid).map((member) => member.detail),
      ]);
      expect(Object.fromEntries(details)).toEqual({ status: [0], ignore: [SIGKILL], wait: [SIGTERM] });
    });

    it('ends a thousand in one group, each of them reported', async () => {
      const owner = run([artist, 'herd', '1000']);
      await owner.ready(1);
      owner.send(`stop ${SIGTERM} 20000`);
      expect((await owner.finished()).flags).toBe(0);
      expect(new Set(owner.terminated.map((member) => member.pid)).size).toBe(1001);
      expect(owner.terminated.filter((member) => member.name === 'artist').length).toBeGreaterThanOrEqual(32);
    });

    it('keeps its reports for an owner that does not read, and waits for nobody meanwhile', async () => {
      const owner = run([artist, 'flock', '600'], ['sndbuf=1']);
      await owner.ready(1);
      const { pid, keeper } = await owner.event('started');
      owner.send('pause');
      owner.send('kill');
      await eventually(() => readStat(pid) === undefined);
      await eventually(() => readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'utf8') === '');
      await eventually(() => readStat(keeper)?.state === 'S');
      owner.send('resume');
      await owner.finished();
      expect(new Set(owner.terminated.map((member) => member.pid)).size).toBe(601);
    });

    // A tree that is a member of a tree: its owner reads a pipe that stays open as long as the shell's `sleep`.
    const nested = (words: string) => [...shell(`sleep 30 | "$2" "$3" ${words}`), built.program('keeper-owner'), built.program(program)];

    it('ends a tree within a tree, whose keeper loses its owner', async () => {
      const owner = run(nested('grace=100 -- "$1" ignore'));
      const [, pid] = await owner.until(() => /READY ignore (\d+)/.exec(owner.output), 'the inner leader');
      owner.send(`stop ${SIGTERM} 10000`);
      expect((await owner.finished()).flags).toBe(0);
      expect(readStat(Number(pid))).toBeUndefined();
    });

    it('ends a tree within a tree whose keeper is killed as well', async () => {
      const owner = run(nested('leader=1 -- "$1" daemon ignore'));
      const [, pid] = await owner.until(() => /READY ignore (\d+)/.exec(owner.output), 'the inner daemon');
      owner.send('kill');
      expect((await owner.finished()).flags).toBe(FORCED);
      expect(readStat(Number(pid))).toBeUndefined();
    });

    it('names the members it may not signal as survivors, and ends when they do', async (context) => {
      requireRoot(context, 'makes a program that is set-user-ID');
      const directory = tempDirectory();
      chmodSync(directory, 0o755);
      const privileged = path.join(directory, 'artist');
      copyFileSync(artist, privileged);
      chmodSync(privileged, 0o4755);
      // The keeper is an ordinary user's: a process that has become root is none of its business.
      const owner = run(shell(`"${privileged}" root wait & exec "$1" wait`), [], {
        prefix: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'],
      });
      const members = await owner.ready(2);
      const { pid: leader } = await owner.event('started');
      const other = members.find((member) => member.pid !== leader);
      owner.send('kill');
      expect((await owner.event('exited')).status).toBe(SIGKILL);
      expect(await owner.survivors()).toMatchObject([{ pid: other?.pid, detail: EPERM_REASON, name: 'artist' }]);
      expect(owner.all('empty')).toEqual([]);
      process.kill(other?.pid ?? 0, 'SIGKILL');
      await owner.finished();
    });

    it('names a member in uninterruptible sleep as a survivor, and ends when it does', async (context) => {
      requireRoot(context, 'freezes a process');
      // What a freezer of cgroup v1 holds is in state D and takes no signal, SIGKILL included.
      const freezer = testFreezer(process.env.CORRAL_TEST_ROOT as string);
      try {
        mkdirSync(freezer);
      } catch {
        context.skip('needs the freezer of cgroup v1');
      }
      const set = (state: string) => writeFileSync(path.join(freezer, 'freezer.state'), state);
      onTestFinished(async () => {
        set('THAWED');
        await eventually(() => rmdirSync(freezer) === undefined);
      });
      const owner = run(shell('"$1" daemon wait; exec "$1" wait'));
      const members = await owner.ready(2);
      const { pid: leader } = await owner.event('started');
      const frozen = members.find((member) => member.pid !== leader);
      writeFileSync(path.join(freezer, 'cgroup.procs'), String(frozen?.pid));
      set('FROZEN');
      await eventually(() => readStat(frozen?.pid ?? 0)?.state === 'D');
      owner.send(`stop ${SIGTERM} 100`);
      expect(await owner.survivors()).toMatchObject([{ pid: frozen?.pid, detail: UNINTERRUPTIBLE, name: 'artist' }]);
      expect(owner.all('empty')).toEqual([]);
      set('THAWED');
      expect((await owner.finished()).flags).toBe(FORCED);
    });
  });

  // The next process gets a number of our choice, unless that number is taken or somebody else is quicker.
  function startAs(pid: number): number {
    for (let attempt = 0; attempt < 20; attempt++) {
      writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
      const stranger = spawn(artist, ['wait'], { stdio: 'ignore', detached: true });
      const exited = new Promise((resolve) => stranger.once('exit', resolve));
      onTestFinished(async () => {
        stranger.kill('SIGKILL');
        await exited;
      });
      if (stranger.pid === pid) return pid;
    }
    return -1;
  }

  describe('a leader that has ended', () => {
    it('is not confused with a stranger who leads a group of the same number', async (context) => {
      requireRoot(context, 'chooses a pid');
      const owner = run(shell('"$1" daemon ignore; exec "$1" wait'), [`leader=${WAIT}`]);
      const members = await owner.ready(2);
      const { pid } = await owner.event('started');
      process.kill(pid, 'SIGKILL');
      await eventually(() => readStat(pid) === undefined);
      expect(startAs(pid)).toBe(pid);
      expect(readStat(pid)).toMatchObject({ pgid: pid, sid: pid });
      owner.send(`stop ${SIGTERM} 200`);
      expect((await owner.finished()).flags).toBe(FORCED);
      for (const member of members) if (member.pid !== pid) expect(readStat(member.pid)).toBeUndefined();
      expect(isAlive(pid)).toBe(true);
    });

    it('keeps its number where the group can be signalled by number only', async (context) => {
      requireRoot(context, 'chooses a pid');
      const owner = run(shell('"$1" daemon ignore; exec "$1" wait'), [`leader=${WAIT}`, 'refuse=pidfd-group']);
      await owner.ready(2);
      const { pid } = await owner.event('started');
      process.kill(pid, 'SIGKILL');
      await owner.event('exited');
      expect(readStat(pid)?.state).toBe('Z');
      expect(startAs(pid)).toBe(-1);
      owner.send('kill');
      await owner.finished();
      expect(readStat(pid)).toBeUndefined();
    });
  });

  describe('packets', () => {
    const header = (type: number, size: number, version = VERSION) => {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt8(version, 0);
      bytes.writeUInt8(type, 1);
      bytes.writeUInt32LE(size, 4);
      return bytes;
    };
    const stop = (signal: number, graceMs: bigint) => {
      const rest = Buffer.alloc(16);
      rest.writeInt32LE(signal, 0);
      rest.writeBigInt64LE(graceMs, 8);
      return Buffer.concat([header(2, 24), rest]);
    };

    it.each([
      ['of no length', Buffer.alloc(0)],
      ['too short for a header', Buffer.from([VERSION, 3])],
      ['of another version', header(3, 8, VERSION + 1)],
      ['of an unknown type', header(99, 8)],
      ['of a type that only the keeper sends', header(70, 8)],
      ['with a size that is not its own', header(3, 9)],
      ['longer than its type', Buffer.concat([header(3, 12), Buffer.alloc(4)])],
      ['longer than any', Buffer.concat([header(3, 4000), Buffer.alloc(3992)])],
      ['cut short', header(2, 8)],
      ['that starts again', header(1, 8)],
      ['with signal 0', stop(0, 0n)],
      ['with signal 65', stop(65, 0n)],
      ['with a negative grace', stop(SIGTERM, -2n)],
    ])('%s are ignored', async (_, bytes) => {
      const owner = run([artist, 'wait']);
      await owner.ready(1);
      owner.send(`raw ${bytes.toString('hex') || '-'}`);
      // Taken in order: the answer to this one shows that the other has been read.
      owner.send('stop 10 5000');
      expect((await owner.event('exited')).status).toBe(10);
      expect((await owner.finished()).flags).toBe(0);
      expect(owner.all('sendFailed')).toEqual([]);
    });

    it('that are all wrong do not keep it from what is right, nor from its tree', async () => {
      const owner = run(shell('"$1" daemon ignore; exec "$1" wait'), ['grace=100']);
      const members = await owner.ready(2);
      // A fixed sequence (xorshift32), so that a failure can be repeated.
      let state = 0x2545f491;
      const random = () => {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        return state >>> 0;
      };
      for (let i = 0; i < 200; i++) {
        // The first byte is no version there is.
        const bytes = Buffer.from([0xff, ...Array.from({ length: random() % 2000 }, () => random() & 0xff)]);
        owner.send(`raw ${bytes.toString('hex')}`);
      }
      owner.send(`stop ${SIGTERM} 100`);
      expect((await owner.finished()).flags).toBe(FORCED);
      for (const { pid } of members) expect(readStat(pid)).toBeUndefined();
      expect(owner.all('sendFailed')).toEqual([]);
    });

    it('may bring descriptors, which it does not keep', async () => {
      const owner = run([artist, 'wait']);
      const [leader] = await owner.ready(1);
      const { keeper } = await owner.event('started');
      await eventually(() => openFiles(keeper).size === 3); // it has let go of the leader's stdio
      owner.send(`descriptors ${header(99, 8).toString('hex')}`);
      // Nobody dies of SIGURG (23): that the leader is reported shows that the packet counts, whatever came with it.
      owner.send(`descriptors ${stop(23, -1n).toString('hex')}`);
      expect(await owner.survivors()).toMatchObject([{ pid: leader?.pid, detail: NOT_FORCED }]);
      expect(openFiles(keeper).size).toBe(3);
      owner.send('kill');
      await owner.finished();
    });

    const SIZE = 8 + 16 + 16 + SETTINGS_SIZE + LEAF_SIZE;
    const startPacket = (change: (bytes: Buffer) => void) => {
      const bytes = Buffer.alloc(SIZE);
      header(1, SIZE).copy(bytes);
      bytes.writeInt32LE(SIGTERM, 8);
      change(bytes);
      return bytes;
    };

    it('a START made by hand is accepted', async () => {
      const owner = run(['true'], [`start=${startPacket(() => {}).toString('hex')}`]);
      expect((await owner.finished()).flags).toBe(0);
    });

    it.each([
      ['of another version', startPacket((bytes) => bytes.writeUInt8(VERSION + 1, 0))],
      ['of another type', startPacket((bytes) => bytes.writeUInt8(3, 1))],
      ['of a wrong size', startPacket(() => {}).subarray(0, SIZE - 4)],
      ['with a wrong size', startPacket((bytes) => bytes.writeUInt32LE(SIZE - 4, 4))],
      ['without a signal', startPacket((bytes) => bytes.writeInt32LE(0, 8))],
      ['with an unknown policy', startPacket((bytes) => bytes.writeUInt32LE(3, 12))],
      ['that waits for the end of its owner', startPacket((bytes) => bytes.writeUInt32LE(WAIT, 16))],
      ['with a negative grace', startPacket((bytes) => bytes.writeBigInt64LE(-2n, 24))],
      ['with a negative timeout', startPacket((bytes) => bytes.writeBigInt64LE(-1n, 32))],
      ['with more limits than there are', startPacket((bytes) => bytes.writeUInt32LE(17, 40 + 28))],
      ['with a leaf that is elsewhere', startPacket((bytes) => bytes.write('a/b', SIZE - LEAF_SIZE))],
      ['with a leaf that is its own parent', startPacket((bytes) => bytes.write('..', SIZE - LEAF_SIZE))],
      ['with a name of a leaf that does not end', startPacket((bytes) => bytes.fill('x', SIZE - LEAF_SIZE))],
      ['with more groups than there are', startPacket((bytes) => bytes.writeUInt32LE(257, 40 + 32 + 16 * 24))],
    ])('a START %s is refused', async (_, bytes) => {
      const owner = run(['true'], [`start=${bytes.toString('hex')}`]);
      expect(await owner.event('failed')).toMatchObject({ stage: STAGE_KEEPER, errno: EPROTO });
      expect((await owner.event('keeperExit')).status).toBe(1 << 8);
    });

    it.each([0, 1, 2, 3])('%i arguments are refused', async (count) => {
      const owner = run(['true'], [`argc=${count}`]);
      expect(await owner.event('failed')).toMatchObject({ stage: STAGE_KEEPER, errno: EPROTO });
    });
  });

  describe('settings', () => {
    it('are those of the leader, not of the keeper', async (context) => {
      requireRoot(context, 'changes ids and lowers the oom score');
      const directory = tempDirectory();
      chmodSync(directory, 0o755);
      const words = ['uid=65534', 'gid=65533', 'groups=65532', 'nice=5', 'umask=027', 'limit=7:100:200', `cwd=${directory}`];
      const owner = run(
        shell('id -u; id -g; id -G; nice; umask; ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj; exec "$1" wait'),
        words,
      );
      await owner.ready(1);
      const before = readFileSync('/proc/self/oom_score_adj', 'utf8').trim();
      expect(owner.output.split('\n').slice(0, 8)).toEqual(['65534', '65533', '65533 65532', '5', '0027', '100', '200', before]);
      const { keeper } = await owner.event('started');
      expect(readFileSync(`/proc/${keeper}/status`, 'utf8')).toMatch(/^Uid:\t0\t0\t0\t0$/m);
      // Best effort: root may lack the capability (CAP_SYS_RESOURCE, bit 24).
      const capabilities = BigInt(`0x${/^CapEff:\s+(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`);
      const expected = (capabilities >> 24n) & 1n ? '-1000' : before;
      await eventually(() => readFileSync(`/proc/${keeper}/oom_score_adj`, 'utf8').trim() === expected);
      expect(readFileSync(`/proc/${keeper}/limits`, 'utf8')).not.toMatch(/Max open files +100 /);
      owner.send('kill');
      await owner.finished();
    });

    it('do not need a privilege to protect the keeper', async (context) => {
      requireUnprivileged(context, 'root may lower the oom score');
      const owner = run([artist, 'wait']);
      await owner.ready(1);
      owner.send('kill');
      await owner.finished();
    });
  });

  it('needs little memory', async (context) => {
    if (program !== 'keeper') context.skip('the sanitizers need much');
    const owner = run([artist, 'wait'], [], { env: { FILL: 'x'.repeat(100_000) } });
    await owner.ready(1);
    const { keeper } = await owner.event('started');
    // The leader may be ready before its keeper has let go of what it does not need: arguments, environment, stdio.
    await eventually(() => openFiles(keeper).size <= 3); // control, signalfd, pidfd
    const residentKb = await eventually(() => {
      const kb = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${keeper}/status`, 'utf8'))?.[1]);
      return kb < 100 && kb;
    });
    expect(residentKb).toBeGreaterThan(0);
    owner.send('kill');
    await owner.finished();
  });

  it('describes members with any name', async () => {
    const directory = tempDirectory();
    const odd = path.join(directory, 'a) b\n(c');
    copyFileSync(artist, odd);
    chmodSync(odd, 0o755);
    const owner = run([odd, 'wait']);
    const started = await owner.event('started');
    await owner.ready(1);
    owner.send('kill');
    await owner.finished();
    expect(owner.terminated).toEqual([{ pid: started.pid, detail: SIGKILL, startTicks: started.startTicks, name: 'a) b\n(c' }]);
  });
});
