/**
 * The keeper under valgrind's Memcheck: no error, no memory that is asked for, and no descriptor at its end besides the three it works with.
 * Built with libc's start-up code (CORRAL_HOSTED), for Memcheck needs a loader to begin in; the code is the same.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { build } from '../fixtures/c/build.js';
import { Owner } from '../fixtures/c/keeper-owner.js';
import { isAlive } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const SIGTERM = 15;

/** waitid(2) takes a null pointer for "no need to know"; valgrind 3.19 does not know that. */
const SUPPRESSIONS = '{\n  null is allowed\n  Memcheck:Param\n  waitid(infop)\n  fun:*\n}\n';
const OPTIONS = ['--leak-check=full', '--show-leak-kinds=all', '--track-fds=yes', '--child-silent-after-fork=yes', '--error-exitcode=9'];

// A program that is itself instrumented can not be.
const isInstalled = spawnSync('valgrind', ['--version']).status === 0;

describe.skipIf(!isInstalled)(`under valgrind${isInstalled ? '' : ': not installed (Debian: apt-get install valgrind)'}`, () => {
  const built = isInstalled ? build('keeper-hosted', 'keeper-launcher', 'keeper-owner', 'artist') : undefined;

  it.each([
    ['stubborn members everywhere', '"$1" daemon ignore; setsid "$1" ignore & exec "$1" wait', 3],
    ['a hundred in sessions of their own', 'exec "$1" flock 100', 1],
    ['a storm of forks', 'exec "$1" storm 2', 1],
  ])(
    '%s',
    async (_, script, count) => {
      const program = (name: Parameters<NonNullable<typeof built>['program']>[0]) => built?.program(name) ?? '';
      const directory = tempDirectory();
      const log = path.join(directory, 'valgrind.log');
      const suppressions = path.join(directory, 'suppressions');
      writeFileSync(suppressions, SUPPRESSIONS);
      const command = ['valgrind', ...OPTIONS, `--log-file=${log}`, `--suppressions=${suppressions}`, program('keeper-hosted')];
      const owner = new Owner({
        owner: program('keeper-owner'),
        keeper: program('keeper-launcher'),
        command: ['/bin/sh', '-c', script, 'sh', program('artist')],
        env: { KEEPER_COMMAND: command.join('\n'), TMPDIR: directory },
        deadlineMs: 60_000,
      });
      const members = await owner.ready(count);
      owner.send(`stop ${SIGTERM} 300`);
      await owner.finished();
      for (const { pid } of members) expect(isAlive(pid)).toBe(false);

      const findings = readFileSync(log, 'utf8');
      expect(findings).toContain('ERROR SUMMARY: 0 errors from 0 contexts');
      expect(findings).toContain('total heap usage: 0 allocs, 0 frees, 0 bytes allocated');
      // The control socket, the signalfd, the leader's pidfd; and valgrind's own log.
      const open = findings.match(/^==\d+== Open .*$/gm) ?? [];
      expect(
        open.filter((line) => !line.includes(log)),
        findings,
      ).toHaveLength(3);
    },
    180_000,
  );
});
