/** The driver against a machine made of data: what is signalled, in which order, through what, and what is reported. */
import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ProcessRow, ProcessTable } from '../../src/tree/table.js';
import { type ListedOptions, type Select, type System, terminate, terminateListed } from '../../src/tree/terminate.js';
import type { ProcessField, ProcessInfo, TerminationOptions } from '../../src/types.js';

const { ESRCH, ESTALE, EPERM, EMFILE } = constants.errno;
const NAMES: Record<number, string> = { 0: '0', 9: 'KILL', 15: 'TERM', 18: 'CONT', 19: 'STOP' };

interface Fake {
  /** What SIGTERM does; default: it dies of it. */
  onTerm?: 'die' | 'ignore' | (() => void);
  state?: ProcessRow['state'];
  /** Every signal is refused so. */
  refuses?: number;
  /** SIGKILL does not end it. */
  immortal?: boolean;
  startTicks?: bigint;
  /** Wait status told at its end; null = not told. */
  status?: number | null;
  name?: string;
  args?: string[];
}

/** Far above any real pid, so that no test meets itself or its parents. */
const BASE = 3_000_000;

class Machine {
  readonly processes = new Map<number, Required<Omit<Fake, 'args'>> & { args?: string[] }>();
  readonly log: string[] = [];
  private readonly pending = new Set<number>();
  readonly watchers = new Map<number, Set<(status: number | null) => void>>();
  scans = 0;
  descriptors = Number.POSITIVE_INFINITY;
  open = 0;
  peak = 0;
  awake = 0;
  failingScans = 0;
  /** Whose process group is not empty, whether or not they live. */
  readonly led = new Set<number>();

  add(id: number, fake: Fake = {}): void {
    this.processes.set(BASE + id, {
      onTerm: 'die',
      state: 'S',
      refuses: 0,
      immortal: false,
      startTicks: BigInt(id),
      status: null,
      name: `p${id}`,
      ...fake,
    });
  }

  end(id: number): void {
    const process = this.processes.get(BASE + id)!;
    this.processes.delete(BASE + id);
    // News travels: it is never told within the call that caused it.
    setTimeout(() => {
      for (const tell of this.watchers.get(BASE + id) ?? []) tell(process.status);
      this.watchers.delete(BASE + id);
    }, 1);
  }

  rows(): ProcessRow[] {
    return [...this.processes].map(([pid, { startTicks, state, name, args }]) => ({
      pid,
      startTicks,
      bootId: 'b',
      state,
      name,
      ...(args && { args }),
    }));
  }

  readonly select = async (): Promise<ProcessRow[]> => {
    this.scans++;
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (this.failingScans > 0) {
      this.failingScans--;
      throw new Error('no look');
    }
    return this.rows();
  };

  readonly scanned: Array<{ pids: number[]; fields: ProcessField[] }> = [];

  readonly system: System = {
    nowMs: () => performance.now(),
    keepAlive: () => {
      this.awake++;
      return () => this.awake--;
    },
    scan: async (request) => {
      this.scanned.push({ ...request, pids: request.pids.map((pid) => pid - BASE) });
      const rows = (await this.select()).filter(({ pid }) => request.pids.includes(pid));
      return ProcessTable.from(rows, { nowTicks: 1000n, nowMs: 0 });
    },
    hold: ({ pid, startTicks }, onEnd) => {
      if (this.open >= this.descriptors) return -EMFILE;
      const process = this.processes.get(pid);
      if (process === undefined || process.state === 'Z') return -ESRCH;
      if (process.startTicks !== startTicks) return -ESTALE;
      this.open++;
      this.peak = Math.max(this.peak, this.open);
      const watchers = this.watchers.get(pid) ?? new Set();
      this.watchers.set(pid, watchers.add(onEnd));
      let open = true;
      return {
        startTicks,
        signal: (signal) => (open ? this.signal(pid - BASE, signal) : -9999),
        leadsGroup: () => open && this.led.has(pid - BASE),
        close: () => {
          if (open) this.open--;
          open = false;
          watchers.delete(onEnd);
        },
      };
    },
  };

