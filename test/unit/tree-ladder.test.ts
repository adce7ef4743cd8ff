import { describe, expect, it } from 'vitest';
import {
  beginLadder,
  type LadderAction,
  type LadderEvent,
  type LadderSettings,
  type LadderState,
  stepLadder,
} from '../../src/tree/ladder.js';

/** What an action is, in a word: "look", "TERM a b", "until 5000", "settle a:eperm". */
function say(action: LadderAction): string {
  switch (action.do) {
    case 'look':
      return 'look';
    case 'wait':
      return `until ${action.untilMs}`;
    case 'signal':
      return `${action.signals.map((signal) => ({ 2: 'INT', 9: 'KILL', 15: 'TERM', 18: 'CONT', 19: 'STOP' })[signal]).join('+')} ${action.keys.join(' ')}`;
    case 'settle':
      return ['settle', ...action.survivors.map(({ key, reason }) => `${key}:${reason}`), ...(action.blind ? ['blind'] : [])].join(' ');
  }
}

/** "looked a b/T" (state after the slash, S if none), "gone a", "refused a eperm", "time", "hurry", "blind". */
function parse(text: string): LadderEvent {
  const [type, ...words] = text.split(' ');
  switch (type) {
    case 'looked':
      return { type, members: words.map((word) => ({ key: word[0]!, state: word[2] ?? 'S' })) };
    case 'gone':
      return { type, keys: words };
    case 'refused':
      return { type, key: words[0]!, reason: words[1] as 'eperm' };
    case 'time':
    case 'hurry':
    case 'blind':
      return { type };
    default:
      throw new Error(`no event ${text}`);
  }
}

type Line = [atMs: number, event: string, ...actions: string[]];

/** Plays the lines and compares what the ladder says to each. */
function play(settings: Partial<LadderSettings>, begins: string[], lines: Line[]): LadderState {
  let { state, actions } = beginLadder(
    { killSignal: 15, graceMs: 5000, killWaitMs: 2000, endMs: Number.POSITIVE_INFINITY, ...settings },
    0,
  );
  expect(actions.map(say), 'begin').toEqual(begins);
  for (const [atMs, event, ...expected] of lines) {
    ({ state, actions } = stepLadder(state, parse(event), atMs));
    expect(actions.map(say), `${event} at ${atMs} ms`).toEqual(expected);
  }
  return state;
}

const BEGIN = ['look', 'until 2000'];

/** The first freeze, all of it at 0 ms: these are found and stopped, stand still, and are asked. */
function asked(names: string, untilMs = 5000, killSignal = 'TERM'): Line[] {
  const keys = names.split(' ');
  const backwards = [...keys].reverse().join(' ');
  return [
    [0, `looked ${names}`, `STOP ${names}`, 'look'],
    [0, `looked ${keys.map((key) => `${key}/T`).join(' ')}`, `${killSignal} ${names}`, `CONT ${backwards}`, `until ${untilMs}`],
  ];
}

/** Behind the first STOP: as many looks as there are without a pause, in which it does not stand. */
const IN_A_FORK = Array.from({ length: 14 }, (): Line => [0, 'looked a/R', 'look']);

