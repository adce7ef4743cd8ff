/**
 * Numbers of processes are given to others at every moment when corral holds, knows or signals the old ones; nobody else may notice.
 *   node test/torture/pid-reuse.mjs [--recycles 2000] [--storm-seconds 10] [--unverified] [--only WORD]
 *
 * Runs in a pid namespace of its own with pid_max 400. "Recycled" is counted only what happened for certain: the number of a process that
 * corral has a handle, an identity or a row of was given to a bystander (clone3 with set_tid) and corral then acted. Numbers that the
 * storm made go round are counted apart. Ends with one line of JSON; exit status 1 when a bystander was hit, or something else was wrong,
 * 69 where numbers can not be chosen.
 * With --unverified the addon that signals by number is used (scripts/build.mjs unverified): that run has to hit.
 */
import { execFileSync, spawn as nodeSpawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { constants, release, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    recycles: { type: 'string', default: '2000' },
    'storm-seconds': { type: 'string', default: '10' },
    unverified: { type: 'boolean' },
    only: { type: 'string' },
    inside: { type: 'string' },
  },
});
const root = fileURLToPath(new URL('../..', import.meta.url));
const PID_MAX = 400;
const NOT_POSSIBLE = 69;

// ---- Outside: the namespace --------------------------------------------------------------------------------------------

/** Only since Linux 6.14 pid_max belongs to the namespace. Before that the machine's would be lowered. */
function hasOwnPidMax() {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 14);
}

function outside() {
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-reuse-'));
  const lower = hasOwnPidMax() ? `echo ${PID_MAX} > /proc/sys/kernel/pid_max || exit 70; ` : '';
  // An ordinary user stays one, and has the right to choose numbers in a user namespace of its own.
  const user = process.getuid() === 0 ? [] : ['--user', '--map-current-user', '--keep-caps'];
  const namespace = ['unshare', ...user, '--pid', '--fork', '--mount-proc', '--kill-child', '--'];
  const command = [...namespace, 'sh', '-c', `${lower}"$@"; exit $?`, 'corral-reuse-init', process.execPath, ...process.argv.slice(1)];
  const unverified = { CORRAL_NATIVE_PATH: path.join(root, '.cache/unverified/build/Release/corral.node') };
  try {
    execFileSync(process.env.CC ?? 'cc', [
      ...['-O2', '-static', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-o', path.join(directory, 'recycler')],
      path.join(root, 'test/fixtures/c/recycler.c'),
    ]);
    execFileSync('mkfifo', [path.join(directory, 'commands'), path.join(directory, 'answers')]);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  return new Promise((resolve) => {
    const child = nodeSpawn(command[0], [...command.slice(1), '--inside', directory], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...(options.unverified ? unverified : {}) },
    });
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill('SIGKILL'));
    child.on('exit', (code, signal) => resolve(signal === null ? code : 128 + constants.signals[signal]));
  }).finally(() => rmSync(directory, { recursive: true, force: true }));
}

// ---- The recycler -------------------------------------------------------------------------------------------------------

/** Answers before anything else in this program can run: what is done at a gate is done between two instructions of corral. */
class Recycler {
  constructor(directory) {
    const commands = openSync(path.join(directory, 'commands'), 'r+');
    const answers = openSync(path.join(directory, 'answers'), 'r+');
    this.child = nodeSpawn(path.join(directory, 'recycler'), { stdio: [commands, answers, 'inherit'] });
    this.child.on('exit', (code, signal) => {
      if (this.closing) return;
      process.stderr.write(`the recycler has ended: ${code ?? signal}\n`);
      process.exit(70);
    });
    this.commands = commands;
    this.answers = openSync(path.join(directory, 'answers'), 'r');
    closeSync(answers);
    this.text = '';
  }

  ask(command) {
    writeSync(this.commands, `${command}\n`);
    const buffer = Buffer.alloc(65536);
    for (;;) {
      const end = this.text.indexOf('\n');
      if (end >= 0) {
        const line = this.text.slice(0, end);
        this.text = this.text.slice(end + 1);
        return line.trim().split(/\s+/);
      }
      const size = readSync(this.answers, buffer);
      if (size === 0) throw new Error(`the recycler has ended at: ${command}`);
      this.text += buffer.toString('latin1', 0, size);
    }
  }

  canChoose() {
    const errno = Number(this.ask('P')[0]);
    this.check();
    return errno;
  }

  targets(count, flags = '-') {
    return this.ask(`T ${count} ${flags}`).map(Number);
  }