  private signal(id: number, signal: number): number {
    const process = this.processes.get(BASE + id);
    if (process === undefined) return -ESRCH;
    if (process.refuses !== 0) return -process.refuses;
    this.log.push(`${NAMES[signal]} ${id}`);
    if (signal === 9) {
      if (!process.immortal) this.end(id);
    } else if (signal === 19) {
      if (process.state !== 'D') process.state = 'T';
    } else if (signal === 18) {
      if (process.state === 'T') process.state = 'S';
      if (this.pending.delete(id)) this.terminate(id);
    } else if (signal === 15) {
      // What is stopped acts on it when it runs again.
      if (process.state === 'T') this.pending.add(id);
      else this.terminate(id);
    }
    return 0;
  }

  private terminate(id: number): void {
    const { onTerm } = this.processes.get(BASE + id)!;
    if (onTerm === 'die') this.end(id);
    else if (onTerm !== 'ignore') onTerm();
  }
}

let machine: Machine;

beforeEach(() => {
  vi.useFakeTimers();
  machine = new Machine();
});

afterEach(() => {
  vi.useRealTimers();
  // Whatever happened: nothing is kept.
  expect({ open: machine.open, awake: machine.awake }).toEqual({ open: 0, awake: 0 });
});

/** Runs the fake clock until the promise settles. */
async function settle<T>(promise: Promise<T>): Promise<T> {
  let done = false;
  const settled = promise.finally(() => {
    done = true;
  });
  settled.catch(() => {});
  while (!done) await vi.advanceTimersByTimeAsync(1);
  return settled;
}

