/** stop() that comes when policy `leave` is about to let go, and survivors that may not be forced: everything still settles. */
import { describe, expect, it } from 'vitest';
import { spawn } from '../../src/index.js';
import { eventually } from '../helpers/eventually.js';
import { isAlive, isZombie, readStat } from '../helpers/proc.js';

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('onLeaderExit leave: stop() right after an exit that the event loop has not seen yet', async () => {
    const child = await spawn('sh', ['-c', 'sleep 1000 & exit 0'], {
      containment,
      onLeaderExit: 'leave',
      stdout: 'ignore',
      stderr: 'ignore',
    });
    // Busy until the leader has ended, as a synchronous piece of work would be.
    while (readStat(child.pid) !== undefined && !isZombie(child.pid));
    const report = await child.stop();
    expect(report.survivors).toEqual([]);
    await child.empty;
    await eventually(async () => (await child.members()).length === 0);
  });

  it('never forced, and ended by itself later: empty and the next stop() know', async () => {
    // The member ignores SIGTERM and lives for as long as we hold its stdin; the leader exits once that is so.
    const script = 'exec 3<&0; trap "exit 0" USR1; (trap "" TERM; kill -USR1 $$; exec cat <&3 > /dev/null) & wait';
    const child = await spawn('sh', ['-c', script], { containment, stdin: 'pipe', forceKillAfterDelay: false });
    await child.exited;
    await expect(child.stop()).rejects.toMatchObject({ code: 'ERR_SURVIVORS', report: { survivors: [{ reason: 'not-forced' }] } });
    const [{ pid } = { pid: 0 }] = await child.members();
    expect(isAlive(pid)).toBe(true);
    child.stdin?.end();
    expect((await child.empty).survivors).toEqual([]);
    expect(isAlive(pid)).toBe(false);
  });
});