describe('freezing before asking', () => {
  it('finds the child forked since the look, and asks it too', () => {
    play({}, BEGIN, [
      [1, 'looked a', 'STOP a', 'look'],
      [2, 'looked a/R', 'look'], // in the middle of a fork
      [3, 'looked a/T b', 'STOP b', 'look'],
      [4, 'looked a/T b/T', 'TERM a b', 'CONT b a', 'until 5004'],
      [5, 'gone b a', 'look'],
      [6, 'looked', 'look'],
      [7, 'looked', 'settle'],
    ]);
  });

  it('asks everybody before the first runs on, children first', () => {
    play({}, BEGIN, [
      [1, 'looked a b c', 'STOP a b c', 'look'],
      [2, 'looked a/T b/D c/T', 'TERM a b c', 'CONT c b a', 'until 5002'],
    ]);
  });

  it('takes nothing from the grace period, however long', () => {
    play({ graceMs: 10 }, BEGIN, [
      [1, 'looked a', 'STOP a', 'look'],
      [500, 'looked a/T', 'TERM a', 'CONT a', 'until 510'],
      [510, 'time', 'until 2510', 'STOP a', 'look'],
    ]);
  });

  it.each<[string, Partial<LadderSettings>, number]>([
    ['a grace period', {}, 7000],
    ['no SIGKILL', { graceMs: null }, 4000],
  ])('asks all the same when a look takes too long (%s)', (_, settings, untilMs) => {
    play(settings, BEGIN, [
      [1, 'looked a', 'STOP a', 'look'],
      [2000, 'time', 'TERM a', 'CONT a', `until ${untilMs}`],
      [2001, 'looked a/T b', 'TERM b', 'CONT b'],
    ]);
  });

  it('asks after so many looks when somebody who refuses keeps forking', () => {
    const names = 'bcdefghijklmnop'.split('');
    const lines: Line[] = names.map((name, index) => [1 + index, `looked a ${name}`, `STOP ${name}`, 'look']);
    play({}, BEGIN, [
      [0, 'looked a', 'STOP a', 'look'],
      [0, 'refused a eperm'],
      ...lines.slice(0, 14),
      [100, 'looked a z', `TERM a ${names.slice(0, 14).join(' ')} z`, `CONT z ${names.slice(0, 14).reverse().join(' ')} a`, 'until 5100'],
    ]);
  });

  it('goes on stopping who keeps forking for a second, however many looks that takes', () => {
    const names = 'bcdefghijklmnopqrstuvwxy'.split('');
    const lines: Line[] = names.map((name, index) => [40 * index, `looked a ${name}`, `STOP ${name}`, 'look']);
    play({}, BEGIN, [
      [0, 'looked a', 'STOP a', 'look'],
      ...lines,
      [1000, 'looked a z', `TERM a ${names.join(' ')} z`, `CONT z ${[...names].reverse().join(' ')} a`, 'until 6000'],
    ]);
  });

  it('and for so many looks, however long they take, but no longer than a freeze may take', () => {
    const lines: Line[] = 'bcdefg'.split('').map((name, index) => [300 * (index + 1), `looked a ${name}`, `STOP ${name}`, 'look']);
    play({}, BEGIN, [
      [0, 'looked a', 'STOP a', 'look'],
      ...lines,
      [2000, 'time', 'TERM a b c d e f g', 'CONT g f e d c b a', 'until 7000'],
    ]);
  });

  it('waits for somebody in the middle of a fork for as long as that takes, slowly after so many looks', () => {
    play({}, BEGIN, [
      [0, 'looked a', 'STOP a', 'look'],
      ...IN_A_FORK,
      [30, 'looked a/R', 'STOP a', 'until 35'], // or it was continued by somebody
      [35, 'time', 'look', 'until 2000'],
      [36, 'looked a/R', 'STOP a', 'until 41'],
      [41, 'time', 'look', 'until 2000'],
      [42, 'looked a/T b', 'STOP b', 'look'],
      [43, 'looked a/T b/T', 'TERM a b', 'CONT b a', 'until 5043'],
    ]);
  });

  it('but no longer than a freeze may take', () => {
    play({}, BEGIN, [
      [0, 'looked a', 'STOP a', 'look'],
      ...IN_A_FORK,
      [1998, 'looked a/R', 'STOP a', 'until 2000'],
      [2000, 'time', 'TERM a', 'CONT a', 'until 7000'],
    ]);
  });

  it('goes on looking when it is to hurry meanwhile', () => {
    play({}, BEGIN, [
      [0, 'looked a', 'STOP a', 'look'],
      ...IN_A_FORK,
      [30, 'looked a/R', 'STOP a', 'until 35'],
      [31, 'hurry', 'until 2031', 'look'],
      [32, 'looked a/T', 'KILL a', 'until 2032'],
      [33, 'gone a', 'look'],
      [34, 'looked', 'look'],
      [35, 'looked', 'settle'],
    ]);
  });

  it('is over when the one it waits for has ended', () => {
    play({}, BEGIN, [
      [0, 'looked a', 'STOP a', 'look'],
      ...IN_A_FORK,
      [30, 'looked a/R', 'STOP a', 'until 35'],
      [31, 'gone a', 'look'],
      [32, 'looked', 'look', 'until 5032'],
      [33, 'looked', 'settle'],
    ]);
  });

  it('who ended meanwhile is not asked', () => {
    play({}, BEGIN, [
      [1, 'looked a b', 'STOP a b', 'look'],
      [2, 'gone a'],
      [3, 'looked b/T', 'TERM b', 'CONT b', 'until 5003'],
    ]);
    play({}, BEGIN, [
      [1, 'looked a', 'STOP a', 'look'],
      [2, 'gone a'],
      [3, 'looked', 'look', 'until 5003'],
      [4, 'looked', 'settle'],
    ]);
  });

  it('hurried: nobody runs on, SIGKILL is next', () => {
    const state = play({}, BEGIN, [
      [1, 'looked a', 'STOP a', 'look'],
      [2, 'hurry', 'until 2002'],
      [3, 'hurry'],
      [4, 'looked a/T b', 'STOP b', 'look'],
      [5, 'looked a/T b/T', 'KILL b a', 'until 2005'],
      [6, 'gone a b', 'look'],
      [7, 'looked', 'look'],
      [8, 'looked', 'settle'],
    ]);
    expect(state.escalated).toBe(true);
  });

  it('hurried when SIGKILL is never to be sent: everybody is asked and runs on', () => {
    play({ graceMs: null }, BEGIN, [
      [1, 'looked a b', 'STOP a b', 'look'],
      [2, 'hurry', 'TERM a b', 'CONT b a', 'until 2002'],
      [3, 'gone b'],
      [4, 'looked a', 'settle a:not-forced'],
    ]);
  });

  it('blind: those known are asked and run on', () => {
    play({}, BEGIN, [
      [1, 'looked a b', 'STOP a b', 'look'],
      [2, 'blind', 'TERM a b', 'CONT b a', 'until 52'],
      [3, 'gone a b'],
      [52, 'time', 'look', 'until 5002'],
      [53, 'looked c', 'TERM c', 'CONT c'],
      [54, 'gone c', 'look'],
      [55, 'looked', 'look'],
      [56, 'looked', 'settle'],
    ]);
  });
});

