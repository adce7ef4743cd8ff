/** What --json prints is JSON, whatever the processes around call themselves; and what people get shows no raw control character. */
import { describe, expect, it } from 'vitest';
import { corralCommand, runCorral, runFile } from '../helpers/command.js';
import { startFixture } from '../helpers/fixture.js';
import { startOrphan } from '../helpers/leftovers.js';

const NASTY = 'x\x1b[31m")\n(\u202e"';

/** A shell that stops itself, so that it stays whatever its arguments are. */
const startNasty = () => startOrphan(NASTY, ['-c', 'kill -STOP $$', '\x07\u2028'], '/bin/sh');

describe('--json', () => {
  it.each([
    ['ps', ['ps', '--json']],
    ['ps --all', ['ps', '--all', '--json', '--fields', 'pid,age,cpu,memory,cwd,exe,cgroup,threads,startTime,user,args']],
    ['ps --orphans', ['ps', '--orphans', '--json']],
    ['tree', ['tree', '--json']],
    ['kill --dry-run', ['kill', '--dry-run', '--json', '4194304']],
    ['sweep --dry-run', ['sweep', '--dry-run', '--json']],
    ['doctor', ['doctor', '--json']],
  ])('%s', async (_name, args) => {
    await startNasty();
    const result = await runCorral(args);
    expect(result.stderr).toBe('');
    expect(() => JSON.parse(result.stdout)).not.toThrow();
  });
});

describe('for people', () => {
  it.each([
    ['ps', ['ps', '--fields', 'pid,name,args']],
    ['tree', ['tree']],
  ])('%s shows a hostile name harmlessly', async (_name, args) => {
    const pid = await startNasty();
    const result = await runCorral(args);
    const line = result.stdout.split('\n').find((text) => text.includes(String(pid)));
    expect(line).toContain('\\x1b[31m');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(result.stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]/);
  });

  it('tree draws what runs below a process, and marks where it leaves the group or session', async () => {
    const { pid, ready } = await startFixture('family.sh', ['wait'], { detached: true });
    const result = await runCorral(['tree', String(pid)]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const lines = result.stdout.trimEnd().split('\n');
    expect(lines[1]).toMatch(new RegExp(`^ *${pid} +${pid} +${pid} +[SRD] +\\S+ +session +sh `));
    expect(lines.find((line) => line.includes(ready[0] as string))).toMatch(/[├└]─ .*sleep 300/);
    await runCorral(['kill', '--signal', 'KILL', String(pid)]);
    process.kill(Number(ready[2]), 'SIGKILL');
  });

  it('tree of nobody: status 1', async () => {
    expect(await runCorral(['tree', '4194304'])).toMatchObject({ code: 1, stdout: '', stderr: 'corral: tree: no process 4194304\n' });
  });

  it('doctor finds nothing missing here', async () => {
    const result = await runCorral(['doctor']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(/^keeper +ok/m);
    expect(result.stdout).toMatch(/^Policy: guarded; ripgrep > 300 s/m);
  });

  it('doctor without an addon says what is missing: status 1', async () => {
    const result = await runCorral(['doctor'], { env: { CORRAL_NATIVE_PATH: '/nonexistent.node' } });
    expect(result.code).toBe(1);
    expect(result.stdout).toMatch(/^native addon +missing +not loaded: no native binary could be loaded/m);
  });

  it('a reader that goes away is no error', async () => {
    const result = await runFile('sh', ['-c', '"$@" | true', 'sh', ...corralCommand(), 'ps', '--all', '--json']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });
});