  orphan(program) {
    return Number(this.ask(`O ${program}`)[0]);
  }

  end(pids) {
    this.ask(`E ${pids.join(' ')}`);
  }

  /** Gives these numbers to bystanders; all of them, or the run is worth nothing. */
  give(pids, flags = '-') {
    const [had] = this.ask(`B ${flags} ${pids.join(' ')}`);
    if (Number(had) !== pids.length) throw new Error(`only ${had} of ${pids.length} numbers could be had`);
  }

  recycle(pids, flags) {
    this.end(pids);
    this.give(pids, flags);
  }

  /** Ends the bystanders and tells how many there were and which signals they got, as number:signal:sender. */
  check() {
    const [count, hits, ...list] = this.ask('C');
    return { count: Number(count), hits: Number(hits), list };
  }

  beginStorm(forksPerSecond, live) {
    this.ask(`S ${forksPerSecond} ${live}`);
  }

  endStorm() {
    const [forks, reissued, hits, ...list] = this.ask('s');
    return { forks: Number(forks), reissued: Number(reissued), hits: Number(hits), list };
  }

  close() {
    this.closing = true;
    closeSync(this.commands);
    this.child.kill('SIGKILL');
  }
}

// ---- Inside -------------------------------------------------------------------------------------------------------------

async function inside(directory) {
  const dist = (name) => import(new URL(`../../dist/${name}`, import.meta.url).href);
  const { attach, killTree, spawn, sweep } = await dist('index.js');
  const { closeId, native, newId, receive, SCOPE_GROUP } = await dist('native.js');
  const { hold, keepAlive } = await dist('tree/hold.js');
  const { identityOf } = await dist('tree/identity.js');
  const { scan } = await dist('tree/scan.js');
  const { selectTree, twice } = await dist('tree/select.js');
  const { terminate, terminateListed } = await dist('tree/terminate.js');
  const { loadConfig } = await dist('orphans/config.js');

  if ((native().unverified !== undefined) !== (options.unverified === true)) throw new Error('this is not the addon that was asked for');
  const recycler = new Recycler(directory);
  const errno = recycler.canChoose();
  if (errno !== 0) {
    process.stderr.write(
      `numbers can not be chosen here: clone3(2) with set_tid fails with errno ${errno} (Linux 5.5, CAP_CHECKPOINT_RESTORE)\n`,
    );
    recycler.close();
    process.exitCode = NOT_POSSIBLE;
    return;
  }
  const wrong = [];
  /** What is returned is asserted where identities are checked; without, only who is hit counts. */
  const check = (condition, what) => {
    if (!condition && !options.unverified) wrong.push(what);
  };
  const SIGNALS = ['SIGTERM', 'SIGKILL', 'SIGUSR1', 'SIGSTOP', 'SIGCONT'];
  const pick = (list, n) => list[n % list.length];
  let turn = 0;

  // A process of which nothing is left but its number, and whoever has that now.
  async function attached(count) {
    const pids = recycler.targets(count);
    const handles = await Promise.all(pids.map((pid) => attach(pid)));
    recycler.recycle(pids);
    const signal = pick(SIGNALS, turn++);
    for (const handle of handles) {
      check(handle.kill(signal) === false, `attached.kill(${signal}) said true`);
      check(handle.isAlive() === false, 'attached.isAlive() said true');
      handle[Symbol.dispose]();
    }
  }

  async function heldGroup(count) {
    const pids = recycler.targets(count, 'g');
    const ids = pids.map((pid) => {
      const id = newId({ [receive]() {} });
      native().open(id, pid, 0n);
      return id;
    });
    recycler.recycle(pids, pick(['g', 's', 'd'], turn++));
    for (const id of ids) {
      check(native().signal(id, constants.signals.SIGTERM, SCOPE_GROUP) < 0, 'a stale group was signalled');
      closeId(id);
    }
  }

  async function attachAfter(count) {
    const pids = recycler.targets(count);
    const identities = pids.map(identityOf);
    recycler.recycle(pids, 'w');
    for (const identity of identities) {
      try {
        const handle = await attach(identity);
        check(false, 'attach() took hold of another process');
        handle.kill();
        handle[Symbol.dispose]();
      } catch (error) {
        check(error.code === 'ERR_NO_SUCH_PROCESS', String(error));
      }
    }
  }

  async function killTreeAfter(count) {
    const pids = recycler.targets(count, 'g');
    const identities = pids.map(identityOf);
    recycler.recycle(pids, pick(['w', 'wg', 'ws', 'wd'], turn++));
    for (const identity of identities) {
      const report = await killTree(identity, { forceKillAfterDelay: 5 });
      check(report.terminated.length === 0 && report.survivors.length === 0, 'killTree() of a stale identity had something to end');
    }
  }

  /** corral's own system, with `act` called once, at the stage: before a hold, before the n-th of a signal. */
  function gated(stage, act) {
    let isDone = false;
    const gate = (name) => {
      if (isDone || name !== stage) return;
      isDone = true;
      act();
    };
    const sent = new Map();
    return {
      gate,
      keepAlive,
      nowMs: () => performance.now(),
      scan,
      hold(info, onEnd) {
        gate('hold');
        const held = hold(info, onEnd);
        if (typeof held === 'number') return held;
        return {
          ...held,
          signal(signal) {
            const count = (sent.get(signal) ?? 0) + 1;
            sent.set(signal, count);
            gate(`${signal}#${count}`);
            return held.signal(signal);
          },
        };
      },
    };
  }

  const { SIGTERM, SIGKILL, SIGSTOP, SIGCONT } = constants.signals;
  const STAGES = {
    'between look and hold': 'look',
    'before the hold': 'hold',
    'before SIGSTOP': `${SIGSTOP}#1`,
    'before SIGTERM': `${SIGTERM}#1`,
    'before SIGCONT': `${SIGCONT}#1`,
    'in the grace period': 'grace',
    'before the second SIGSTOP': `${SIGSTOP}#2`,
    'before SIGKILL': `${SIGKILL}#1`,
  };

  const treeAt = (stage) => async (count) => {
    await Promise.all(
      recycler.targets(count, 'gi').map(async (pid) => {
        const flags = pick(['w', 'wg', 'ws', 'wd'], turn++);
        let grace;
        const system = gated(stage, () => {
          clearTimeout(grace);
          recycler.recycle([pid], flags);
        });
        const select = twice(selectTree(identityOf(pid)));
        const gatedSelect = async () => {
          const rows = await select();
          system.gate('look');
          return rows;
        };
        if (stage === 'grace') grace = setTimeout(() => system.gate('grace'), 10);
        const report = await terminate(gatedSelect, { forceKillAfterDelay: 25, killWaitMs: 10_000 }, system);
        clearTimeout(grace);
        system.gate(stage); // the ladder was over before its stage came: still one recycle, which corral must not notice
        check(report.survivors.length === 0, `killTree ${stage}: ${JSON.stringify(report.survivors.map(({ pid: who }) => who))} survived`);
      }),
    );
  };

  const listedAt = (stage) => async (count) => {
    const pids = recycler.targets(count, 'gi');
    const rows = [...(await scan({ pids, fields: ['name', 'state'] }))];
    const flags = pick(['w', 'wg', 'ws'], turn++);
    const system = gated(stage, () => recycler.recycle(pids, flags));
    const recheck = () => {
      system.gate('recheck');
      return true;
    };
    await terminateListed(rows, { graceMs: 5, killWaitMs: 10_000, recheck }, system);
    system.gate(stage);
  };

  const rg = path.join(directory, 'rg');
  symlinkSync(path.join(directory, 'recycler'), rg);
  const home = path.join(directory, 'home');
  mkdirSync(home);
  const env = { HOME: home, XDG_CONFIG_HOME: home, XDG_STATE_HOME: path.join(home, 'state'), PATH: process.env.PATH };
  const eager = {
    ...loadConfig({ cwd: home, env }),
    minAgeSeconds: 0,
    termGraceMs: 5,
    log: { path: path.join(home, 'log.json'), keep: 1 },
  };
  const rule = { id: 'torture', type: 'ripgrep', reason: 'long_running', names: ['rg'], olderThanSeconds: 0 };

  /** The configuration is read between the verdict and the first signal: that is the gate. */
  async function swept(count) {
    const pids = Array.from({ length: count }, () => recycler.orphan(rg));
    await delay(30); // an age of 0 ticks is above no threshold
    let condemned = 0;
    const config = {
      ...eager,
      get termGraceMs() {
        if (condemned++ === 0) recycler.recycle(pids, 'w');
        return 5;
      },
    };
    const report = await sweep({ config, env, policy: { rules: [rule], mode: 'seed' } });
    check(condemned > 0, `the sweep condemned nobody: ${JSON.stringify(report.verdicts.map(({ evidence }) => evidence))}`);
    check(report.totalCleaned === 0 && report.failed === 0, `the sweep ended ${JSON.stringify(report.cleaned)}`);
    if (condemned === 0) recycler.recycle(pids);
  }

  const start = (script, more) => spawn('sh', ['-c', script], { stdout: 'ignore', stderr: 'ignore', ...more });
  const calls = (child) => {
    for (const signal of ['SIGTERM', 'SIGKILL']) {
      check(child.kill(signal) === false, 'child.kill() said true');
      child.killGroup(signal);
    }
  };

  /** Reaped by the watch thread (or the keeper) while this thread knows nothing of it yet. */
  const staleChild = (containment) => async (count) => {
    const children = await Promise.all(Array.from({ length: count }, () => start('exec sleep 300', { containment })));
    for (const { pid } of children) process.kill(pid, 'SIGKILL');
    recycler.give(
      children.map(({ pid }) => pid),
      pick(['wg', 'ws', 'wd'], turn++),
    );
    for (const child of children) calls(child);
    await Promise.all(children.map((child) => child.stop({ forceKillAfterDelay: 0 })));
    for (const child of children) calls(child);
  };

  const sleepMs = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

  const STAYS = 'trap "" TERM; while :; do sleep 300; done';

  /** The sleep of the shell in the session of its own, once there is one. */
  async function outermost(child) {
    for (;;) {
      const found = (await child.members()).find(({ name, sid }) => name === 'sleep' && sid !== child.sid);
      if (found !== undefined) return found.pid;
      await delay(5);
    }
  }

  /** The ladder goes on without JavaScript: its signals are sent when the number is another's. */
  const ladderOf = (containment) => async (count) => {
    const script = containment === 'tree' ? `setsid sh -c '${STAYS}' & ${STAYS}` : "trap '' TERM; exec sleep 300";
    const children = await Promise.all(Array.from({ length: count }, () => start(script, { containment, onLeaderExit: 'wait' })));
    // A tree is kept alive by the second shell, outside the leader's group. Its sleep is a member that no longer is when its number is used again.
    const members = containment === 'tree' ? await Promise.all(children.map(outermost)) : [];
    const stops = children.map((child) => child.stop({ forceKillAfterDelay: 300 }));
    for (const child of children) child.killGroup('SIGKILL');
    for (const pid of members) process.kill(pid, 'SIGKILL');
    const flags = pick(['wg', 'ws', 'wd'], turn++);
    recycler.give([...children.map(({ pid }) => pid), ...members], flags);
    sleepMs(500);
    for (const child of children) calls(child);
    await Promise.all(stops);
    for (const child of children) await child.empty;
  };

  /** The keeper is killed, its leader dies with it; what is looked for then are their numbers, groups and session. */
  async function keeperLost(count) {
    const children = await Promise.all(Array.from({ length: count }, () => start('exec sleep 300', { containment: 'tree' })));
    const parents = children.map(({ pid }) => Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(' ')[3]));
    for (const pid of parents) process.kill(pid, 'SIGKILL');
    recycler.give(
      children.map(({ pid }) => pid),
      pick(['wg', 'ws', 'wd'], turn++),
    );
    await Promise.all(children.map((child) => child.stop({ forceKillAfterDelay: 5 })));
    for (const child of children) calls(child);
  }

  const stage = (make, names) =>
    Object.entries(STAGES)
      .filter(([, gate]) => names.includes(gate))
      .map(([name, gate]) => [name, make(gate)]);
  /** [name, how many at once, share of the recycles, what] */
  const scenarios = [
    ['signal to a process that was attached', 24, 24, attached],
    ['signal to a group that was held', 24, 24, heldGroup],
    ['attach to an identity', 24, 20, attachAfter],
    ['killTree of an identity', 24, 20, killTreeAfter],
    ...stage(treeAt, Object.values(STAGES)).map(([name, run]) => [`killTree, recycled ${name}`, 10, 0.8, run]),
    ...stage(listedAt, ['hold', `${SIGTERM}#1`, `${SIGKILL}#1`]).map(([name, run]) => [`sweep's list, recycled ${name}`, 20, 1, run]),
    ["sweep's list, recycled while it is judged again", 20, 1, listedAt('recheck')],
    ['sweep, recycled after the verdict', 10, 0.5, swept],
    ['child (group) that was reaped', 10, 0.5, staleChild('group')],
    ['child (tree) that was reaped', 10, 0.5, staleChild('tree')],
    ['stop of a group, recycled before SIGKILL is due', 10, 0.5, ladderOf('group')],
    ['stop of a tree, recycled before SIGKILL is due', 6, 0.5, ladderOf('tree')],
    ['tree that lost its keeper', 10, 0.5, keeperLost],
  ].filter(([name]) => options.only === undefined || name.includes(options.only));

  const shares = scenarios.reduce((sum, [, , share]) => sum + share, 0);
  const rows = [];
  const begin = performance.now();
  for (const [name, most, share, run] of scenarios) {
    const wanted = Math.max(1, Math.round((Number(options.recycles) * share) / shares));
    const row = { name, recycled: 0, hits: 0, list: [], wrong: 0 };
    const since = performance.now();
    while (row.recycled < wanted) {
      const wrongBefore = wrong.length;
      await run(Math.min(most, wanted - row.recycled));
      const { count, hits, list } = recycler.check();
      row.recycled += count;
      row.hits += hits;
      row.list.push(...list.slice(0, 5));
      row.wrong += wrong.length - wrongBefore;
      if (count === 0) throw new Error(`${name}: no number was recycled`);
    }
    rows.push(row);
    const ms = Math.round(performance.now() - since);
    process.stdout.write(
      `${String(row.recycled).padStart(7)} recycled ${String(row.hits).padStart(5)} hit  ${name} (${ms} ms) ${row.list.slice(0, 5).join(' ')}\n`,
    );
  }

  // Numbers go round by themselves, and everything in the namespace but ourselves is a bystander.
  const storm = { seconds: Number(options['storm-seconds']), forks: 0, reissued: 0, hits: 0, operations: 0 };
  if (storm.seconds > 0) {
    recycler.beginStorm(2500, 25);
    const until = performance.now() + storm.seconds * 1000;
    const work = [
      () => staleOperation('group'),
      () => staleOperation('tree'),
      async () => {
        const child = nodeSpawn('sh', ['-c', 'sleep 300 & sleep 300 & wait'], { stdio: 'ignore', detached: true });
        const ended = new Promise((resolve) => child.once('exit', resolve));
        const report = await killTree(child, { forceKillAfterDelay: 200 });
        check(report.survivors.length === 0, 'storm: killTree had survivors');
        await ended;
      },
      async () => {
        // Whoever it is: held by its pidfd for a moment, and signalled when it has ended long since.
        const rowsNow = [...(await scan({ fields: ['ppid'] }))].filter(
          ({ ppid, pid }) => ppid > 2 && ppid !== process.pid && pid !== process.pid,
        );
        const handles = [];
        for (const row of rowsNow.slice(-8)) handles.push(await attach(row).catch(() => undefined));
        await Promise.all(handles.map((handle) => handle && Promise.race([handle.exited, delay(100)])));
        for (const handle of handles) {
          if (handle !== undefined && !handle.isAlive()) handle.kill('SIGKILL');
          handle?.[Symbol.dispose]();
        }
      },
      async () => {
        await sweep({ config: eager, env, policy: { rules: [rule], mode: 'seed' } });
      },
    ];
    async function staleOperation(containment) {
      const child = await start('(sleep 0.02; exit 0) & sleep 300 & exec sleep 300', { containment });
      if (turn++ % 2 === 0) process.kill(child.pid, 'SIGKILL');
      child.killGroup('SIGCONT');
      const report = await child.stop({ forceKillAfterDelay: 100 });
      check(report.survivors.length === 0, 'storm: stop() had survivors');
      calls(child);
    }
    for (let n = 0; performance.now() < until; n++) {
      await pick(work, n)();
      storm.operations++;
    }
    const { forks, reissued, hits, list } = recycler.endStorm();
    Object.assign(storm, { forks, reissued, hits });
    process.stdout.write(
      `${reissued} of ${forks} numbers of a storm given out again during ${storm.operations} operations, ${hits} hit ${list.join(' ')}\n`,
    );
  }
  recycler.close();

  const sum = (field) => rows.reduce((total, row) => total + row[field], 0);
  const result = {
    recycled: sum('recycled'),
    hits: sum('hits') + storm.hits,
    wrong,
    missed: rows.filter(({ hits }) => hits === 0).map(({ name }) => name),
    storm,
    seconds: Math.round((performance.now() - begin) / 100) / 10,
    uid: process.getuid(),
    pidMax: Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8')),
    unverified: options.unverified === true,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exitCode = result.hits > 0 || wrong.length > 0 ? 1 : 0;
}

if (options.inside === undefined) process.exitCode = await outside();
else await inside(options.inside);
