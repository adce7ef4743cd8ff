/**
 * The escape matrix: every shape of a tree × every event that can end it (test/containment/matrix.mjs), each in a pid namespace of its own
 * whose PID 1 counts who is left. A cell holds when nobody is, or when who is left was returned with the true reason. Prints the table;
 * times are shown and never judged.
 */
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EVENTS, GRACE_MS, keyOf, POLICIES, POLICY_SHAPES, prepareCells, runCells, SHAPES, table, whyNot } from '../containment/matrix.mjs';

/** As arena.c answers, and the report of the sweep where there was one. */
interface Result {
  problem?: string;
  ready: boolean;
  over: boolean;
  ms: number | null;
  /** How many the tree had when it was complete, the leader included. */
  members: number;
  /** That members of the shape "witness" got. */
  signals: number;
  leftBefore: number;
  /** What the owner was told. */
  done: { survivors: Array<{ pid: number; reason: string }> } | null;
  survivors: Array<{ pid: number; name: string; uid: number; wasThere: boolean }>;
  sweep?: { verdicts: Array<{ process: { pid: number }; action: string; protectedBy?: string }> };
}

let results = new Map<string, Result>();
let programs: ReturnType<typeof prepareCells>;

beforeAll(async () => {
  programs = prepareCells(tmpdir());
  expect(programs.namespace, 'a pid namespace inside this one').toBeDefined();
  const jobs = [...EVENTS, ...POLICIES].flatMap((event) =>
    (POLICIES.includes(event) ? POLICY_SHAPES : SHAPES)
      .filter((shape) => whyNot(shape) === undefined)
      .map((shape) => ({ programs, shape, event })),
  );
  results = (await runCells(jobs)) as typeof results;
}, 3_600_000);

afterAll(() => {
  const user = process.getuid?.() === 0 ? 'root' : 'an ordinary user';
  const text = [table(SHAPES, EVENTS, results), table(POLICY_SHAPES, POLICIES, results)].join('\n\n');
  process.stdout.write(`\nSurvivors as ${user} (ms from event or deadline to empty; grace period ${GRACE_MS} ms)\n\n${text}\n`);
  programs?.end();
});

function complete(event: { id: string }, shape: { id: string }): Result {
  const result = results.get(keyOf({ event, shape }));
  expect(result).toMatchObject({ ready: true, over: true });
  return result as Result;
}

describe.each(EVENTS)('$id', (event) => {
  it.for(SHAPES)('$id', (shape, context) => {
    const why = whyNot(shape);
    if (why !== undefined) context.skip(why);
    const result = complete(event, shape);
    if (event.id === 'both-killed') {
      // Of another user, so neither to be read nor to be ended: the sweep says so of each.
      const expected = shape.id === 'uid' ? 2 : shape.id === 'setuid' ? 1 : 0;
      expect(result.survivors).toHaveLength(expected);
      expect(result.leftBefore, 'somebody was left for the sweep').toBeGreaterThan(0);
      for (const { pid } of result.survivors)
        expect(result.sweep?.verdicts.find(({ process }) => process.pid === pid)).toMatchObject({
          protectedBy: expect.stringMatching(/^(other-user|unknown-environment)$/),
        });
    } else if (shape.id === 'setuid') {
      // Nobody but root may end it. Who can still be told is told; the keeper stays for it.
      const survivors = result.survivors.filter(({ name }) => name !== 'corral-keeper');
      expect(survivors).toMatchObject([{ uid: 0, wasThere: true }]);
      if (result.done !== null) expect(result.done.survivors).toEqual([{ pid: survivors[0]?.pid, reason: 'eperm' }]);
      else expect(event.id).toMatch(/^owner-/);
    } else {
      expect(result.survivors).toEqual([]);
      if (result.done !== null) expect(result.done.survivors).toEqual([]);
    }
  });
});

describe('policies', () => {
  it.for(POLICY_SHAPES)("onLeaderExit 'stop', and 'wait' until stop(): nobody is left of %o", (shape) => {
    for (const id of ['leader-stop', 'leader-wait']) {
      const result = complete({ id }, shape);
      expect(result.survivors).toEqual([]);
      expect(result.done?.survivors).toEqual([]); // the owner has seen that somebody was waited for, or there is no word of it
    }
  });

  it.for(POLICY_SHAPES)("onLeaderExit 'leave': who is left is exactly the tree, untouched, and no keeper: %o", (shape) => {
    const { survivors, members, signals, done } = complete({ id: 'leader-leave' }, shape);
    expect(survivors.every(({ wasThere }) => wasThere)).toBe(true);
    expect({ left: survivors.length, signals }).toEqual({ left: members - 1, signals: 0 });
    const left = new Set(survivors.map(({ pid }) => pid));
    for (const survivor of done?.survivors ?? []) expect([left.has(survivor.pid), survivor.reason]).toEqual([true, 'not-forced']);
    expect(done).not.toBeNull();
  });

  it.for(POLICY_SHAPES)("onOwnerExit 'leave': the same with the leader, and a sweep spares it: %o", (shape) => {
    for (const id of ['owner-leave', 'owner-leave-exit']) {
      const { survivors, members, signals, sweep } = complete({ id }, shape);
      expect(survivors.every(({ wasThere }) => wasThere)).toBe(true);
      expect({ left: survivors.length, signals }).toEqual({ left: members, signals: 0 });
      expect(sweep?.verdicts.filter(({ action }) => action === 'terminate')).toEqual([]);
    }
  });
});