describe('asking', () => {
  it('everybody ends when asked', () => {
    const state = play({}, BEGIN, [
      ...asked('a b c'),
      [3, 'gone a c'],
      [4, 'gone b', 'look'],
      [5, 'looked', 'look'],
      [6, 'looked', 'settle'],
    ]);
    expect(state).toMatchObject({ phase: 'settled', escalated: false });
  });

  it('nobody was there', () => {
    play({}, BEGIN, [
      [1, 'looked', 'look', 'until 5001'],
      [2, 'looked', 'settle'],
    ]);
  });

  it('who turns up when the others are gone is asked too', () => {
    play({}, BEGIN, [
      ...asked('a'),
      [2, 'gone a', 'look'],
      [3, 'looked b', 'TERM b', 'CONT b'],
      [4, 'gone b', 'look'],
      [5, 'looked', 'look'],
      [6, 'looked c', 'TERM c', 'CONT c'],
      [7, 'gone c', 'look'],
      [8, 'looked', 'look'],
      [9, 'looked', 'settle'],
    ]);
  });

  it('sends another signal when told so, and no second SIGCONT', () => {
    play({ killSignal: 2 }, BEGIN, asked('a', 5000, 'INT'));
    play({ killSignal: 18 }, BEGIN, [
      [0, 'looked a', 'STOP a', 'look'],
      [0, 'looked a/T', 'CONT a', 'until 5000'],
    ]);
  });

  it('a timer that comes early waits on', () => {
    play({}, BEGIN, [...asked('a'), [4999, 'time', 'until 5000']]);
  });
});

