/** Quick, large output arrives whole: nothing is cut at the exit, and nothing is waited for. */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { run } from '../../src/process/run.js';
import { spawn } from '../../src/process/spawn.js';
import { isAlive } from '../helpers/proc.js';

const SIZE = 64 * 1024 * 1024;
/** Numbered lines, so that a lost or repeated part changes the hash and not only the length; and no newline that run() would take off. */
const command = ['sh', ['-c', `seq 1 100000000 | head -c ${SIZE}; printf .`]] as const;

function expectedHash(): string {
  const hash = createHash('sha256');
  let left = SIZE;
  for (let from = 1; left > 0; from += 10_000) {
    const text = Buffer.from(Array.from({ length: 10_000 }, (_, i) => `${from + i}\n`).join(''));
    hash.update(text.subarray(0, left));
    left -= text.length;
  }
  return hash.update('.').digest('hex');
}
const expected = expectedHash();

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('64 MiB through the stream', async () => {
    const child = await spawn(...command, { containment });
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of child.stdout ?? []) {
      hash.update(chunk as Buffer);
      size += (chunk as Buffer).length;
    }
    expect(size).toBe(SIZE + 1);
    expect(hash.digest('hex')).toBe(expected);
    expect(await child.exited).toMatchObject({ exitCode: 0 });
  });

  it('64 MiB as the result of run()', async () => {
    const { stdout } = await run(...command, { containment });
    expect(createHash('sha256').update(stdout).digest('hex')).toBe(expected);
  });

  it('a pipe that is full at the exit, read by someone slow', async () => {
    const size = 64 * 1024; // what a pipe holds: the child can exit before anybody reads
    const child = await spawn('head', ['-c', `${size}`, '/dev/zero'], { containment });
    const report = await child.empty;
    expect(report.survivors).toEqual([]);
    let received = 0;
    for await (const chunk of child.stdout ?? []) {
      received += (chunk as Buffer).length;
      await turn();
    }
    expect(received).toBe(size);
  });

  it('output that came while the event loop was blocked', async () => {
    const asked = performance.now();
    const child = await spawn('sh', ['-c', 'head -c 50000 /dev/zero; echo end >&2'], { containment });
    const startedMs = performance.now() - asked;
    // The child writes and exits meanwhile; we learn of all that in one go.
    const block = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const begin = performance.now();
    while (isAlive(child.pid)) block(5);
    block(500);
    const blockedMs = performance.now() - begin;
    const sizes = await Promise.all(
      [child.stdout, child.stderr].map(async (stream) => {
        let size = 0;
        for await (const chunk of stream ?? []) size += (chunk as Buffer).length;
        return size;
      }),
    );
    expect(sizes).toEqual([50_000, 4]);
    expect(await child.exited).toMatchObject({ exitCode: 0 });
    // As long as it ran, not as long as we were away. What starting it took is in both.
    expect((await child.exited).durationMs).toBeLessThan(startedMs + blockedMs - 400);
  });
});
