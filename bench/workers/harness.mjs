/**
 * What every measured JavaScript process starts with: its task, a clock that other processes share, the peers. Runs in Node and Bun.
 */
export const task = JSON.parse(process.argv[2]);

/** CLOCK_MONOTONIC in nanoseconds; the limit programs and children use the same. Bun counts hrtime from its own start. */
export const monotonicNs = process.versions.bun ? await bunClock() : () => Number(process.hrtime.bigint());

async function bunClock() {
  const { dlopen, ptr } = await import('bun:ffi');
  const { symbols } = dlopen('libc.so.6', { clock_gettime: { args: ['i32', 'ptr'], returns: 'i32' } });
  const time = new BigInt64Array(2);
  const address = ptr(time);
  return () => {
    symbols.clock_gettime(1, address);
    return Number(time[0]) * 1e9 + Number(time[1]);
  };
}

export async function peer(name) {
  const { load } = await import(task.load);
  return load(name);
}

export const corral = () => import(task.dist);

export function answer(samples) {
  process.stdout.write(`${JSON.stringify(samples)}\n`, () => process.exit(0));
}

/** Memory in use besides the program's own, as a server has it: Buffers, every 4 KiB page written. */
export function touchHeap(megabytes) {
  const CHUNK = 50;
  return Array.from({ length: megabytes / CHUNK }, () => Buffer.allocUnsafeSlow(CHUNK << 20).fill(1));
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