describe('escalating', () => {
  it('freezes until a look finds nobody new and everybody standing, then kills', () => {
    const state = play({}, BEGIN, [
      ...asked('a b'),
      [2, 'gone b'],
      [5000, 'time', 'until 7000', 'STOP a', 'look'],
      [5001, 'looked a/T c', 'STOP c', 'look'],
      [5002, 'looked a/T c/R', 'look'],
      [5003, 'looked a/T c/T', 'KILL c a', 'until 7003'],
      [5004, 'gone a'],
      [5005, 'gone c', 'look'],
      [5006, 'looked', 'look'],
      [5007, 'looked', 'settle'],
    ]);
    expect(state.escalated).toBe(true);
  });

  it('a look that began before the freeze ends no freeze', () => {
    play({ graceMs: 10 }, BEGIN, [
      ...asked('a', 10),
      [2, 'gone a', 'look'],
      [3, 'looked b', 'TERM b', 'CONT b'],
      [4, 'gone b', 'look'],
      [5, 'looked c', 'TERM c', 'CONT c'],
      [10, 'time', 'until 2010', 'STOP c', 'look'],
      [11, 'looked c/T', 'KILL c', 'until 2011'],
    ]);
    play({ graceMs: 10 }, BEGIN, [
      ...asked('a', 10),
      [2, 'gone a', 'look'],
      [10, 'time', 'until 2010'], // the look is under way and nobody is known
      [11, 'looked b', 'STOP b', 'look'],
      [12, 'looked b/T', 'KILL b', 'until 2012'],
    ]);
  });

  it('newcomers after the kill are frozen and killed as well', () => {
    play({}, BEGIN, [
      ...asked('a'),
      [5000, 'time', 'until 7000', 'STOP a', 'look'],
      [5001, 'looked a/T', 'KILL a', 'until 7001'],
      [5002, 'gone a', 'look'],
      [5003, 'looked b', 'STOP b', 'look'],
      [5004, 'looked b/T', 'KILL b', 'until 7004'],
      [5005, 'gone b', 'look'],
      [5006, 'looked', 'look'],
      [5007, 'looked', 'settle'],
    ]);
  });

  it('everybody ended while it was frozen', () => {
    play({}, BEGIN, [
      ...asked('a'),
      [5000, 'time', 'until 7000', 'STOP a', 'look'],
      [5001, 'gone a'],
      [5002, 'looked', 'until 7002', 'look'],
      [5003, 'looked', 'settle'],
    ]);
  });

  it('when somebody who refuses keeps forking, freezing ends after so many looks', () => {
    const names = 'bcdefghijklmnop'.split('');
    const lines: Line[] = names.map((name, index) => [5001 + index, `looked a ${name}`, `STOP ${name}`, 'look']);
    play({}, BEGIN, [
      ...asked('a'),
      [5000, 'time', 'until 7000', 'STOP a', 'look'],
      [5000, 'refused a eperm'],
      ...lines,
      [5100, 'looked a z', `KILL z ${[...names].reverse().join(' ')} a`, 'until 7100'],
    ]);
  });

  it('newcomers are killed where they stand when freezing them was tried often enough', () => {
    const lines = Array.from({ length: 7 }, (): Line[] => [
      [5001, 'looked b', 'STOP b', 'look'],
      [5001, 'looked b/T', 'KILL b', 'until 7001'],
      [5001, 'gone b', 'look'],
    ]);
    play({ graceMs: 0 }, BEGIN, [
      ...lines.flat(),
      [5001, 'looked a', 'STOP a', 'look'],
      [5001, 'looked a/T', 'KILL a', 'until 7001'],
      [5001, 'gone a', 'look'],
      [5002, 'looked c d', 'KILL d c', 'until 7002'],
      [5003, 'gone c d', 'look'],
      [5004, 'looked', 'look'],
      [5005, 'looked', 'settle'],
    ]);
  });

  it.each<[string, Partial<LadderSettings>]>([
    ['SIGKILL is the first signal', { killSignal: 9 }],
    ['there is no grace period', { graceMs: 0 }],
  ])('at once when %s', (_, settings) => {
    play(settings, BEGIN, [
      [1, 'looked a', 'STOP a', 'look'],
      [2, 'looked a/T', 'KILL a', 'until 2002'],
      [3, 'gone a', 'look'],
      [4, 'looked', 'look'],
      [5, 'looked', 'settle'],
    ]);
    play(settings, BEGIN, [
      [1, 'looked', 'until 2001', 'look'],
      [2, 'looked', 'settle'],
    ]);
  });

  it('at once when hurried, once', () => {
    play({}, BEGIN, [
      ...asked('a'),
      [70, 'hurry', 'until 2070', 'STOP a', 'look'],
      [71, 'hurry'],
      [72, 'looked a/T', 'KILL a', 'until 2072'],
      [73, 'hurry'],
    ]);
  });

  it('hurried before the first look', () => {
    play({}, BEGIN, [
      [0, 'hurry', 'until 2000'],
      [1, 'looked a', 'STOP a', 'look'],
      [2, 'looked a/T', 'KILL a', 'until 2002'],
    ]);
  });

  it('kills what it knows when the freeze takes too long', () => {
    play({}, BEGIN, [
      ...asked('a'),
      [5000, 'time', 'until 7000', 'STOP a', 'look'],
      [7000, 'time', 'KILL a', 'until 9000'],
      [7001, 'gone a'], // that look is still under way
      [7002, 'looked', 'look'],
      [7003, 'looked', 'look'],
      [7004, 'looked', 'settle'],
    ]);
  });
});

