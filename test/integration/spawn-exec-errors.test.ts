/** A command that can not be executed: the right error, and nothing left (the guard of setup-contained.ts looks). */
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { spawn } from '../../src/process/spawn.js';
import { readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const file = (name: string, text: string, mode: number) => {
  const created = path.join(tempDirectory(), name);
  writeFileSync(created, text);
  chmodSync(created, mode);
  return created;
};

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it.each([
    [
      'a name that is not in PATH',
      () => ['no-such-command'],
      { env: { PATH: '/usr/bin:/bin' } },
      { code: 'ENOENT', stage: 'exec', message: expect.stringContaining('(not found in PATH)') },
    ],
    ['a path that does not exist', () => ['/no/such/command'], {}, { code: 'ENOENT', stage: 'exec' }],
    ['a directory', () => ['/tmp'], {}, { code: 'EACCES', stage: 'exec', message: expect.stringContaining('(it is a directory)') }],
    ['a file that is not executable', () => [file('plain', 'text', 0o644)], {}, { code: 'EACCES', stage: 'exec' }],
    [
      'a script without its interpreter',
      () => [file('script', '#!/no/such/interpreter\n', 0o755)],
      {},
      { code: 'ENOENT', stage: 'exec', message: expect.stringContaining('(the interpreter or loader it names is missing)') },
    ],
    [
      'a cwd that does not exist',
      () => ['true'],
      { cwd: '/no/where' },
      { code: 'ENOENT', stage: 'cwd', message: expect.stringContaining('cwd "/no/where"') },
    ],
    ['a cwd that is a file', () => ['true'], { cwd: '/etc/passwd' }, { code: 'ENOTDIR', stage: 'cwd' }],
  ])('%s', async (_, command, options, expected) => {
    const error = await spawn((command() as [string])[0], [], { containment, ...options }).catch((caught) => caught);
    expect(error).toMatchObject({ name: 'ProcessError', type: 'SPAWN_FAILED', ...expected });
    expect(error.errno).toBeLessThan(0);
    expect(error.syscall).toMatch(/^spawn /);
  });

  it('searches PATH of the child, as execvp does', async () => {
    const own = file('own-command', '#!/bin/sh\nexit 7\n', 0o755);
    const child = await spawn('own-command', [], { containment, env: { PATH: `/no/where:${path.dirname(own)}:/usr/bin:/bin` } });
    expect(await child.exited).toMatchObject({ exitCode: 7 });
    await child.empty;
    expect(readStat(child.pid)).toBeUndefined();
  });

  it('runs a script without #! by /bin/sh, as execvp does', async () => {
    const child = await spawn(file('bare', 'exit 8\n', 0o755), [], { containment });
    expect(await child.exited).toMatchObject({ exitCode: 8 });
    await child.empty;
  });
});