describe('terminate', () => {
  const run = (options: TerminationOptions & { killWaitMs?: number } = {}) => settle(terminate(machine.select, options, machine.system));
  const ids = (rows: readonly { pid: number }[]) => rows.map(({ pid }) => pid - BASE);
  const stopped = () => machine.rows().filter(({ state }) => state === 'T');

  it('tells a look whose groups are their own still, until they are empty', async () => {
    machine.add(1);
    machine.add(2);
    machine.add(3, { onTerm: 'ignore' });
    for (const id of [1, 2]) machine.led.add(id);
    const told: number[][] = [];
    const select: Select = async (isLed) => {
      const rows = await machine.select();
      told.push([1, 2, 3].filter((id) => isLed?.({ pid: BASE + id, startTicks: BigInt(id) })));
      expect(isLed?.({ pid: BASE + 1, startTicks: 99n })).toBe(false);
      if (machine.processes.size === 1) machine.led.delete(2);
      return rows;
    };
    await settle(terminate(select, { forceKillAfterDelay: 50 }, machine.system));
    const asked = told.filter((ids) => ids.length > 0);
    expect(asked[0]).toEqual([1, 2]);
    expect(asked.at(-1)).toEqual([1]);
    expect(told[0]).toEqual([]);
  });

  describe('whom a look tells of before it is complete', () => {
    /** Tells of each as soon as it is seen, then takes its time. */
    const telling = (seen: Array<'gone' | undefined>, between: () => void): Select => {
      let looks = 0;
      return async (_, onSight) => {
        const rows = await machine.select();
        const answers = rows.map((row) => onSight?.(row));
        if (++looks > 1) return rows;
        seen.push(...answers);
        between();
        await new Promise((resolve) => setTimeout(resolve, 5));
        return rows;
      };
    };

    it('stands still before the look is', async () => {
      machine.add(1);
      const seen: Array<'gone' | undefined> = [];
      const report = await settle(
        terminate(
          telling(seen, () => machine.log.push('(looking)')),
          {},
          machine.system,
        ),
      );
      expect(machine.log).toEqual(['STOP 1', '(looking)', 'STOP 1', 'TERM 1', 'CONT 1']);
      expect(seen).toEqual([undefined]);
      expect(ids(report.terminated)).toEqual([1]);
    });

    it('is said to be gone when it is, whatever its number is now', async () => {
      machine.add(1);
      machine.add(2);
      const seen: Array<'gone' | undefined> = [];
      let log: string[] = [];
      const select = telling(seen, () => (log = [...machine.log]));
      const late: Select = (isLed, onSight) =>
        select(isLed, (row) => {
          if (row.pid === BASE + 1) machine.processes.delete(row.pid);
          if (row.pid === BASE + 2) machine.processes.get(row.pid)!.startTicks = 77n;
          return onSight?.(row);
        });
      const report = await settle(terminate(late, {}, machine.system));
      expect(seen).toEqual(['gone', 'gone']);
      expect(log).toEqual([]); // the new owner of the second number was not signalled as the old one
      expect(ids(report.terminated)).toEqual([1, 2, 2]);
      expect(report.survivors).toEqual([]);
    });

    it('is held, not stopped, where newcomers are only asked', async () => {
      machine.add(1);
      let looks = 0;
      const log: string[] = [];
      const select: Select = async (_, onSight) => {
        if (++looks === 3) machine.add(2);
        const rows = await machine.select();
        for (const row of rows) onSight?.(row);
        if (looks === 3) log.push(...machine.log, `${machine.open} held`);
        return rows;
      };
      const report = await settle(terminate(select, {}, machine.system));
      expect(log.at(-1)).toBe('1 held');
      expect(machine.log.slice(log.length - 1)).toEqual(['TERM 2']); // it is gone before it could be woken
      expect(ids(report.terminated)).toEqual([1, 2]);
    });

    it.each([
      ['too many at once', 60, 32],
      ['too few descriptors, of which the look needs some', 20, 4],
    ])('takes its turn with the others when there are %s', async (_, descriptors, holds) => {
      for (let id = 1; id <= 100; id++) machine.add(id, { onTerm: 'ignore' });
      machine.descriptors = descriptors;
      const held: number[] = [];
      const select: Select = async (_, onSight) => {
        const rows = await machine.select();
        for (const row of rows) expect(onSight?.(row)).toBe(undefined);
        held.push(machine.open);
        return rows;
      };
      const report = await settle(terminate(select, { forceKillAfterDelay: 50 }, machine.system));
      expect(held[0]).toBe(holds);
      expect(report.survivors).toEqual([]);
      expect(report.terminated).toHaveLength(100);
    });

    it('that refuses is found to refuse', async () => {
      machine.add(1, { refuses: EPERM });
      const select: Select = async (_, onSight) => {
        const rows = await machine.select();
        for (const row of rows) onSight?.(row);
        return rows;
      };
      const report = await settle(terminate(select, { forceKillAfterDelay: 50, killWaitMs: 50 }, machine.system));
      expect(report.survivors).toMatchObject([{ pid: BASE + 1, reason: 'eperm' }]);
    });

    it('is not left stopped when the look fails after that', async () => {
      machine.add(1, { onTerm: 'ignore' });
      const select: Select = async (_, onSight) => {
        for (const row of await machine.select()) onSight?.(row);
        throw new Error('no look');
      };
      await expect(settle(terminate(select, {}, machine.system))).rejects.toThrow('no look');
      expect(machine.log).toEqual(['STOP 1', 'CONT 1']);
    });

    it('is refused when it is we ourselves', async () => {
      const select: Select = async (_, onSight) => {
        onSight?.({ pid: process.pid, startTicks: 1n, bootId: 'b' });
        return [];
      };
      await expect(settle(terminate(select, {}, machine.system))).rejects.toThrow(/select/);
      expect(machine.log).toEqual([]);
    });
  });

  it('asks everybody once, and looks twice for nobody', async () => {
    machine.add(1, { name: 'sh', status: 15 });
    machine.add(2, { status: 0 });
    machine.add(3);
    const report = await run();
    expect(machine.log.join(', ')).toBe('STOP 1, STOP 2, STOP 3, TERM 1, TERM 2, TERM 3, CONT 3, CONT 2, CONT 1');
    expect(machine.scans).toBe(4);
    expect(report).toEqual({
      terminated: [
        { pid: BASE + 1, startTicks: 1n, bootId: 'b', name: 'sh', signal: 'SIGTERM' },
        { pid: BASE + 2, startTicks: 2n, bootId: 'b', name: 'p2', signal: null }, // it exited
        { pid: BASE + 3, startTicks: 3n, bootId: 'b', name: 'p3', signal: null }, // nobody tells
      ],
      survivors: [],
      escalated: false,
      durationMs: expect.any(Number),
      proof: 'scan',
    });
    expect(report.durationMs).toBeLessThan(20);
  });

  it('wakes the stopped, and kills those that ignore it after the grace period', async () => {
    machine.add(1, { onTerm: 'ignore', state: 'T' });
    const report = await run({ forceKillAfterDelay: 300 });
    expect(machine.log).toEqual(['STOP 1', 'TERM 1', 'CONT 1', 'STOP 1', 'KILL 1']);
    expect(report).toMatchObject({ escalated: true, terminated: [{ pid: BASE + 1, signal: 'SIGKILL' }], survivors: [] });
    expect(report.durationMs).toBeGreaterThanOrEqual(300);
    expect(report.durationMs).toBeLessThan(330);
  });

  it('stops all, then asks all, then lets them run on, children first', async () => {
    for (const id of [1, 2]) machine.add(id, { onTerm: 'ignore' });
    let looks = 0;
    const select = () => {
      if (++looks === 2) machine.add(3, { onTerm: 'ignore' }); // forked between the look and SIGSTOP
      return machine.select();
    };
    const report = await settle(terminate(select, { forceKillAfterDelay: false, killWaitMs: 50 }, machine.system));
    expect(machine.log.join(', ')).toBe('STOP 1, STOP 2, STOP 3, TERM 1, TERM 2, TERM 3, CONT 3, CONT 2, CONT 1');
    expect(ids(report.survivors)).toEqual([1, 2, 3]);
    expect(stopped()).toEqual([]);
  });

  it.each([
    ['at the first look', 0],
    ['at the second', 1],
  ])('an abort during the first freeze, %s, goes on to SIGKILL', async (_, afterMs) => {
    for (const id of [1, 2]) machine.add(id, { onTerm: 'ignore' });
    const controller = new AbortController();
    const promise = terminate(machine.select, { signal: controller.signal }, machine.system);
    await vi.advanceTimersByTimeAsync(afterMs);
    controller.abort();
    expect(await settle(promise)).toMatchObject({ escalated: true, survivors: [] });
    expect(machine.log).toEqual(['STOP 1', 'STOP 2', 'KILL 2', 'KILL 1']);
  });

  it.each([Number.POSITIVE_INFINITY, 5])('an abort during the first freeze leaves nobody stopped (%d descriptors)', async (descriptors) => {
    for (let id = 1; id <= 30; id++) machine.add(id, { onTerm: 'ignore' });
    machine.descriptors = descriptors;
    const controller = new AbortController();
    const promise = terminate(machine.select, { forceKillAfterDelay: false, signal: controller.signal }, machine.system);
    await vi.advanceTimersByTimeAsync(1);
    expect(stopped().length).toBeGreaterThan(0);
    controller.abort();
    expect(await settle(promise)).toMatchObject({ escalated: false, survivors: { length: 30 } });
    expect(stopped()).toEqual([]);
    for (const entry of machine.log.filter((entry) => entry.startsWith('STOP'))) {
      expect(machine.log).toContain(entry.replace('STOP', 'TERM'));
    }
  });

  it.each([Number.POSITIVE_INFINITY, 2])(
    'a failure during the first freeze leaves nobody stopped (%d descriptors)',
    async (descriptors) => {
      for (let id = 1; id <= 9; id++) machine.add(id);
      machine.descriptors = descriptors;
      let looks = 0;
      const select = async (): Promise<ProcessInfo[]> => {
        const rows = await machine.select();
        return ++looks === 1 ? rows : [...rows, { pid: process.pid, startTicks: 1n, bootId: 'b' }];
      };
      await expect(settle(terminate(select, {}, machine.system))).rejects.toMatchObject({ code: 'ERR_REFUSED_TARGET' });
      expect(machine.log).toContain('CONT 1');
      expect(machine.log.filter((entry) => entry.startsWith('TERM'))).toEqual([]);
      expect(stopped()).toEqual([]);
    },
  );

  it('when the second look fails, those known are asked and run on', async () => {
    for (const id of [1, 2]) machine.add(id, { onTerm: 'ignore' });
    const promise = terminate(machine.select, { forceKillAfterDelay: false, killWaitMs: 200 }, machine.system);
    await vi.advanceTimersByTimeAsync(1);
    machine.failingScans = 1;
    expect(await settle(promise)).toMatchObject({ survivors: [{ pid: BASE + 1 }, { pid: BASE + 2 }] });
    expect(machine.log).toEqual(['STOP 1', 'STOP 2', 'TERM 1', 'TERM 2', 'CONT 2', 'CONT 1']);
  });

  it('finds who was forked during the kill', async () => {
    machine.add(1, { onTerm: () => machine.add(2, { onTerm: 'ignore' }) });
    const report = await run({ forceKillAfterDelay: 100 });
    expect(ids(report.terminated)).toEqual([1, 2]);
    expect(machine.log).toEqual(['STOP 1', 'TERM 1', 'CONT 1', 'STOP 1', 'STOP 2', 'KILL 2', 'KILL 1']);
  });

  it('tells another user’s processes from those that do not die', async () => {
    machine.add(1, { refuses: EPERM });
    machine.add(2, { state: 'D', immortal: true, onTerm: 'ignore' });
    machine.add(3, { immortal: true, onTerm: 'ignore' });
    const report = await run({ forceKillAfterDelay: 50, killWaitMs: 200 });
    expect(report.survivors.map(({ pid, name, reason }) => [pid - BASE, name, reason])).toEqual([
      [1, 'p1', 'eperm'],
      [2, 'p2', 'uninterruptible'],
      [3, 'p3', 'unknown'],
    ]);
    expect(report.terminated).toEqual([]);
    expect(report.durationMs).toBeLessThan(300);
  });

  it('never forces when told not to', async () => {
    machine.add(1, { onTerm: 'ignore' });
    const report = await run({ forceKillAfterDelay: false, killWaitMs: 100 });
    expect(report).toMatchObject({ escalated: false, survivors: [{ pid: BASE + 1, reason: 'not-forced' }] });
    expect(machine.log).toEqual(['STOP 1', 'TERM 1', 'CONT 1']);
  });

  it('an abort ends the patience, not the promise', async () => {
    machine.add(1, { onTerm: 'ignore' });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 40);
    const report = await run({ signal: controller.signal });
    expect(report).toMatchObject({ escalated: true, terminated: [{ pid: BASE + 1 }] });
    expect(report.durationMs).toBeLessThan(70);
  });

  it('an abort that came before goes straight to SIGKILL', async () => {
    machine.add(1);
    const report = await run({ signal: AbortSignal.abort() });
    expect(machine.log).toEqual(['STOP 1', 'KILL 1']);
    expect(report.terminated).toMatchObject([{ pid: BASE + 1, signal: 'SIGKILL' }]);
  });

  it('what is gone or recycled when it shall be held is not signalled', async () => {
    machine.add(1);
    machine.add(2, { startTicks: 77n });
    let first = true;
    const select = async () => {
      const rows = machine.rows();
      if (!first) return rows.filter(({ pid }) => pid !== BASE + 2);
      first = false;
      return [...rows.filter(({ pid }) => pid === BASE + 1), { ...rows[1]!, startTicks: 2n }, { ...rows[0]!, pid: BASE + 9 }];
    };
    const report = await settle(terminate(select, {}, machine.system));
    expect(machine.log).toEqual(['STOP 1', 'TERM 1', 'CONT 1']);
    expect(ids(report.terminated)).toEqual([1, 2, 9]);
    expect(machine.processes.has(BASE + 2)).toBe(true);
  });

  it('holds everybody before it signals anybody', async () => {
    const order: string[] = [];
    const { hold } = machine.system;
    const system: System = {
      ...machine.system,
      hold: (process, onEnd) => {
        order.push('hold');
        const held = hold(process, onEnd);
        if (typeof held === 'number') return held;
        const signal = (number: number) => {
          order.push('signal');
          return held.signal(number);
        };
        return { ...held, signal };
      },
    };
    for (const id of [1, 2, 3]) machine.add(id);
    await settle(terminate(machine.select, {}, system));
    expect(order.slice(0, 4)).toEqual(['hold', 'hold', 'hold', 'signal']);
  });

  it('a look that fails before anything was signalled is an error', async () => {
    machine.add(1);
    machine.failingScans = 1;
    await expect(run()).rejects.toThrow('no look');
    expect(machine.log).toEqual([]);
  });

  it('a look that fails later is made again', async () => {
    machine.add(1);
    const promise = terminate(machine.select, {}, machine.system);
    await vi.advanceTimersByTimeAsync(1);
    machine.failingScans = 2;
    const report = await settle(promise);
    expect(ids(report.terminated)).toEqual([1]);
    expect(report.survivors).toEqual([]);
  });

  it('when no look succeeds any more, what is held is ended and the rest not claimed', async () => {
    machine.add(1, { onTerm: 'ignore' });
    const promise = terminate(machine.select, { forceKillAfterDelay: 20, killWaitMs: 100 }, machine.system);
    await vi.advanceTimersByTimeAsync(1);
    machine.failingScans = Number.POSITIVE_INFINITY;
    await expect(settle(promise)).rejects.toMatchObject({ code: 'ERR_SCAN', report: { terminated: [{ pid: BASE + 1 }], survivors: [] } });
    expect(machine.processes.size).toBe(0);
  });

  it.each([1, 5, 40])('with %i descriptors for 60 processes', async (descriptors) => {
    for (let id = 1; id <= 60; id++) machine.add(id, id % 3 === 0 ? { onTerm: 'ignore' } : {});
    machine.descriptors = descriptors;
    const report = await run({ forceKillAfterDelay: 500 });
    expect(report.survivors).toEqual([]);
    expect(ids(report.terminated)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    expect(machine.peak).toBeLessThanOrEqual(descriptors);
    expect(machine.log.filter((entry) => entry.startsWith('TERM'))).toHaveLength(60);
    expect(machine.log.filter((entry) => entry.startsWith('KILL'))).toHaveLength(20);
  });

  it('without any descriptor says what it could not do', async () => {
    machine.add(1);
    machine.descriptors = 0;
    const report = await run({ forceKillAfterDelay: 20, killWaitMs: 20 });
    expect(report.survivors).toMatchObject([{ pid: BASE + 1, reason: 'unknown' }]);
  });

  it('refuses a selection that names us', async () => {
    const select = async (): Promise<ProcessInfo[]> => [{ pid: process.pid, startTicks: 1n, bootId: 'b' }];
    await expect(settle(terminate(select, {}, machine.system))).rejects.toMatchObject({ code: 'ERR_REFUSED_TARGET' });
    expect(machine.log).toEqual([]);
  });

  it.each<[TerminationOptions & { killWaitMs?: number }, RegExp]>([
    [
      { forceKillAfterDelay: -1 },
      /^forceKillAfterDelay: expected an integer from 0 to 2147483647 \(milliseconds\) or false \(never\), received number -1$/,
    ],
    [{ forceKillAfterDelay: true as false }, /^forceKillAfterDelay: .* received boolean true$/],
    [{ forceKillAfterDelay: 2 ** 31 }, /received number 2147483648$/],
    [{ killSignal: 0 }, /^killSignal: /],
    [{ signal: {} as AbortSignal }, /^signal: expected an AbortSignal, received an instance of Object$/],
    [{ killWaitMs: 0.5 }, /^killWaitMs: /],
  ])('refuses %o', async (options, message) => {
    await expect(run(options)).rejects.toThrow(message);
    expect(machine.scans).toBe(0);
  });
});

