/** What spawn() sets in the child, as the child itself sees it. */
import { realpathSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { run } from '../../src/process/run.js';
import { spawn } from '../../src/process/spawn.js';
import { requireOtherUsers, requireRoot, requireUnprivileged } from '../helpers/contained.js';
import { readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

describe.each(['group', 'tree', 'cgroup'] as const)('containment %s', (containment) => {
  const shell = async (script: string, options: object = {}) => (await run('sh', ['-c', script], { containment, ...options })).stdout;
  const status = async (field: string, options: object) =>
    (await shell(`grep ^${field}: /proc/self/status`, options)).split(/\s+/).slice(1).join(' ');

  it('own session and process group', async () => {
    const child = await spawn('sleep', ['300'], { containment });
    expect(readStat(child.pid)).toMatchObject({ pid: child.pid, pgid: child.pgid, sid: child.sid, startTicks: child.identity.startTicks });
    expect([child.pgid, child.sid]).toEqual([child.pid, child.pid]);
    expect(readStat(child.pid)?.sid).not.toBe(readStat(process.pid)?.sid);
    await child.stop();
  });

  it('cwd as a path and as a URL', async () => {
    const directory = realpathSync(tempDirectory());
    expect(await shell('pwd', { cwd: directory })).toBe(directory);
    expect(await shell('pwd', { cwd: pathToFileURL(directory) })).toBe(directory);
  });

  it('argv0', async () => {
    expect(await shell('echo "$0"', { argv0: 'other' })).toBe('other');
    const { stdout } = await run('/bin/cat', ['/proc/self/cmdline'], { containment, argv0: 'catty' });
    expect(stdout).toBe('catty\0/proc/self/cmdline\0');
  });

  it('umask, nice, limits, no new privileges', async () => {
    expect(await shell('umask', { umask: 0o027 })).toBe('0027');
    expect(await shell('nice', { nice: 7 })).toBe('7');
    expect(await shell('ulimit -n; ulimit -Hn', { rlimits: { nofile: { soft: 40, hard: 50 } } })).toBe('40\n50');
    expect(await shell('ulimit -c; ulimit -Hc', { rlimits: { core: 0 } })).toBe('0\n0');
    expect(await status('NoNewPrivs', { noNewPrivileges: true })).toBe('1');
    expect(await status('NoNewPrivs', {})).toBe('0');
    expect(await shell('cat /proc/self/oom_score_adj', { oomScoreAdj: 500 })).toBe('500');
  });

  it('default dispositions, an empty mask, and no descriptor but the three', async () => {
    expect(await status('SigBlk', {})).toMatch(/^0+$/);
    expect(await status('SigIgn', {})).toMatch(/^0+$/);
    expect(await shell('ls /proc/$$/fd')).toBe('0\n1\n2');
  });

  it('user and groups, as root', async (context) => {
    requireRoot(context, 'ids can only be given away by root');
    expect(await shell('id -u; id -g; id -G', { user: 65534, group: 65534 })).toBe('65534\n65534\n65534');
    expect(await shell('id -u; id -g; id -G', { user: 65534, group: 7, groups: [8, 9] })).toBe('65534\n7\n7 8 9');
    expect(await shell('id -un; id -gn', { user: 'nobody' })).toBe('nobody\nnogroup');
    expect(await status('Groups', { user: 65534, group: 65534 })).toBe('');
  });

  it('another user, as an ordinary one: refused before anything runs', async (context) => {
    requireUnprivileged(context, 'root may');
    requireOtherUsers(context, 'the kernel has to know the id to refuse it');
    await expect(spawn('true', [], { containment, user: 0 })).rejects.toMatchObject({ code: 'EPERM', stage: 'user' });
    expect(await shell('id -u', { user: process.getuid?.() })).toBe(String(process.getuid?.()));
  });
});
