/**
 * Every prefix of a lifecycle, ended by a worker's termination or by process.exit: no crash, no hang, nothing left behind. The environment
 * runs in a process of its own, so that a crash fails a test and not the runner.
 */
import { describe, expect, it } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, describeProcess } from '../helpers/proc.js';

const lifecycles = [
  ['load', 'listen', 'ref', 'spawn', 'begin-stop', 'busy'],
  ['load', 'listen', 'begin-spawn'],
  ['load', 'listen', 'begin-spawn', 'busy'],
  ['load', 'listen', 'begin-spawn-pipes', 'busy'],
  ['load', 'listen', 'begin-spawn', 'close'],
  ['load', 'listen', 'spawn-nothing', 'close'],
  ['load', 'listen', 'spawn-group', 'begin-stop', 'busy'],
  ['load', 'listen', 'spawn-group', 'stop', 'close'],
  ['load', 'listen', 'spawn', 'begin-kill', 'close'],
  ['load', 'listen', 'spawn', 'stop', 'close', 'unref'],
  ['load', 'listen', 'open', 'begin-scan', 'busy'],
  ['load', 'listen', 'ref', 'scan', 'unref', 'begin-scan'],
];
const prefixes = [...new Set(lifecycles.flatMap((steps) => steps.map((_, last) => steps.slice(0, last + 1).join(','))))];

/** Of a sanitized addon the runtime has to be there first; the fixture does not hand it on. */
const preload = process.env.CORRAL_TEST_PRELOAD;
const options = { deadlineMs: 60_000, ...(preload === undefined ? {} : { env: { ...process.env, LD_PRELOAD: preload } }) };
const LIMIT_MS = 90_000;

const leftovers = () => allProcesses().filter(({ name }) => name === 'sleep' || name === 'corral-keeper');

describe.each(['main', 'worker', 'both'])('the addon in %s', (where) => {
  it.each(prefixes)(
    '%s',
    async (steps) => {
      const fixture = await startFixture('addon-lifecycle.cjs', [where, steps, '3'], options);
      expect(await fixture.exited).toEqual({ code: 0, signal: null });
      await eventually(() => leftovers().length === 0, 5000, `nothing is left of ${steps}: ${leftovers().map(describeProcess).join('; ')}`);
    },
    LIMIT_MS,
  );
});

it.each(['begin-spawn-pipes,begin-scan', 'spawn-untaken'])(
  'opens no descriptor per worker that came and went after %s',
  async (steps) => {
    const [few, many] = await Promise.all(
      ['1', '20'].map(async (times) => {
        const fixture = await startFixture('addon-lifecycle.cjs', ['both', `load,listen,${steps}`, times], options);
        await fixture.exited;
        return Number(fixture.ready[0]);
      }),
    );
    // What the last workers left may still be on its way out: a keeper's two, and its three pipes.
    expect((many ?? 0) - (few ?? 0)).toBeLessThanOrEqual(10);
    await eventually(() => leftovers().length === 0);
  },
  LIMIT_MS,
);
