/** `corral sweep` and `ps --orphans`: the same judgement shown, explained, saved, replayed; only a plain sweep ends anything. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCorral } from '../helpers/command.js';
import { eagerProject, startOrphan } from '../helpers/leftovers.js';
import { isAlive } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

describe('looking', () => {
  it.each([
    ['ps --orphans', ['ps', '--orphans']],
    ['sweep --dry-run', ['sweep', '--dry-run']],
    ['sweep --explain', ['sweep', '--explain']],
  ])('%s names the leftover with its evidence, and ends nobody', async (_name, args) => {
    const project = eagerProject();
    const pid = await startOrphan('rg');
    const line = args.includes('--explain') ? [...args, String(pid)] : args;
    const result = await runCorral(line, { env: project.env, cwd: project.directory });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(new RegExp(`\\b${pid}\\b.*\\brg\\b`));
    expect(result.stdout).toMatch(/would end/);
    expect(result.stdout).toMatch(/long_running/);
    expect(result.stdout).toMatch(/reparented/);
    expect(isAlive(pid)).toBe(true);
  });

  it('a saved snapshot is judged the same elsewhere, and is for its owner only', async () => {
    const project = eagerProject();
    const pid = await startOrphan('rg');
    const file = path.join(tempDirectory(), 'snapshot.json');
    const options = { env: project.env, cwd: project.directory };
    expect(await runCorral(['sweep', '--dry-run', '--save', file], options)).toMatchObject({ code: 0, stderr: '' });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    process.kill(pid, 'SIGKILL');
    const replayed = await runCorral(['sweep', '--replay', file, '--json'], options);
    expect(JSON.parse(replayed.stdout).verdicts).toMatchObject([{ process: { pid }, action: 'terminate', rule: 'ripgrep' }]);
    // By the rules of a machine without the eager configuration it is too young.
    const elsewhere = await runCorral(['sweep', '--replay', file, '--json'], {
      env: eagerProject({ min_age_seconds: 3600 }).env,
      cwd: tempDirectory(),
    });
    expect(JSON.parse(elsewhere.stdout).verdicts.filter((verdict: { action: string }) => verdict.action === 'terminate')).toEqual([]);
    const explained = await runCorral(['sweep', '--replay', file, '--explain', String(pid)], options);
    expect(explained.stdout).toMatch(/^verdict: would end$/m);
  });
});

describe('a sweep', () => {
  it('ends the leftover, shows it, records it', async () => {
    const project = eagerProject();
    const pid = await startOrphan('rg');
    const result = await runCorral(['sweep'], { env: project.env, cwd: project.directory });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(new RegExp(`\\b${pid}\\b +\\S+ +ended +ripgrep: long_running`));
    expect(result.stdout).toMatch(/^1 ended \(1 ripgrep\), 0 to look at, 0 spared/m);
    expect(result.stdout).toContain(path.join(project.directory, '.moai/cache/process_cleanup_log.json'));
    expect(isAlive(pid)).toBe(false);
    expect(project.log()).toHaveLength(1);
  });

  it('ends no more than --max-kills', async () => {
    const project = eagerProject();
    const pids = [await startOrphan('rg'), await startOrphan('rg'), await startOrphan('rg')];
    const none = await runCorral(['sweep', '--max-kills', '0', '--json'], { env: project.env, cwd: project.directory });
    expect(JSON.parse(none.stdout)).toMatchObject({ totalCleaned: 0, deferred: 3 });
    const two = await runCorral(['sweep', '--max-kills', '2', '--json'], { env: project.env, cwd: project.directory });
    expect(JSON.parse(two.stdout)).toMatchObject({ totalCleaned: 2, deferred: 1 });
    expect(pids.filter((pid) => isAlive(pid))).toHaveLength(1);
  });
});

describe('called wrongly: status 2, named, nobody is ended', () => {
  it.each([
    ['a wrong count', ['--max-kills', '-1'], /--max-kills .*received "-1"/],
    ['a wrong pid', ['--explain', 'rg'], /--explain .*received "rg"/],
    ['no snapshot', ['--replay', '/nonexistent'], /--replay: .*received "\/nonexistent"/],
    ['another file', ['--replay', '/proc/self/status'], /--replay: .*saved snapshot/],
    ['a place nobody can write', ['--save', '/nonexistent/file'], /--save: .*received "\/nonexistent\/file"/],
    ['two that exclude each other', ['--save', '/tmp/a', '--replay', '/tmp/a'], /--save and --replay/],
    ['an argument', ['everything'], /too many arguments/],
  ])('%s', async (_name, args, message) => {
    const project = eagerProject();
    const pid = await startOrphan('rg');
    const result = await runCorral(['sweep', ...args], { env: project.env, cwd: project.directory });
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
    expect(isAlive(pid)).toBe(true);
  });

  it('a process that is not there has no explanation: status 1', async () => {
    const result = await runCorral(['sweep', '--explain', '4194304']);
    expect(result).toMatchObject({ code: 1, stdout: '', stderr: 'corral: sweep: no process 4194304\n' });
  });
});
