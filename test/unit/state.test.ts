import { describe, expect, it } from 'vitest';
import { isPossible, nextStatus, STATE_EVENTS, STATUSES } from '../../src/process/state.js';

/** The whole table, written down a second time: rows are statuses, columns are events; - = an error. */
const EXPECTED = `
          start     started   startFailed  startAborted  stop      kill      exitExpected  exitUnexpected  resisted  leftovers  lostSight
stopped   starting  -         -            -             -         -         -             -               -         -          -
starting  -         running   error        stopped       stopping  stopping  -             -               -         -          -
running   -         -         -            -             stopping  stopping  stopped       error           running   error      unknown
stopping  -         stopping  error        stopped       stopping  stopping  stopped       stopped         running   error      unknown
error     starting  -         -            -             -         -         -             -               -         -          -
unknown   -         -         -            -             -         stopping  stopped       error           -         error      -
`;

const [head, ...rows] = EXPECTED.trim()
  .split('\n')
  .map((line) => line.trim().split(/\s+/));
const table = new Map(rows.map(([status, ...cells]) => [status, new Map(cells.map((cell, i) => [head?.[i], cell]))]));

it('knows every status and every event', () => {
  expect([...table.keys()].sort()).toEqual([...STATUSES].sort());
  expect([...(head ?? [])].sort()).toEqual([...STATE_EVENTS].sort());
});

describe.each([...STATUSES])('%s', (status) => {
  it.each([...STATE_EVENTS])('on %s', (event) => {
    const expected = table.get(status)?.get(event);
    if (expected !== '-') {
      expect(nextStatus(status, event)).toBe(expected);
      expect(isPossible(status, event)).toBe(true);
      return;
    }
    expect(isPossible(status, event)).toBe(false);
    expect(() => nextStatus(status, event)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_TRANSITION', status, message: `${event} is not possible in status ${status}` }),
    );
  });
});
