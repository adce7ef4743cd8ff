/** A session starts, and something was left behind: it is ended, reported, recorded; what is protected lives on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { runHook } from '../helpers/command.js';
import { eagerProject, startOrphan } from '../helpers/leftovers.js';
import { isAlive } from '../helpers/proc.js';

const event = (fields: object) => JSON.stringify({ session_id: 'abc', transcript_path: '/t', ...fields });

describe('SessionStart', () => {
  const startup = (cwd: string) => event({ hook_event_name: 'SessionStart', source: 'startup', cwd });

  it('ends a leftover, says so in one line of JSON, and records it', async () => {
    const project = eagerProject();
    const pid = await startOrphan('rg');
    const result = await runHook([], { stdin: startup(project.directory), env: project.env, cwd: '/' });
    expect(isAlive(pid)).toBe(false);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(/^\{.*\}\n$/);
    const report = JSON.parse(result.stdout);
    const detail = { pid, type: 'ripgrep', reason: 'long_running', running_time: expect.any(Number) };
    expect(report).toMatchObject({
      hook: 'session_start__process_cleanup',
      success: true,
      execution_time_seconds: expect.any(Number),
      cleanup_stats: { ripgrep_cleaned: 1, bash_cleaned: 0, total_cleaned: 1, failed: 0, details: [detail] },
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
      systemMessage: 'corral: ended 1 leftover process (ripgrep long_running).',
    });
    expect(project.log()).toMatchObject([{ event: 'SessionStart', stats: { total_cleaned: 1, details: [detail] } }]);
  });

  it('is quiet about nothing, and records that, too', async () => {
    const project = eagerProject();
    const result = await runHook(['--host', 'claude'], { stdin: startup(project.directory), env: project.env, cwd: '/' });
    expect(JSON.parse(result.stdout)).toMatchObject({ success: true, cleanup_stats: { total_cleaned: 0, details: [] } });
    expect(result.stdout).not.toContain('systemMessage');
    expect(project.log()).toHaveLength(1);
  });

  it('asks to look at the workflow when more than notify_threshold were ended', async () => {
    const project = eagerProject({ notify_threshold: 1 });
    const pids = [await startOrphan('rg'), await startOrphan('ripgrep')];
    const report = JSON.parse((await runHook([], { stdin: startup(project.directory), env: project.env, cwd: '/' })).stdout);
    expect(pids.filter((pid) => isAlive(pid))).toEqual([]);
    expect(report).toMatchObject({
      cleanup_stats: { ripgrep_cleaned: 2 },
      systemMessage: expect.stringContaining('please check the workflow'),
    });
  });

  it('ends one that ignores SIGTERM with SIGKILL, within its deadline', async () => {
    const project = eagerProject({ term_grace_ms: 300 });
    const pid = await startOrphan('sh', ['-c', 'trap "" TERM; : .claude; while :; do sleep 0.1; done'], '/bin/sh');
    const result = await runHook(['--timeout-ms', '30000'], { stdin: startup(project.directory), env: project.env, cwd: '/' });
    expect(isAlive(pid), result.stdout).toBe(false);
    // With success: it was not the deadline that answered.
    expect(JSON.parse(result.stdout)).toMatchObject({ success: true, cleanup_stats: { bash_cleaned: 1, failed: 0 } });
  });

  it('ends nobody while a configuration file is broken, and says so', async () => {
    const project = eagerProject();
    writeFileSync(path.join(project.directory, '.corral.json'), '{ "protect": [');
    const pid = await startOrphan('rg');
    const report = JSON.parse((await runHook([], { stdin: startup(project.directory), env: project.env, cwd: '/' })).stdout);
    expect(isAlive(pid)).toBe(true);
    expect(report).toMatchObject({
      report_only: 'a configuration file is broken',
      would_end: [{ pid, type: 'ripgrep' }],
      warnings: [expect.stringContaining('.corral.json')],
      systemMessage: expect.stringContaining('only reported'),
    });
  });

  it('spares what the project protects', async () => {
    const project = eagerProject();
    const pid = await startOrphan('rg', ['4711']);
    writeFileSync(path.join(project.directory, '.corral.json'), JSON.stringify({ protect: [{ pid, scope: 'self' }] }));
    const report = JSON.parse((await runHook([], { stdin: startup(project.directory), env: project.env, cwd: '/' })).stdout);
    expect(isAlive(pid)).toBe(true);
    expect(report.cleanup_stats.total_cleaned).toBe(0);
  });
});

describe('other events and ways to be called', () => {
  it.each([
    ['--dry-run', ['--dry-run'], { hook_event_name: 'SessionStart', source: 'startup' }],
    ['before a tool', ['--timeout-ms', '5000'], { hook_event_name: 'PreToolUse', tool_name: 'Bash' }],
    ['at Stop', [], { hook_event_name: 'Stop' }],
    ['at an event nobody knows', [], { hook_event_name: 'Unheard' }],
    ['at the end of another session', ['--timeout-ms', '5000'], { hook_event_name: 'SessionEnd', reason: 'other' }],
    ['at /clear', ['--timeout-ms', '5000'], { hook_event_name: 'SessionEnd', reason: 'clear' }],
  ])('%s nobody is ended', async (_name, args, fields) => {
    const project = eagerProject();
    const pid = await startOrphan('rg');
    const result = await runHook(args, { stdin: event({ ...fields, cwd: project.directory }), env: project.env, cwd: '/' });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({ success: true, cleanup_stats: { total_cleaned: 0 } });
    expect(isAlive(pid)).toBe(true);
  });

  it('by hand it does the same as at a session start, and prints it for reading', async () => {
    const project = eagerProject();
    const pid = await startOrphan('rg');
    const result = await runHook([], { env: project.env, cwd: project.directory });
    expect(result.stdout).toMatch(/^\{\n {2}"hook": "session_start__process_cleanup",\n/);
    expect(JSON.parse(result.stdout).cleanup_stats.details).toMatchObject([{ pid }]);
    expect(isAlive(pid)).toBe(false);
  });

  it.each([
    ['--host', ['--host', 'codex'], /--host: expected one of auto, claude, none, received "codex"/],
    ['--timeout-ms', ['--timeout-ms', 'soon'], /--timeout-ms: expected a positive number of milliseconds, received "soon"/],
  ])('called wrongly (%s): JSON, status 0, nobody is ended', async (_name, args, error) => {
    const project = eagerProject();
    const pid = await startOrphan('rg');
    const result = await runHook(args, { env: project.env, cwd: project.directory });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({ success: false, error: expect.stringMatching(error) });
    expect(isAlive(pid)).toBe(true);
  });
});

it('the packaged bundle reads nothing but itself and the addon', () => {
  const bundle = readFileSync(new URL('../../dist/hook.cjs', import.meta.url), 'utf8');
  const required = [...bundle.matchAll(/require\("([^"]+)"\)/g)].map(([, name]) => name as string);
  expect(required.filter((name) => !isBuiltin(name))).toEqual([]);
  expect(required.filter((name) => name.endsWith('child_process'))).toEqual([]);
});
