/** Named pipes, by which a herd says that it is ready and that it is dead. */
import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

export function makeFifos(directory, ...names) {
  const fifos = names.map((name) => path.join(directory, name));
  const { status, stderr } = spawnSync('mkfifo', fifos, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr.trim());
  return fifos;
}

/**
 * Resolves with everything that was written until the last writer has gone. Read by a child: a thread of our own that waits in open()
 * for a writer that never comes could not be ended, and would hold up our exit.
 */
export async function readFifo(fifo) {
  const { stdout } = await promisify(execFile)('cat', [fifo]);
  return stdout;
}

export async function untilReady(fifo) {
  const text = await readFifo(fifo);
  if (text !== 'READY\n') throw new Error(`the herd said ${JSON.stringify(text)}`);
}
