/** Shells that an agent left: they go when they run what only an agent runs, whatever they do about SIGTERM; others stay. */
import { describe, expect, it } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { eagerProject } from '../helpers/leftovers.js';
import { isAlive, readStat } from '../helpers/proc.js';
import { leave, named, olderThan, sweepIn } from '../helpers/sweeping.js';

/** bash -c SCRIPT in a session of its own, adopted by PID 1, waiting in itself (it has no child); resolves when the script has been run. */
async function orphanShell(script: string): Promise<number> {
  const SCRIPT = `${script}; echo $$; while :; do read -r _ <&3; done`;
  const [pid] = (await leave('setsid bash -c "$SCRIPT" & exit', { env: { SCRIPT } })) as [number];
  await eventually(() => readStat(pid)?.name === 'bash' && readStat(pid)?.ppid === 1, 5000, 'bash is adopted');
  await olderThan(pid, 0.01);
  return pid;
}

describe('a shell', () => {
  it.each([
    ['that sources a snapshot of an agent', 'source /nonexistent/.claude/shell-snapshots/s.sh 2>/dev/null'],
    ['that runs rg', "eval 'rg --version' >/dev/null"],
  ])('%s is ended', async (_name, script) => {
    const project = eagerProject();
    const pid = await orphanShell(script);
    const report = await sweepIn(project);
    expect(report.cleaned).toMatchObject([
      { pid, type: 'bash', reason: 'long_running_claude_related', rule: 'shell_agent', signal: 'SIGTERM' },
    ]);
    expect(report).toMatchObject({ bashCleaned: 1, ripgrepCleaned: 0 });
  });

  it.each([
    ['that only mentions it', ': cargo merge target; : "use rg; it is fast"'],
    ['that does something else', ':'],
  ])('%s is not looked at', async (_name, script) => {
    const project = eagerProject();
    const pid = await orphanShell(script);
    expect(await sweepIn(project)).toMatchObject({ totalCleaned: 0, verdicts: [] });
    expect(isAlive(pid)).toBe(true);
  });

  it('that ignores SIGTERM is ended by SIGKILL after the grace period', async () => {
    const project = eagerProject({ term_grace_ms: 100 });
    const pid = await orphanShell("trap '' TERM; : .claude");
    expect((await sweepIn(project)).cleaned).toMatchObject([{ pid, signal: 'SIGKILL' }]);
  });

  it('that is stopped is continued, so that it sees SIGTERM', async () => {
    const project = eagerProject();
    const pid = await orphanShell(': .claude');
    process.kill(pid, 'SIGSTOP');
    await eventually(() => readStat(pid)?.state === 'T');
    expect((await sweepIn(project)).cleaned).toMatchObject([{ pid, signal: 'SIGTERM' }]);
  });

  it('that becomes another program before the signal is left alone', async () => {
    const project = eagerProject();
    const pid = await orphanShell(": .claude; trap 'exec sleep 300' USR1");
    expect(await sweepIn(project, { dryRun: true })).toMatchObject({ verdicts: [{ action: 'terminate', process: { pid } }] });
    process.kill(pid, 'SIGUSR1');
    await named(pid, 'sleep');
    expect(await sweepIn(project)).toMatchObject({ totalCleaned: 0 });
    expect(isAlive(pid)).toBe(true);
  });
});
