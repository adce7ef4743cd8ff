/** Keeps a herd of idle processes alive while something is measured. Only inside a pid namespace of the benchmark's own. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeFifos, readFifo, untilReady } from './fifo.mjs';

/** Resolves with what `during` resolves with, when the last of the herd is dead. */
export async function withHerd(tools, count, during) {
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-bench-herd-'));
  const [ready, alive] = makeFifos(directory, 'ready', 'alive');
  const dead = readFifo(alive);
  const leader = spawn(tools.limit.herd, ['flat', String(count), ready, alive], { stdio: 'ignore', detached: true });
  const failed = new Promise((_, reject) => leader.once('exit', (code, signal) => reject(new Error(`the herd ended: ${signal ?? code}`))));
  await Promise.race([untilReady(ready), failed]);
  failed.catch(() => {}); // we end it ourselves below
  const group = Number(readFileSync(`/proc/${leader.pid}/stat`, 'latin1').split(') ')[1].split(' ')[2]);
  if (group !== leader.pid) throw new Error('the herd has no group of its own');
  try {
    return await during();
  } finally {
    process.kill(-leader.pid, 'SIGKILL');
    await dead;
    rmSync(directory, { recursive: true, force: true });
  }
}
