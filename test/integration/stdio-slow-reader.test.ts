/** Output arrives once and in order, however slowly it is read and whenever the tree ends. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { run, spawn } from '../../src/index.js';

const LINES = 60_000;
const EXPECTED = Array.from({ length: LINES }, (_, i) => `${i + 1}\n`).join('');
const digest = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('read one piece per turn of the event loop', async () => {
    const child = await spawn('seq', [String(LINES)], { containment });
    const parts: Buffer[] = [];
    for await (const part of child.stdout as AsyncIterable<Buffer>) {
      parts.push(part);
      await new Promise(setImmediate);
    }
    expect(digest(Buffer.concat(parts))).toBe(digest(EXPECTED));
    await child.empty;
  });

  it('read only when the tree is empty: what fits into pipe and buffers', async () => {
    const child = await spawn('seq', ['9000'], { containment });
    await child.empty;
    let text = '';
    for await (const part of child.stdout as AsyncIterable<Buffer>) text += part;
    expect(digest(text)).toBe(digest(EXPECTED.slice(0, EXPECTED.indexOf('\n9001\n') + 1)));
  });

  it('written to a slow target', async () => {
    const parts: Buffer[] = [];
    const slow = new Writable({
      highWaterMark: 1024,
      write(part, _, done) {
        parts.push(part);
        setImmediate(done);
      },
    });
    await run('seq', [String(LINES)], { containment, stdout: slow });
    if (!slow.writableFinished) await once(slow, 'finish');
    expect(digest(Buffer.concat(parts))).toBe(digest(EXPECTED));
  });
});
