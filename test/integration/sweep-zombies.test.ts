/** A zombie can not be ended: it is named with its parent, costs no time, and counts only when its parent was ended by us. */
import { expect, it } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { eagerProject } from '../helpers/leftovers.js';
import { isAlive, isZombie, readStat } from '../helpers/proc.js';
import { leave, named, olderThan, RIPGREP, sweepIn, verdictOn } from '../helpers/sweeping.js';

/**
 * A shell starts a shell and becomes `program`, which waits for no child: the other ends only then, since a shell would wait for it.
 * Resolves with zombie and parent.
 */
async function zombieBelow(program: string): Promise<[number, number]> {
  const child = 'while read -r name < /proc/$PPID/comm && [ "$name" = sh ]; do :; done';
  const parent = `sh -c '${child}' & echo $!; echo $$; exec ${program} >/dev/null`;
  const [zombie, pid] = (await leave('setsid sh -c "$SCRIPT" & exit', { count: 2, env: { SCRIPT: parent } })) as [number, number];
  await eventually(() => isZombie(zombie), 5000, `${zombie} has ended`);
  return [zombie, pid];
}

it('below a parent that lives it is reported, not signalled, not counted', async () => {
  const project = eagerProject();
  const [zombie, parent] = await zombieBelow('sleep 300');
  const report = await sweepIn(project);
  expect(report).toMatchObject({ success: true, bashCleaned: 0, totalCleaned: 0, failed: 0, failures: [] });
  expect(verdictOn(report, zombie)).toMatchObject({ action: 'report', rule: 'shell_zombie', type: 'bash', reason: 'zombie_status' });
  expect(verdictOn(report, zombie)?.evidence).toContain(`zombie: it has ended; ${parent} (sleep) has not waited for it`);
  expect(isZombie(zombie)).toBe(true);
  expect(project.log()[0]?.stats).toMatchObject({ total_cleaned: 0, reported: 1 });
});

it('below a parent that is ended it goes with it, and counts', async () => {
  const project = eagerProject();
  const [zombie, parent] = await zombieBelow(`${RIPGREP} corral-needle <&3`);
  await named(parent, 'rg');
  await olderThan(parent, 0.01);
  const report = await sweepIn(project);
  expect(report.cleaned).toMatchObject([
    { pid: parent, type: 'ripgrep', signal: 'SIGTERM' },
    { pid: zombie, type: 'bash', reason: 'zombie_status', signal: null },
  ]);
  expect(report).toMatchObject({ ripgrepCleaned: 1, bashCleaned: 1, totalCleaned: 2 });
  expect(isAlive(parent)).toBe(false);
  expect(readStat(zombie)).toBeUndefined();
});
