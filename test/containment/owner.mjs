/**
 * The program that owns the tree of one cell: owner.mjs JSON. Starts the leader with corral, lets the event happen when arena.c says
 * "go" (or leaves that to arena.c), and says how it ended by its own account. Counts nobody: that is arena.c's work.
 */
import { writeSync } from 'node:fs';
import { spawn } from '../../dist/index.js';
import { block } from './block.mjs';

const { program, extra, shape, ready, alive, event, options, timeoutMs, isEnd } = JSON.parse(process.argv[2]);
const say = (text) => writeSync(1, `${text}\n`);
const now = () => process.hrtime.bigint();
const abort = new AbortController();

if (timeoutMs > 0) say(`AT ${now() + BigInt(timeoutMs) * 1_000_000n}`);
const child = await spawn(program, [shape, ready, alive, ...extra], {
  stdin: 'ignore',
  stdout: 'ignore',
  stderr: 'ignore',
  timeout: timeoutMs,
  signal: abort.signal,
  ...options,
});

/** What the caller of corral is told; a refused stop() has the same report. */
const done = (report) => {
  say(`DONE ${JSON.stringify({ survivors: report.survivors.map(({ pid, reason }) => ({ pid, reason })), proof: report.proof })}`);
};
const settle = (promise) => promise.catch((error) => error.report ?? Promise.reject(error)).then(done);

const acts = {
  stop: () => settle(child.stop()),
  kill: () => settle(child.killAll()),
  abort: () => {
    abort.abort();
    return settle(child.empty);
  },
  exit: () => process.exit(0),
  throw: () => {
    throw new Error('thrown on purpose');
  },
  abort_process: () => process.abort(),
  block: () => {
    block();
    return settle(child.empty);
  },
};

process.stdin.on('end', () => process.exit(0));
if (acts[event] === undefined) {
  process.stdin.resume();
  if (isEnd) settle(child.empty);
  if (event === 'wait') {
    await child.exited;
    if ((await child.members()).length === 0) throw new Error('nobody was waited for');
    say(`AT ${now()}`);
    settle(child.stop());
  }
} else {
  process.stdin.once('data', () => {
    process.stdin.pause();
    if (timeoutMs === 0) say(`AT ${now()}`); // else the deadline is what counts
    const ending = acts[event]();
    process.stdin.resume();
    return ending;
  });
}
