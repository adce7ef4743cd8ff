import { describe, expect, it } from 'vitest';
import { planFor } from '../../src/hook/events.js';
import { parseHookOptions } from '../../src/hook/options.js';

describe('flags of the hook', () => {
  it.each([
    [[], { host: 'auto', dryRun: false, help: false }],
    [['--host', 'claude'], { host: 'claude' }],
    [['--host=none', '--dry-run'], { host: 'none', dryRun: true }],
    [['--timeout-ms', '800'], { timeoutMs: 800 }],
    [['--timeout-ms=5'], { timeoutMs: 100 }],
    [['--timeout-ms', '9999999'], { timeoutMs: 60000 }],
    [['-h'], { help: true }],
  ])('%j', (args, options) => {
    expect(parseHookOptions(args)).toMatchObject(options);
  });

  it.each([
    [['--host', 'codex'], '--host: expected one of auto, claude, none, received "codex"'],
    [['--host'], '--host: expected one of auto, claude, none, received nothing'],
    [['--timeout-ms', '0'], '--timeout-ms: expected a positive number of milliseconds, received "0"'],
    [['--timeout-ms', 'soon'], '--timeout-ms: expected a positive number of milliseconds, received "soon"'],
    [['--timeout-ms='], '--timeout-ms: expected a positive number of milliseconds, received ""'],
    [['--force'], 'expected --host, --timeout-ms, --dry-run or --help, received "--force"'],
    [['--dry-run=no'], 'expected --host, --timeout-ms, --dry-run or --help, received "--dry-run=no"'],
  ])('%j is refused by name', (args, message) => {
    expect(parseHookOptions(args)).toBe(message);
  });
});

describe('what an event asks for', () => {
  it.each([
    [{}, true, undefined],
    [{ name: 'SessionStart', cause: 'startup' }, true, undefined],
    [{ name: 'SessionStart', cause: 'compact' }, true, undefined],
    [{ name: 'SessionEnd', cause: 'clear' }, false, 1200],
    [{ name: 'SessionEnd', cause: 'resume', sessionId: 's' }, false, 1200],
    [{ name: 'SessionEnd', cause: 'other', sessionId: 's' }, true, 1200],
    [{ name: 'SessionEnd', cause: 'other' }, false, 1200],
    [{ name: 'PreToolUse' }, false, 300],
    [{ name: 'Stop' }, false, undefined],
    [{ name: 'SomethingNew' }, false, undefined],
  ])('%j: ends processes %s, limit %s', (event, ends, limitMs) => {
    const plan = planFor(event);
    expect(plan.reportOnly === undefined).toBe(ends);
    expect(plan.limitMs).toBe(limitMs);
  });

  it('at the end of a session only what that session started', () => {
    expect(planFor({ name: 'SessionEnd', cause: 'logout', sessionId: 'abc' }).session).toBe('abc');
    expect(planFor({ name: 'SessionStart', cause: 'startup', sessionId: 'abc' }).session).toBeUndefined();
  });
});
