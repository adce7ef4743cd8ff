/** `corral kill`: ends trees that somebody else started, and refuses what must never be a target. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { runCorral } from '../helpers/command.js';
import { eventually } from '../helpers/eventually.js';
import { startFixture } from '../helpers/fixture.js';
import { allProcesses, isAlive, readStat, signalIfAlive } from '../helpers/proc.js';

const family = () => startFixture('family.sh', ['wait'], { detached: true });

describe('a tree', () => {
  it('is ended with members that ignore SIGTERM or left the group', async () => {
    const { pid, ready } = await family();
    const [background, stubborn, orphan] = ready.map(Number) as [number, number, number];
    const result = await runCorral(['kill', '--kill-after', '300ms', '--json', String(pid)]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const [outcome] = JSON.parse(result.stdout);
    expect(outcome).toMatchObject({ pid, survivors: [], escalated: true, proof: 'scan' });
    expect(outcome.terminated.map((one: { pid: number }) => one.pid)).toEqual(expect.arrayContaining([pid, background, stubborn]));
    expect([pid, background, stubborn].filter((one) => isAlive(one))).toEqual([]);
    // What left the session and lost its parent is not to be found from the outside; here only its own end is left to wait for.
    process.kill(orphan, 'SIGKILL');
    await eventually(() => !isAlive(orphan));
  });

  it('is only shown with --dry-run', async () => {
    const { pid, ready } = await family();
    const members = [pid, ...ready.slice(0, 2).map(Number)];
    const json = await runCorral(['kill', '--dry-run', '--json', String(pid)]);
    expect(json).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(json.stdout)[0].members.map((one: { pid: number }) => one.pid)).toEqual(expect.arrayContaining(members));
    const text = await runCorral(['kill', '--dry-run', String(pid)]);
    expect(text.stdout).toMatch(new RegExp(`^${pid}: would end \\d+ processes\\n`));
    expect(text.stdout).toMatch(/family\.sh/); // with its arguments, not by name alone
    expect(members.filter((one) => !isAlive(one))).toEqual([]);

    await runCorral(['kill', '--signal', 'KILL', String(pid)]);
    process.kill(Number(ready[2]), 'SIGKILL');
    await eventually(() => !isAlive(Number(ready[2])));
  });

  it('that is not there is no failure', async () => {
    // pid_max is at most 2^22.
    expect(await runCorral(['kill', '4194304'])).toMatchObject({ code: 0, stdout: '4194304: no such process\n', stderr: '' });
  });

  it('that does not want to end, with SIGKILL ruled out: status 1', async () => {
    const { pid, ready } = await family();
    const result = await runCorral(['kill', '--signal', 'WINCH', '--kill-after', 'never', '--json', String(pid)]);
    expect(result.code).toBe(1);
    expect(JSON.parse(result.stdout)[0].survivors).toEqual(
      expect.arrayContaining([expect.objectContaining({ pid, reason: 'not-forced' })]),
    );
    await runCorral(['kill', '--signal', 'KILL', String(pid)]);
    process.kill(Number(ready[2]), 'SIGKILL');
    await eventually(() => !isAlive(Number(ready[2])));
  });
});

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s in the middle: nobody stands still, and whoever was stopped has been asked', async (signal, code) => {
  const { pid, ready } = await family();
  const [background, stubborn, orphan] = ready.map(Number) as [number, number, number];
  // Somebody who never stands still makes the freeze as long as it may be.
  const waker = spawn('sh', ['-c', 'while kill -CONT "$1"; do :; done', 'sh', String(stubborn)], { stdio: 'ignore' });
  const result = await runCorral(['kill', String(pid)], {
    meanwhile: async (corral) => {
      await eventually(() => readStat(background)?.state === 'T');
      corral.kill(signal);
    },
  });
  expect(result.code).toBe(code);
  await eventually(() => [pid, background].every((one) => !isAlive(one)), 5000, 'those who were stopped have ended');
  for (const one of [stubborn, orphan]) process.kill(one, 'SIGKILL');
  await once(waker, 'exit');
  for (const one of allProcesses()) if (one.sid === pid) signalIfAlive(one.pid);
});

describe('refused, status 2, and nobody is signalled', () => {
  it.each([
    ['PID 1', () => '1', /1 is refused: PID 1 is init/],
    ['pid 0', () => '0', /0 is refused/],
    ['every process', () => '-1', /-1 is refused/],
    ['a group', () => '-77', /expected a process id/],
    ['an ancestor', () => String(process.pid), /is refused: this process descends from it/],
    ['no number', () => 'firefox', /Expected a process id \(a whole number\), received "firefox"/],
    ['half a number', () => '12x', /received "12x"/],
    ['an empty word', () => '', /received ""/],
  ])('%s', async (_name, pid, message) => {
    const { pid: bystander, child } = await startFixture('ready.sh');
    const before = allProcesses().length;
    const result = await runCorral(['kill', '--', String(bystander), pid()]);
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
    expect(isAlive(bystander)).toBe(true);
    expect(allProcesses().length).toBe(before);
    child.kill('SIGKILL');
  });

  it.each([
    ['no pid', [], /missing required argument 'pid'/],
    ['an unknown option', ['--all', '5'], /unknown option '--all'/],
    ['a wrong signal', ['--signal', 'STOPP', '5'], /--signal .*received "STOPP"\. Did you mean SIGSTOP\?/],
    ['a wrong duration', ['--kill-after', '-5', '5'], /--kill-after .*received "-5"/],
  ])('%s', async (_name, args, message) => {
    expect(await runCorral(['kill', ...args])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
  });
});
