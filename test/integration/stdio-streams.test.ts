/** What stdin, stdout and stderr can be. */
import { closeSync, createReadStream, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { run } from '../../src/process/run.js';
import { spawn } from '../../src/process/spawn.js';
import { keepTidy, readAll, readyPids } from '../fixtures/process-ready.js';
import { eventually } from '../helpers/eventually.js';
import { readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('by default stdin is empty, not an open pipe', async () => {
    expect((await run('cat', [], { containment })).stdout).toBe('');
    const child = await spawn('readlink', ['/proc/self/fd/0'], { containment });
    expect((await readAll(child.stdout)).toString()).toBe('/dev/null\n');
    expect([child.stdin, child.stdout === null]).toEqual([null, false]);
    await child.empty;
  });

  it('pipes in both directions', async () => {
    const child = await spawn('cat', [], { containment, stdin: 'pipe' });
    child.stdin?.write('one ');
    child.stdin?.end('two');
    expect((await readAll(child.stdout)).toString()).toBe('one two');
    await child.empty;
  });

  it('a descriptor, which stays ours', async () => {
    const file = path.join(tempDirectory(), 'out');
    const fd = openSync(file, 'w');
    const promise = spawn('sh', ['-c', 'echo out; echo err >&2'], { containment, stdout: fd, stderr: fd });
    const child = await promise;
    expect([child.stdout, child.stderr]).toEqual([null, null]);
    await child.empty;
    closeSync(fd);
    expect(readFileSync(file, 'utf8')).toBe('out\nerr\n');
  });

  it('a descriptor that is closed right after the call', async () => {
    const file = path.join(tempDirectory(), 'out');
    const fd = openSync(file, 'w');
    const promise = spawn('echo', ['there'], { containment, stdout: fd });
    closeSync(fd);
    await (await promise).empty;
    expect(readFileSync(file, 'utf8')).toBe('there\n');
  });

  it('a file stream that is open, by its descriptor', async () => {
    const file = path.join(tempDirectory(), 'in');
    writeFileSync(file, 'from the file');
    const stream = createReadStream(file);
    await new Promise((resolve) => stream.once('open', resolve));
    expect((await run('cat', [], { containment, stdin: stream })).stdout).toBe('from the file');
    stream.destroy();
  });

  it('streams without a descriptor', async () => {
    const out = new PassThrough();
    const text = readAll(out);
    const child = await spawn('sh', ['-c', 'cat; echo err >&2'], {
      containment,
      stdin: Readable.from(['a', 'b\n']),
      stdout: out,
      stderr: out,
    });
    expect([child.stdin, child.stdout, child.stderr]).toEqual([null, null, null]);
    await child.empty;
    expect((await text).toString().split('\n').sort()).toEqual(['', 'ab', 'err']);
  });

  it('a source that breaks ends the input', async () => {
    const source = new PassThrough();
    source.on('error', () => {});
    const child = keepTidy(await spawn('sh', ['-c', 'echo READY; cat; echo after'], { containment, stdin: source }));
    await readyPids(child);
    source.destroy(new Error('broken'));
    expect(await child.exited).toMatchObject({ exitCode: 0 });
  });

  it('a target that breaks closes the pipe, as in a shell', async () => {
    const target = new PassThrough();
    target.on('error', () => {});
    const child = keepTidy(await spawn('yes', [], { containment, stdout: target }));
    target.once('data', () => target.destroy(new Error('broken')));
    expect(await child.exited).toMatchObject({ signal: 'SIGPIPE' });
  });

  it('a child that has closed its stdin is no uncaught error', async () => {
    const child = await spawn('sh', ['-c', 'exec <&-; echo READY; sleep 300'], { containment, stdin: 'pipe' });
    await readyPids(child);
    const write = () => new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => child.stdin?.write('unheard', resolve));
    // The keeper, which started it, lets go of its copy a moment later.
    await eventually(async () => (await write())?.code === 'EPIPE');
    await child.stop();
  });

  it('input to a child that never reads it is no error of run()', async () => {
    expect(await run('true', [], { containment, input: Buffer.alloc(1_000_000) })).toMatchObject({ exitCode: 0 });
  });

  it('nobody reads: the child waits, and goes on when somebody does', async () => {
    const size = 4 * 1024 * 1024;
    const child = keepTidy(await spawn('head', ['-c', `${size}`, '/dev/zero'], { containment }));
    const written = () => Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${child.pid}/io`, 'latin1'))?.[1]);
    let last = -1;
    await eventually(() => {
      const now = written();
      const stands = now === last && now > 0 && readStat(child.pid)?.state === 'S';
      last = now;
      return stands;
    });
    expect(written()).toBeLessThan(size / 2);
    expect((await readAll(child.stdout)).length).toBe(size);
    expect(await child.exited).toMatchObject({ exitCode: 0 });
  });

  it('a reader who goes away closes the pipe', async () => {
    const child = keepTidy(await spawn('yes', [], { containment }));
    child.stdout?.once('data', () => child.stdout?.destroy());
    expect(await child.exited).toMatchObject({ signal: 'SIGPIPE' });
  });
});
