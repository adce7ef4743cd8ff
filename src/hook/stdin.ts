/**
 * What the host says on stdin: the first complete JSON value, or why there is none. Never waits for the end of the stream: hosts have
 * kept that pipe open for hours.
 */
import { fstatSync, read, readSync } from 'node:fs';

/** An event is rarely longer. Node has the memory for less than 4 KiB already. */
const CHUNK_BYTES = 4000;
const RETRY_MS = 5;

export type HookInput =
  /** A terminal, a closed or empty stream, or nothing within the time: a person, or a host that sends no event. */
  | { kind: 'none' }
  | { kind: 'json'; value: Record<string, unknown> }
  /** Something came, but not a whole JSON object: what the host wanted is not known. */
  | { kind: 'garbage'; problem: string };

/**
 * Finds the end of the first JSON object in a stream of bytes, however it is cut into chunks. Counts brackets outside
 * strings and leaves the grammar to JSON.parse; the bytes it looks at never occur inside a UTF-8 sequence.
 */
export class JsonObjectEnd {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #consumed = 0;

  /** The offset in the stream just behind the object; 'more' while it is open; 'garbage' when no object begins here. */
  push(chunk: Uint8Array): number | 'more' | 'garbage' {
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === 0x5c /* \ */) this.#escaped = true;
        else if (byte === 0x22 /* " */) this.#inString = false;
      } else if (byte === 0x7b /* { */ || (byte === 0x5b /* [ */ && this.#depth > 0)) {
        this.#depth++;
      } else if (this.#depth === 0) {
        if (!isLeading(byte)) return 'garbage';
      } else if (byte === 0x22) {
        this.#inString = true;
      } else if ((byte === 0x7d /* } */ || byte === 0x5d) /* ] */ && --this.#depth === 0) {
        return this.#consumed + at + 1;
      }
    }
    this.#consumed += chunk.length;
    return 'more';
  }

  /** Whether an object has begun. */
  get open(): boolean {
    return this.#depth > 0;
  }
}

/** Blank, or part of a byte order mark (EF BB BF). */
function isLeading(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d || byte === 0xef || byte === 0xbb || byte === 0xbf;
}

/** Collects chunks until they hold an object, can not hold one, or are too many. Pure: the clock is the caller's. */
export class InputCollector {
  readonly #chunks: Buffer[] = [];
  readonly #end = new JsonObjectEnd();
  #length = 0;

  constructor(readonly maxBytes: number) {}

  /** The input, as soon as it is decided. */
  push(chunk: Buffer): HookInput | undefined {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const end = this.#end.push(chunk);
    if (end === 'garbage') return { kind: 'garbage', problem: 'expected a JSON object' };
    if ((end === 'more' ? this.#length : end) > this.maxBytes) {
      return { kind: 'garbage', problem: `no JSON object ends within ${this.maxBytes} bytes` };
    }
    if (end !== 'more') return parse(this.#chunks.length === 1 ? chunk.subarray(0, end) : Buffer.concat(this.#chunks).subarray(0, end));
    return undefined;
  }

  /** Nothing more will come (`why` finishes the sentence "the JSON object was not complete ..."). */
  finish(why: string): HookInput {
    return this.#end.open ? { kind: 'garbage', problem: `the JSON object was not complete ${why}` } : { kind: 'none' };
  }
}

function parse(bytes: Buffer): HookInput {
  const text = bytes.toString('utf8');
  try {
    return { kind: 'json', value: JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text) as Record<string, unknown> };
  } catch (error) {
    return { kind: 'garbage', problem: `not valid JSON: ${(error as Error).message}` };
  }
}

/**
 * Reads the host's event.
 *
 * A pipe or socket is read on a thread of libuv's pool, which stays in read(2) for ever when the host never writes: whoever
 * calls this must end the process without waiting for that thread. node:net would wait in the event loop instead, and
 * costs a hook that runs at every session start more time than everything else it does for itself.
 * @param waitMs how long a pipe or socket may take; a file is read at once, a terminal or other device not at all.
 */
export function readHookInput(fd: number, waitMs: number, maxBytes: number): Promise<HookInput> {
  const collector = new InputCollector(maxBytes);
  switch (kindOf(fd)) {
    case 'stream':
      return readStream(fd, waitMs, collector);
    case 'file':
      return Promise.resolve(readFile(fd, collector));
    default:
      return Promise.resolve({ kind: 'none' });
  }
}

function kindOf(fd: number): 'stream' | 'file' | 'other' {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket() ? 'stream' : stat.isFile() ? 'file' : 'other';
  } catch {
    return 'other';
  }
}

function readFile(fd: number, collector: InputCollector): HookInput {
  try {
    for (;;) {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      const count = readSync(fd, buffer);
      const input = count > 0 ? collector.push(buffer.subarray(0, count)) : collector.finish('at the end of the file');
      if (input !== undefined) return input;
    }
  } catch (error) {
    return { kind: 'garbage', problem: (error as Error).message };
  }
}

function readStream(fd: number, waitMs: number, collector: InputCollector): Promise<HookInput> {
  return new Promise((resolve) => {
    // A process that was not scheduled for so long may have the event waiting: the poll before setImmediate still delivers it.
    const timer = setTimeout(() => setImmediate(() => settle(collector.finish(`after ${waitMs} ms`))), waitMs);
    const settle = (input: HookInput) => {
      clearTimeout(timer);
      resolve(input);
    };
    const next = () => {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      read(fd, buffer, 0, CHUNK_BYTES, null, (error, count) => {
        if (error?.code === 'EAGAIN') {
          // Somebody made it non-blocking, so there is nothing to wait on.
          setTimeout(next, RETRY_MS);
          return;
        }
        const input = error || count === 0 ? collector.finish('at the end of the input') : collector.push(buffer.subarray(0, count));
        if (input === undefined) next();
        else settle(input);
      });
    };
    next();
  });
}