describe('terminateListed', () => {
  const row = (id: number): ProcessRow => machine.rows().find(({ pid }) => pid === BASE + id)!;
  const run = async (targets: ProcessInfo[], options: Partial<ListedOptions> = {}) => {
    const results = await settle(terminateListed(targets, { graceMs: 100, killWaitMs: 50, ...options }, machine.system));
    expect(results.map(({ process }) => process)).toEqual(targets);
    return results.map(({ process, outcome, signal }) => `${process.pid - BASE} ${outcome} ${signal}`);
  };

  it('signals exactly the listed, all at once, and forces those left', async () => {
    for (const id of [1, 2, 3]) machine.add(id, id === 2 ? { onTerm: 'ignore' } : {});
    machine.add(4);
    expect(await run([row(1), row(2), row(3)])).toEqual(['1 terminated SIGTERM', '2 terminated SIGKILL', '3 terminated SIGTERM']);
    expect(machine.log).toEqual(['TERM 1', 'TERM 2', 'TERM 3', 'KILL 2']);
    expect(machine.processes.has(BASE + 4)).toBe(true);
  });

  it('nobody listed', async () => {
    expect(await run([])).toEqual([]);
    expect(machine.scanned).toEqual([]);
  });

  it('wakes the stopped after SIGTERM, and only them', async () => {
    machine.add(1, { onTerm: 'ignore', state: 'T' });
    machine.add(2, { onTerm: 'ignore' });
    await run([row(1), row(2)]);
    expect(machine.log).toEqual(['TERM 1', 'CONT 1', 'TERM 2', 'KILL 1', 'KILL 2']);
  });

  it('tells gone, recycled, refused and immortal apart', async () => {
    for (const id of [1, 2, 3, 4, 5]) machine.add(id);
    const targets = [1, 2, 3, 4, 5].map(row);
    machine.end(1);
    machine.add(2, { startTicks: 22n });
    machine.add(3, { refuses: EPERM });
    machine.add(4, { immortal: true, onTerm: 'ignore' });
    machine.add(5, { state: 'Z' });
    expect(await run(targets)).toEqual([
      '1 already-gone null',
      '2 recycled null',
      '3 eperm null',
      '4 survived SIGKILL',
      '5 already-gone null',
    ]);
  });

  it('one that ends between being held and being signalled had gone', async () => {
    machine.add(1);
    machine.add(2);
    const targets = [row(1), row(2)];
    const recheck = () => {
      if (machine.processes.has(BASE + 1)) machine.end(1);
      return true;
    };
    expect(await run(targets, { recheck })).toEqual(['1 already-gone null', '2 terminated SIGTERM']);
  });

  it('asks again directly before each signal, with the row as it is then', async () => {
    machine.add(1, { onTerm: 'ignore', args: ['rg', 'x'] });
    machine.add(2, { args: ['rg', 'y'] });
    machine.add(3, { onTerm: 'ignore', args: ['rg', 'z'] });
    const targets = [row(1), row(2), row(3)];
    machine.processes.get(BASE + 2)!.args = ['vim'];
    const seen: string[] = [];
    const recheck = async (fresh: ProcessInfo) => {
      seen.push(`${fresh.pid - BASE} ${fresh.args?.join(' ')}`);
      if (fresh.pid === BASE + 3) machine.processes.get(BASE + 3)!.args = ['vim'];
      return fresh.args?.[0] === 'rg';
    };
    expect(await run(targets, { recheck })).toEqual(['1 terminated SIGKILL', '2 changed null', '3 changed SIGTERM']);
    expect(seen).toEqual(['1 rg x', '2 vim', '3 rg z', '1 rg x', '3 vim']);
    expect(machine.scanned).toEqual([
      { pids: [1, 2, 3], fields: ['name', 'state', 'args'] },
      { pids: [1, 3], fields: ['name', 'state', 'args'] },
    ]);
  });

  it('without a look there is no signal', async () => {
    machine.add(1);
    machine.failingScans = 1;
    await expect(run([row(1)])).rejects.toThrow('no look');
    expect(machine.log).toEqual([]);
  });

  it('without a second look there is no SIGKILL', async () => {
    machine.add(1, { onTerm: 'ignore' });
    const promise = run([row(1)]);
    await vi.advanceTimersByTimeAsync(50);
    machine.failingScans = 1;
    expect(await promise).toEqual(['1 survived SIGTERM']);
    expect(machine.log).toEqual(['TERM 1']);
  });

  it('an error of recheck is the caller’s', async () => {
    machine.add(1);
    await expect(run([row(1)], { recheck: () => Promise.reject(new Error('policy')) })).rejects.toThrow('policy');
    expect(machine.log).toEqual([]);
  });

  it('with too few descriptors goes in rounds', async () => {
    for (let id = 1; id <= 5; id++) machine.add(id);
    machine.descriptors = 2;
    expect(await run([1, 2, 3, 4, 5].map(row))).toEqual([1, 2, 3, 4, 5].map((id) => `${id} terminated SIGTERM`));
    expect(machine.peak).toBe(2);
  });

  it('without any descriptor leaves them alone', async () => {
    machine.add(1);
    machine.add(2);
    machine.descriptors = 0;
    expect(await run([row(1), row(2)])).toEqual(['1 survived null', '2 survived null']);
  });

  it.each([1, process.pid, process.ppid])('refuses pid %i', async (pid) => {
    machine.add(1);
    const targets = [row(1), { pid, startTicks: 1n, bootId: 'b' }];
    await expect(run(targets)).rejects.toMatchObject({ code: 'ERR_REFUSED_TARGET' });
    expect(machine.log).toEqual([]);
  });

  it.each([{ graceMs: -1 }, { killWaitMs: Number.NaN }])('refuses %o', async (options) => {
    await expect(run([], options)).rejects.toThrow(`${Object.keys(options)[0]}: expected an integer`);
  });
});
