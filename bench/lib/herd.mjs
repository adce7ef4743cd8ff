/** Keeps a herd of idle processes alive while something is measured. Only inside a pid namespace of the benchmark's own. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Resolves with what `during` resolves with, when the last of the herd is dead. */
export async function withHerd(tools, count, during) {
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-bench-herd-'));
  const [ready, alive] = ['ready', 'alive'].map((name) => path.join(directory, name));
  if (spawnSync('mkfifo', [ready, alive]).status !== 0) throw new Error('mkfifo failed');
  const leader = spawn(tools.limit.herd, ['flat', String(count), ready, alive], { stdio: 'ignore', detached: true });
  const read = async (fifo) => {
    const file = await open(fifo, 'r');
    return file.readFile('utf8').finally(() => file.close());
  };
  const dead = read(alive);
  if ((await read(ready)) !== 'READY\n') throw new Error(`no herd of ${count}`);
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