describe('survivors', () => {
  it('of another user: waited for, then told, without waiting for SIGKILL to work', () => {
    const state = play({}, BEGIN, [
      [0, 'looked a b', 'STOP a b', 'look'],
      [0, 'refused b eperm'],
      [0, 'looked a/T b', 'TERM a b', 'CONT b a', 'until 5000'],
      [0, 'refused b eperm'],
      [2, 'gone a'],
      [5000, 'time', 'until 7000', 'STOP b', 'look'],
      [5000, 'refused b eperm'],
      [5001, 'looked b', 'KILL b', 'until 7001'],
      [5001, 'refused b eperm', 'look'],
      [5002, 'looked b', 'settle b:eperm'], // the look of the freeze was the first to find nobody else
    ]);
    expect(state.escalated).toBe(true);
  });

  it('of another user that ended before it could refuse is none either', () => {
    play({}, BEGIN, [
      [0, 'looked a b', 'STOP a b', 'look'],
      [0, 'gone b'],
      [0, 'refused b eperm'],
      [0, 'looked a/T', 'TERM a', 'CONT a', 'until 5000'],
    ]);
  });

  it('of another user that ends in the meantime is none', () => {
    play({}, BEGIN, [
      [0, 'looked a b', 'STOP a b', 'look'],
      [0, 'refused b eperm'],
      [0, 'looked a/T b', 'TERM a b', 'CONT b a', 'until 5000'],
      [0, 'refused b eperm'],
      [2, 'gone a'],
      [90, 'gone b', 'look'],
      [91, 'looked', 'look'],
      [92, 'looked', 'settle'],
    ]);
  });

  it('that SIGKILL did not end, with the state of the last look', () => {
    play({}, BEGIN, [
      ...asked('a b'),
      [5000, 'time', 'until 7000', 'STOP a b', 'look'],
      [5001, 'looked a/D b/T', 'KILL b a', 'until 7001'],
      [7001, 'time', 'look'],
      [7002, 'looked a/D b/R', 'settle a:uninterruptible b:unknown'],
    ]);
  });

  it('whose end is seen by the look but not yet told is waited for', () => {
    play({}, BEGIN, [
      ...asked('a b'),
      [5000, 'time', 'until 7000', 'STOP a b', 'look'],
      [5001, 'looked a/D b/T', 'KILL b a', 'until 7001'],
      [7001, 'time', 'look'],
      [7002, 'looked a/D', 'look'],
      [7002, 'gone b'],
      [7003, 'looked a/D', 'settle a:uninterruptible'],
    ]);
  });

  it('when SIGKILL is never to be sent', () => {
    const state = play({ graceMs: null }, BEGIN, [
      [0, 'looked a b c', 'STOP a b c', 'look'],
      [0, 'refused b eperm'],
      [0, 'looked a/T b c/T', 'TERM a b c', 'CONT c b a', 'until 2000'],
      [0, 'refused b eperm'],
      [2, 'gone c'],
      [2000, 'time', 'look'],
      [2001, 'looked a b', 'settle a:not-forced b:eperm'],
    ]);
    expect(state.escalated).toBe(false);
  });

  it('when SIGKILL is never to be sent and nobody wants to wait', () => {
    play({ graceMs: null }, BEGIN, [...asked('a', 2000), [9, 'hurry', 'look'], [10, 'looked a', 'settle a:not-forced']]);
  });

  it('that go on forking out of reach do not keep it for ever', () => {
    let { state, actions } = beginLadder({ killSignal: 9, graceMs: 0, killWaitMs: 2000, endMs: Number.POSITIVE_INFINITY }, 0);
    let steps = 0;
    let untilMs = Number.POSITIVE_INFINITY;
    for (let next = 0; state.phase !== 'settled' && steps < 4000; steps++) {
      const now = steps * 10;
      for (const action of actions) if (action.do === 'wait') untilMs = action.untilMs;
      if (now >= untilMs) ({ state, actions } = stepLadder(state, { type: 'time' }, now));
      const looking = actions.some((action) => action.do === 'look');
      const signalled = actions.flatMap((action) => (action.do === 'signal' ? action.keys : []));
      for (const key of signalled) ({ state } = stepLadder(state, { type: 'refused', key, reason: 'eperm' }, now));
      const event: LadderEvent =
        looking || state.look !== 'none' ? { type: 'looked', members: [{ key: `n${next++}`, state: 'R' }] } : { type: 'time' };
      ({ state, actions } = stepLadder(state, event, now));
    }
    expect(state.phase).toBe('settled');
    expect(actions.at(-1)).toMatchObject({ do: 'settle' });
  });
});

