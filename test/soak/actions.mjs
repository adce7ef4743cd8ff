/**
 * What a soak does: each action starts something of a random shape, ends it in one of the ways there are, and throws when the product
 * did not keep its word. What is left of it afterwards is the business of soak.mjs.
 */
import { spawn as nodeSpawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { attach, killTree, listProcesses, ProcessManager, run, spawn } from '../../dist/index.js';
import { shapesFor } from './shapes.mjs';

const root = new URL('../../', import.meta.url);

function claim(condition, what) {
  if (!condition) throw new Error(what);
}

/** Everything one action may use: its own random numbers, the artist, and what is counted. */
export class Stage {
  constructor(random, artist, counts) {
    Object.assign(this, { random, artist, counts });
  }

  below(limit) {
    return Math.floor(this.random() * limit);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /** A shell command line of a shape. */
  shape(kind) {
    const { name, script } = this.pick(shapesFor[kind]);
    this.counts.shapes.add(name);
    return ['sh', ['-c', script, 'sh', this.artist]];
  }

  /** Not before something goes on, and not always after it has begun. */
  async pause() {
    if (this.below(3) > 0) await delay(this.below(60));
  }

  /** The report of a tree that has ended, which must be all of it. */
  book(report) {
    this.counts.ended++;
    this.counts.members += report.terminated.length;
    this.counts.signals += report.terminated.filter(({ signal }) => signal !== null).length;
    this.counts.survivors += report.survivors.length;
    claim(
      report.survivors.length === 0,
      `survivors: ${report.survivors.map((one) => `${one.pid} ${one.name} (${one.reason})`).join(', ')}`,
    );
  }
}

function readStat(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return '';
  }
}

async function spawned(stage, options = {}) {
  const containment = stage.pick(['tree', 'tree', 'tree', 'group']);
  const [file, args] = stage.shape(containment);
  const child = await spawn(file, args, {
    containment,
    stdout: 'ignore',
    stderr: 'ignore',
    forceKillAfterDelay: stage.below(60),
    ...options,
  });
  stage.counts.spawned++;
  return child;
}

const over = async (stage, child) => {
  stage.book(await child.empty);
  await child.exited;
};

export const ACTIONS = {
  async stop(stage) {
    const child = await spawned(stage);
    await stage.pause();
    const stops = [child.stop({ forceKillAfterDelay: stage.below(80) })];
    if (stage.below(3) === 0) stops.push(child.stop({ forceKillAfterDelay: 0 }));
    await Promise.all(stops);
    await over(stage, child);
  },

  async killLeader(stage) {
    const child = await spawned(stage);
    await stage.pause();
    child.kill('SIGKILL');
    await over(stage, child);
  },

  async killGroup(stage) {
    const child = await spawned(stage);
    await stage.pause();
    child.killGroup('SIGKILL');
    await over(stage, child);
  },

  async timeout(stage) {
    const [file, args] = stage.shape('tree');
    const result = await run(file, args, { timeout: 1 + stage.below(60), forceKillAfterDelay: stage.below(40), reject: false });
    stage.counts.spawned++;
    stage.book(result.report);
  },

  async abort(stage) {
    const controller = new AbortController();
    const [file, args] = stage.shape('tree');
    const ended = run(file, args, { signal: controller.signal, forceKillAfterDelay: stage.below(40), reject: false });
    setTimeout(() => controller.abort(), stage.below(60));
    const result = await ended.catch((error) => {
      claim(error.code === 'ERR_ABORTED', `abort: ${error.stack}`);
      return undefined;
    });
    if (result === undefined) return;
    stage.counts.spawned++;
    stage.book(result.report);
  },

  async output(stage) {
    const size = 1 + stage.below(200_000);
    const { stdout, report, exitCode } = await run('sh', [
      '-c',
      `head -c ${size} /dev/zero | tr "\\0" x; "$1" daemon wait > /dev/null`,
      'sh',
      stage.artist,
    ]);
    stage.counts.spawned++;
    claim(stdout.length === size && exitCode === 0, `output: ${stdout.length} of ${size} bytes, exit code ${exitCode}`);
    stage.book(report);
  },

  async nothing(stage) {
    const error = await spawn('/nonexistent', [], { containment: stage.pick(['tree', 'group']) }).catch((reason) => reason);
    claim(error.code === 'ENOENT', `a start that must fail: ${error}`);
  },

  async killTree(stage) {
    const [file, args] = stage.shape('found');
    const foreign = nodeSpawn(file, args, { stdio: 'ignore', detached: stage.below(2) === 0 });
    const exit = once(foreign, 'exit');
    await stage.pause();
    stage.counts.spawned++;
    stage.book(await killTree(foreign, { forceKillAfterDelay: stage.below(60) }));
    await exit; // and it was not we who reaped it
  },

  async attach(stage) {
    const foreign = nodeSpawn(stage.artist, ['wait'], { stdio: 'ignore' });
    const exit = once(foreign, 'exit');
    stage.counts.spawned++;
    const attached = await attach(foreign.pid);
    await stage.pause();
    attached.kill('SIGKILL');
    await attached.exited;
    const [, signal] = await exit;
    claim(signal === 'SIGKILL', `attach: exit by ${signal}`);
    stage.counts.ended++;
  },

  /** Children of node:child_process tell their own end, whatever we reap. */
  async nodeChildren(stage) {
    await Promise.all(
      Array.from({ length: 5 }, async (_, code) => {
        const child = nodeSpawn('sh', ['-c', `exit ${code}`], { stdio: 'ignore' });
        const [exitCode] = await once(child, 'exit');
        claim(exitCode === code, `a child of Node exited with ${exitCode} instead of ${code}`);
      }),
    );
    stage.counts.strangers += 5;
  },

  async manager(stage) {
    const manager = new ProcessManager({ logger: { debug() {}, info() {}, warn() {}, error() {} } });
    const [command, args] = stage.shape('tree');
    await manager.start({ command, args, stdout: 'ignore', stderr: 'ignore', forceKillAfterDelay: stage.below(60) });
    stage.counts.spawned++;
    await stage.pause();
    const wait = manager.wait();
    const report = await (stage.below(2) === 0 ? manager.kill() : manager.stop({ timeout: stage.below(60) })).catch((error) => {
      claim(error.code === 'ERR_NOT_RUNNING', `manager: ${error.stack}`);
      return undefined;
    });
    await wait;
    if (report !== undefined) stage.book(report);
    claim(['stopped', 'error'].includes(manager.status), `manager: status ${manager.status} at the end`);
  },

  async keeperKilled(stage) {
    const [file, args] = stage.shape('found');
    const child = await spawn(file, args, { stdout: 'ignore', stderr: 'ignore', forceKillAfterDelay: stage.below(60) });
    stage.counts.spawned++;
    await stage.pause();
    const keeper = Number(/\) \S (\d+)/.exec(readStat(child.pid))?.[1]);
    if (keeper > 1 && keeper !== process.pid && /\(corral-keeper\)/.test(readStat(keeper))) {
      process.kill(keeper, 'SIGKILL');
      stage.counts.keepersKilled++;
    } else {
      await child.stop();
    }
    await over(stage, child);
  },

  async worker(stage) {
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.index).then(async ({ spawn }) => {
        const start = (script) => spawn('sh', ['-c', script, 'sh', workerData.artist], { stdout: 'ignore', forceKillAfterDelay: 20 });
        const starts = workerData.scripts.map(start);
        if (workerData.patient) await Promise.all(starts);
        parentPort.postMessage(starts.length);
        setInterval(() => {}, 1000);
      });`;
    const scripts = [stage.shape('tree'), stage.shape('tree')].map(([, [, script]]) => script);
    const index = new URL('dist/index.js', root).href;
    const worker = new Worker(code, { eval: true, workerData: { index, scripts, artist: stage.artist, patient: stage.below(2) === 0 } });
    const [count] = await once(worker, 'message');
    await stage.pause();
    await worker.terminate();
    stage.counts.spawned += count;
    stage.counts.orphaned += count;
  },

  /** A program of its own that is killed with its trees running. */
  async ownerKilled(stage) {
    const code = `
      const { spawn } = await import(process.argv[1]);
      const { argv } = process;
      delete process.env.LD_PRELOAD;
      for (const script of argv.slice(3)) await spawn('sh', ['-c', script, 'sh', argv[2]], { stdout: 'ignore', forceKillAfterDelay: 20 });
      console.log('READY');
      setInterval(() => {}, 1000);`;
    const scripts = [stage.shape('tree'), stage.shape('tree')].map(([, [, script]]) => script);
    const words = ['--input-type=module', '-e', code, new URL('dist/index.js', root).href, stage.artist, ...scripts];
    const preload = process.env.CORRAL_TEST_PRELOAD;
    const env = { ...process.env, ...(preload === undefined ? {} : { LD_PRELOAD: preload }) };
    const owner = nodeSpawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'], env });
    const exit = once(owner, 'exit');
    await Promise.race([once(owner.stdout, 'data'), exit]);
    owner.kill(stage.pick(['SIGKILL', 'SIGTERM', 'SIGABRT']));
    const [exitCode] = await exit;
    claim(exitCode === null, `the owner exited with ${exitCode} before it was killed`);
    owner.stdout.destroy();
    stage.counts.spawned += scripts.length;
    stage.counts.orphaned += scripts.length;
  },

  async look(stage) {
    const list = await listProcesses({ fields: ['name', 'ppid', 'args', 'env', 'cgroup', 'cwd'] });
    claim(
      list.some(({ pid }) => pid === process.pid),
      'a look that does not find ourselves',
    );
    stage.counts.looks++;
  },
};

/** How often each is chosen. */
export const WEIGHTS = {
  stop: 8,
  killLeader: 3,
  killGroup: 3,
  timeout: 4,
  abort: 4,
  output: 2,
  nothing: 2,
  killTree: 5,
  attach: 3,
  nodeChildren: 3,
  manager: 4,
  keeperKilled: 2,
  worker: 2,
  ownerKilled: 1,
  look: 3,
};
