/** stop(): everything ends, the report says who and how, and the proof is more than the leader's exit. */
import { describe, expect, it } from 'vitest';
import { spawn } from '../../src/process/spawn.js';
import { keepTidy, readyPids } from '../fixtures/process-ready.js';
import { eventually } from '../helpers/eventually.js';
import { isAlive, readStat } from '../helpers/proc.js';

describe.each([
  ['group', 'scan'],
  ['tree', 'echild'],
] as const)('containment %s', (containment, proof) => {
  it('of something already gone resolves at once', async () => {
    const child = await spawn('true', [], { containment });
    await child.empty;
    expect(await child.stop()).toMatchObject({ terminated: [], survivors: [], escalated: false, proof });
    expect(child.kill()).toBe(false);
    expect(child.killGroup(0)).toBe(false);
  });

  it('of something that is just ending resolves as well', async () => {
    const child = await spawn('true', [], { containment });
    expect((await child.stop()).survivors).toEqual([]);
    expect(readStat(child.pid)).toBeUndefined();
  });

  it('names whom it has ended, also when they have hardly begun, or end by themselves', async () => {
    for (let i = 0; i < 40; i++) {
      const killed = await spawn('sleep', ['300'], { containment, stdout: 'ignore', stderr: 'ignore' });
      const ending = await spawn('true', [], { containment, stdout: 'ignore', stderr: 'ignore' });
      const reports = await Promise.all([killed.stop({ killSignal: 'SIGKILL' }), ending.stop()]);
      expect(reports[0].terminated).toMatchObject([{ ...killed.identity, signal: 'SIGKILL' }]);
      for (const one of reports.flatMap(({ terminated }) => terminated)) {
        expect(one.startTicks).toBeGreaterThan(0n);
        expect(one.name).not.toBe('');
      }
    }
  }, 120_000);

  it('directly after the start, again and again: asking is enough', async () => {
    for (let i = 0; i < 200; i++) {
      const child = await spawn('sleep', ['300'], { containment, stdout: 'ignore', stderr: 'ignore' });
      expect(await child.stop({ forceKillAfterDelay: 20_000 })).toMatchObject({ escalated: false, terminated: [{ signal: 'SIGTERM' }] });
    }
  }, 120_000);

  it('reports leader and members with the signals that ended them', async () => {
    const child = keepTidy(await spawn('sh', ['-c', 'sleep 300 & echo READY $!; wait'], { containment }));
    const [sleeper = 0] = await readyPids(child);
    await eventually(() => readStat(sleeper)?.name === 'sleep');
    const report = await child.stop();
    expect(report).toMatchObject({ survivors: [], escalated: false, proof });
    expect(report.terminated.map(({ pid }) => pid).sort()).toEqual([child.pid, sleeper].sort());
    expect(report.terminated.find(({ pid }) => pid === sleeper)).toMatchObject({ name: 'sleep' });
    expect(await child.exited).toMatchObject({ signal: 'SIGTERM' });
    expect([child.exitCode, child.signalCode]).toEqual([null, 'SIGTERM']);
    expect(isAlive(sleeper)).toBe(false);
  });

  it('reaches a stopped tree: SIGCONT follows SIGTERM', async () => {
    const child = keepTidy(await spawn('sh', ['-c', 'sleep 300 & echo READY $!; wait'], { containment, forceKillAfterDelay: 20_000 }));
    const [sleeper = 0] = await readyPids(child);
    child.killGroup('SIGSTOP');
    await eventually(() => readStat(child.pid)?.state === 'T' && readStat(sleeper)?.state === 'T');
    const report = await child.stop();
    expect(report).toMatchObject({ survivors: [], escalated: false });
    expect(report.durationMs).toBeLessThan(10_000);
    expect(await child.exited).toMatchObject({ signal: 'SIGTERM' });
  });

  it('forces those who ignore SIGTERM, after the delay', async () => {
    const child = keepTidy(
      await spawn('sh', ['-c', '(trap "" TERM; echo READY; while :; do sleep 1; done)'], { containment, forceKillAfterDelay: 200 }),
    );
    await readyPids(child);
    const report = await child.stop();
    expect(report).toMatchObject({ survivors: [], escalated: true, proof });
    expect(report.durationMs).toBeGreaterThanOrEqual(195);
    expect(report.terminated.some(({ signal }) => signal === 'SIGKILL')).toBe(true);
  });

  it('joins a stop that runs, and shortens it', async () => {
    const child = keepTidy(
      await spawn('sh', ['-c', 'trap "" TERM; echo READY; while :; do sleep 1; done'], { containment, forceKillAfterDelay: 60_000 }),
    );
    await readyPids(child);
    const patient = child.stop();
    const impatient = child.stop({ forceKillAfterDelay: 50 });
    expect(await patient).toBe(await impatient);
    expect((await patient).durationMs).toBeLessThan(10_000);
    expect(await child.exited).toMatchObject({ signal: 'SIGKILL', isForcefullyTerminated: true });
  });

  it('that may not force rejects with those who did not go', async () => {
    const child = keepTidy(await spawn('sh', ['-c', 'trap "" TERM; echo READY; while :; do sleep 1; done'], { containment }));
    await readyPids(child);
    const error = await child.stop({ forceKillAfterDelay: false }).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'ERR_SURVIVORS' });
    expect(error.report.survivors).toContainEqual(expect.objectContaining({ pid: child.pid, reason: 'not-forced' }));
    expect(isAlive(child.pid)).toBe(true);
    expect((await child.stop({ forceKillAfterDelay: 0 })).survivors).toEqual([]);
  });

  it('asyncDispose stops everything', async () => {
    const child = await spawn('sh', ['-c', 'sleep 300 & echo READY $!; wait'], { containment });
    const [sleeper = 0] = await readyPids(child);
    await child[Symbol.asyncDispose]();
    expect(isAlive(child.pid) || isAlive(sleeper)).toBe(false);
    await child[Symbol.asyncDispose]();
  });
});
