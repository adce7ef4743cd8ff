/** Who tries to get away: found as member and ended, at level `tree` whatever the way, at level `group` within the session. */
import { describe, expect, it } from 'vitest';
import { spawn } from '../../src/process/spawn.js';
import { keepTidy } from '../fixtures/process-ready.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses } from '../helpers/proc.js';

const sleepers = () => allProcesses().filter(({ name, state }) => name === 'sleep' && state !== 'Z');

const SESSION = [
  ['same group', 'sleep 300 & wait'],
  ['another group of the session', 'set -m; sleep 300 & wait'],
  ['double fork', '(sleep 300 &) ; sleep 300'],
  ['cleared environment', 'env -i sleep 300 & wait'],
  ['SIGTERM ignored', 'trap "" TERM; sleep 300; sleep 300'],
] as const;
const BEYOND = [
  ['own session', 'setsid sleep 300 & wait'],
  ['double fork and own session', '(setsid sleep 300 &) ; sleep 300'],
  ['daemon with a cleared environment and closed streams', '(env -i setsid sleep 300 <&- >&- 2>&- &) ; sleep 300'],
] as const;

const CASES = [
  ...SESSION.map(([way, script]) => ['group', way, script] as const),
  ...[...SESSION, ...BEYOND].map(([way, script]) => ['tree', way, script] as const),
];

describe('ended by stop()', () => {
  it.each(CASES)('%s: %s', async (containment, _, script) => {
    const child = keepTidy(await spawn('sh', ['-c', script], { containment, forceKillAfterDelay: 200 }));
    await eventually(() => sleepers().length === script.split('sleep').length - 1 || (script.includes('trap') && sleepers().length === 1));
    const expected = sleepers().map(({ pid }) => pid);
    const members = (await child.members()).map(({ pid }) => pid);
    expect(members).toEqual(expect.arrayContaining([child.pid, ...expected]));
    const report = await child.stop();
    expect(report.survivors).toEqual([]);
    expect(sleepers()).toEqual([]);
  });
});
