/**
 * The program that owns the tree of one cell, with other tools than corral: peer.mjs JSON. Speaks with arena.c as owner.mjs does, and is
 * written as the documentation of each tool would have it: the whole tree is to end, SIGTERM first, SIGKILL after the grace period.
 */
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { block } from '../../test/containment/block.mjs';

const { peer, peers, program, shape, ready, alive, event, graceMs, timeoutMs, isEnd } = JSON.parse(process.argv[2]);
const say = (text) => writeSync(1, `${text}\n`);
const now = () => process.hrtime.bigint();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const require = createRequire(`${peers}/package.json`);
const abort = new AbortController();

if (timeoutMs > 0) say(`AT ${now() + BigInt(timeoutMs) * 1_000_000n}`);

/** For tools that send one signal: the caller asks, waits, and forces. */
function byTwoSignals(send, options = {}) {
  const child = spawn(program, [shape, ready, alive], { stdio: 'ignore', ...options });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const force = () => send(child.pid, 'SIGKILL');
  const end = async () => {
    await send(child.pid, 'SIGTERM');
    await sleep(graceMs);
    await force();
    await exited;
  };
  let ending;
  const endOnce = () => (ending ??= end());
  if (timeoutMs > 0) setTimeout(endOnce, timeoutMs);
  abort.signal.addEventListener('abort', endOnce);
  return { exited: exited.then(() => ending), stop: endOnce, kill: () => Promise.all([force(), exited]) };
}

const tools = {
  async execa() {
    const { execa } = await import(pathToFileURL(require.resolve('execa')).href);
    const child = execa(program, [shape, ready, alive], {
      stdio: 'ignore',
      killDescendants: true,
      forceKillAfterDelay: graceMs,
      timeout: timeoutMs,
      cancelSignal: abort.signal,
      reject: false,
    });
    const end = (signal) => {
      child.kill(signal);
      return child;
    };
    return { exited: child, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') };
  },
  async 'tree-kill'() {
    const treeKill = require('tree-kill');
    return byTwoSignals((pid, signal) => new Promise((resolve) => treeKill(pid, signal, resolve)));
  },
  async node() {
    const send = (pid, signal) => {
      try {
        process.kill(-pid, signal);
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    };
    return byTwoSignals(send, { detached: true });
  },
};

// A handle that resolves as a promise must not be returned from an async function as it is.
const { exited, stop, kill } = await tools[peer]();
const settle = (promise) => Promise.resolve(promise).then(() => say('DONE {"survivors":[]}'));

const acts = {
  stop: () => settle(stop()),
  kill: () => settle(kill()),
  abort: () => {
    abort.abort();
    return settle(exited);
  },
  exit: () => process.exit(0),
  throw: () => {
    throw new Error('thrown on purpose');
  },
  abort_process: () => process.abort(),
  block: () => {
    block();
    return settle(exited);
  },
};

process.stdin.on('end', () => process.exit(0));
if (acts[event] === undefined) {
  process.stdin.resume();
  if (isEnd) settle(exited);
} else {
  process.stdin.once('data', () => {
    process.stdin.pause();
    if (timeoutMs === 0) say(`AT ${now()}`);
    const ending = acts[event]();
    process.stdin.resume();
    return ending;
  });
}