describe('the end of all', () => {
  const begin = ['look', 'until 300'];

  it('leaves those killed their time to die', () => {
    play({ endMs: 2300 }, begin, [
      ...asked('a', 300),
      [300, 'time', 'until 2300', 'STOP a', 'look'],
      [301, 'looked a/T', 'KILL a', 'until 2300'],
      [2300, 'time', 'look'],
      [2301, 'looked a/D', 'settle a:uninterruptible'],
    ]);
  });

  it('kills whoever was only stopped for it', () => {
    play({ endMs: 2300 }, begin, [
      ...asked('a', 300),
      [300, 'time', 'until 2300', 'STOP a', 'look'],
      [2300, 'time', 'KILL a'], // the look under way is the last
      [2301, 'looked a', 'settle a:unknown'],
    ]);
  });

  it('kills nobody when that is never to be done', () => {
    play({ graceMs: null, endMs: 2300 }, begin, [...asked('a', 2000), [2000, 'time', 'look'], [2001, 'looked a', 'settle a:not-forced']]);
  });

  it('needs two looks to say that nobody is left', () => {
    play({ endMs: 2300 }, begin, [
      [2300, 'time'],
      [2301, 'looked', 'look'],
      [2302, 'looked', 'settle'],
    ]);
  });

  it('is three kill waits after the first SIGKILL, whoever turns up', () => {
    let { state, actions } = beginLadder({ killSignal: 9, graceMs: 0, killWaitMs: 100, endMs: Number.POSITIVE_INFINITY }, 0);
    let now = 0;
    let untilMs = Number.POSITIVE_INFINITY;
    let firstKillMs: number | undefined;
    // Somebody new in every look, and each dies of the signal.
    for (let next = 0; state.phase !== 'settled' && now < 10_000; now += 5) {
      for (const action of actions) if (action.do === 'wait') untilMs = action.untilMs;
      if (state.escalated) firstKillMs ??= now;
      const gone = state.phase === 'killing' ? [...state.members.keys()] : [];
      if (gone.length > 0) ({ state, actions } = stepLadder(state, { type: 'gone', keys: gone }, now));
      if (now >= untilMs) ({ state, actions } = stepLadder(state, { type: 'time' }, now));
      if (state.look === 'none') continue;
      ({ state, actions } = stepLadder(state, { type: 'looked', members: [{ key: `n${next++}`, state: 'T' }] }, now));
    }
    expect(firstKillMs).toBeGreaterThan(0);
    expect(now - firstKillMs!).toBeGreaterThan(250);
    expect(now - firstKillMs!).toBeLessThan(350);
  });
});

describe('blind', () => {
  it('tries again, and needs two looks after that', () => {
    play({}, BEGIN, [
      ...asked('a'),
      [2, 'gone a', 'look'],
      [3, 'blind', 'until 53'],
      [53, 'time', 'look', 'until 5000'],
      [54, 'looked', 'look'],
      [55, 'looked', 'settle'],
    ]);
  });

  it('kills what it holds all the same, and says that it does not know', () => {
    play({ graceMs: 40 }, BEGIN, [
      ...asked('a', 40),
      [40, 'time', 'until 2040', 'STOP a', 'look'],
      [41, 'blind', 'KILL a', 'until 2041'],
      [42, 'gone a'],
      [2041, 'time', 'look'],
      [2042, 'blind', 'settle blind'],
    ]);
  });
});

it('after settling nothing happens', () => {
  const settled = play({}, BEGIN, [
    [1, 'looked', 'look', 'until 5001'],
    [2, 'looked', 'settle'],
  ]);
  for (const event of ['looked a', 'gone a', 'refused a eperm', 'time', 'hurry', 'blind']) {
    expect(stepLadder(settled, parse(event), 9000)).toEqual({ state: settled, actions: [] });
  }
});
