/**
 * Our ends of a child's pipes as streams. They end with the tree, not with the last holder of the pipe: a stranger who inherited it
 * delays nothing, and what members wrote before they ended is never cut.
 */
import { readSync } from 'node:fs';
import { Socket } from 'node:net';
import { Readable, type Writable } from 'node:stream';

const READ_SIZE = 64 * 1024;

/**
 * Most that `finish` reads. A pipe holds 64 KiB, or up to /proc/sys/fs/pipe-max-size (1 MiB) when a member enlarged it, more when that
 * was root; the limit is there for a stranger who writes faster than we read.
 */
const LAST_READ_LIMIT = 64 * 1024 * 1024;

/** What a child writes. Backpressure reaches the child: when nobody reads, its pipe fills up. */
export class Output extends Readable {
  readonly #fd: number;
  readonly #pipe: Socket;
  #isOver = false;

  /** Takes over `fd`, the non-blocking read end of a pipe. */
  constructor(fd: number) {
    super({ highWaterMark: READ_SIZE });
    this.#fd = fd;
    this.#pipe = new Socket({ fd, readable: true, writable: false });
    this.#pipe.on('data', (bytes: Buffer) => this.#pass(bytes));
    this.#pipe.on('end', () => this.#end());
    this.#pipe.on('error', (error) => {
      if (!this.#isOver) this.destroy(error);
    });
  }

  /** No member is left: takes what is in the pipe at this moment, closes our end and lets the reader have the rest at its pace. */
  finish(): void {
    if (this.#isOver) return;
    this.#pipe.pause();
    this.#pipe.removeAllListeners('data'); // read() emits it as well, and everything would come twice
    for (let bytes = this.#pipe.read(); bytes !== null; bytes = this.#pipe.read()) this.#pass(bytes);
    // Until then the descriptor is ours, and not a recycled number: the socket closes it when it is destroyed.
    if (!this.#pipe.destroyed) this.#readLeft();
    this.#end();
  }

  #readLeft(): void {
    for (let left = LAST_READ_LIMIT; left > 0; ) {
      const bytes = Buffer.allocUnsafe(READ_SIZE);
      let size: number;
      try {
        size = readSync(this.#fd, bytes);
      } catch {
        return; // EAGAIN: empty, but somebody who is no member holds the other end
      }
      if (size === 0) return;
      left -= size;
      this.#pass(bytes.subarray(0, size));
    }
  }

  #pass(bytes: Buffer): void {
    if (!this.#isOver && !this.push(bytes)) this.#pipe.pause();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.push(null);
    this.#pipe.destroy();
  }

  override _read(): void {
    if (!this.#isOver) this.#pipe.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#isOver = true;
    this.#pipe.destroy();
    done(error);
  }

  /** As those of a socket: whether waiting for output keeps the program alive. */
  ref(): void {
    this.#pipe.ref();
  }

  unref(): void {
    this.#pipe.unref();
  }
}

/** The pipes of one child: its streams for the caller, or joined to streams of the caller's own. */
export class Pipes {
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  readonly #input: Socket | null;
  readonly #outputs: Output[];

  /** Takes over the descriptors; -1 = none. */
  constructor(fds: { stdin: number; stdout: number; stderr: number }, joined: Joined) {
    const stdout = fds.stdout < 0 ? null : new Output(fds.stdout);
    const stderr = fds.stderr < 0 ? null : new Output(fds.stderr);
    this.#input = fds.stdin < 0 ? null : openInput(fds.stdin);
    this.#outputs = [stdout, stderr].filter((output) => output !== null);
    this.stdin = joined.source === undefined ? this.#input : null;
    this.stdout = joined.stdoutTarget === undefined ? stdout : null;
    this.stderr = joined.stderrTarget === undefined ? stderr : null;
    if (joined.source !== undefined && this.#input !== null) feed(joined.source, this.#input);
    drain([
      [stdout, joined.stdoutTarget],
      [stderr, joined.stderrTarget],
    ]);
  }

  /** The tree is empty: readers get what is there, and nothing waits any more. */
  close(): void {
    for (const output of this.#outputs) output.finish();
    this.#input?.destroy();
  }

  ref(): void {
    for (const output of this.#outputs) output.ref();
  }

  unref(): void {
    for (const output of this.#outputs) output.unref();
  }
}

/** Streams of the caller's that have no descriptor of their own. */
export interface Joined {
  source: Readable | undefined;
  stdoutTarget: Writable | undefined;
  stderrTarget: Writable | undefined;
}

/**
 * What a child reads; takes over `fd`, the non-blocking write end of a pipe. That the child has closed its end is no accident the
 * program must die of: EPIPE reaches the callbacks of writes and 'error' listeners, but is no uncaught error without one.
 */
function openInput(fd: number): Socket {
  const input = new Socket({ fd, readable: false, writable: true });
  input.on('error', () => {});
  return input;
}

/** When the child stops reading, the source is left as it is. */
function feed(source: Readable, input: Writable): void {
  if (source.destroyed) {
    input.end();
    return;
  }
  source.pipe(input);
  // pipe() ends its target at the end of the source only, not when the source breaks.
  source.once('close', () => input.end());
  input.once('close', () => source.unpipe(input));
}

/** A target that two outputs share ends after both; one that breaks closes the child's pipe. */
function drain(pairs: ReadonlyArray<readonly [Output | null, Writable | undefined]>): void {
  for (const [output, target] of pairs) {
    if (output === null || target === undefined) continue;
    output.pipe(target, { end: false });
    target.once('close', () => output.destroy());
    output.once('close', () => {
      if (pairs.every(([other, itsTarget]) => itsTarget !== target || other?.closed)) target.end();
    });
  }
}
