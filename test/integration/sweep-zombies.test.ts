/** A zombie can not be ended: it is named with its parent, costs no time, and counts only when its parent was ended by us. */
import { expect, it } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { eagerProject } from '../helpers/leftovers.js';
import { isAlive, isZombie, readStat } from '../helpers/proc.js';
import { leave, olderThan, RIPGREP, sweepIn, verdictOn } from '../helpers/sweeping.js';

it('below a parent that lives it is reported, not signalled, not counted', async () => {
  const project = eagerProject();
  // sleep never waits for the child it inherited from the shell it was.
  const [zombie, parent] = (await leave(`setsid sh -c 'sh -c : & echo $!; echo $$; exec sleep 300 </dev/null >/dev/null' & exit`, {
    count: 2,
  })) as [number, number];
  await eventually(() => isZombie(zombie));
  const report = await sweepIn(project);
  expect(report).toMatchObject({ success: true, bashCleaned: 0, totalCleaned: 0, failed: 0, failures: [] });
  expect(verdictOn(report, zombie)).toMatchObject({ action: 'report', rule: 'shell_zombie', type: 'bash', reason: 'zombie_status' });
  expect(verdictOn(report, zombie)?.evidence).toContain(`zombie: it has ended; ${parent} (sleep) has not waited for it`);
  expect(isZombie(zombie)).toBe(true);
  expect(project.log()[0]?.stats).toMatchObject({ total_cleaned: 0, reported: 1 });
});

it('below a parent that is ended it goes with it, and counts', async () => {
  const project = eagerProject();
  const script = `setsid sh -c 'sh -c : & echo $!; echo $$; exec ${RIPGREP} corral-needle <&3 >/dev/null' & exit`;
  const [zombie, parent] = (await leave(script, { count: 2 })) as [number, number];
  await eventually(() => isZombie(zombie) && readStat(parent)?.name === 'rg');
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
