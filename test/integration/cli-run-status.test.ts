/** Exit statuses of `corral run`, side by side with timeout(1) of coreutils: the same command line, the same status. */
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CommandResult, runCorral, runFile } from '../helpers/command.js';
import { tempDirectory } from '../helpers/temp.js';

/** The options of timeout(1), the same as options of corral, the command. */
const SAME: Array<{ title: string; timeout: string[]; corral: string[]; command: string[]; status: number }> = [
  { title: 'success', timeout: ['10'], corral: [], command: ['true'], status: 0 },
  { title: 'a status of its own', timeout: ['10'], corral: [], command: ['sh', '-c', 'exit 3'], status: 3 },
  { title: 'a status that looks like a time-out', timeout: ['10'], corral: [], command: ['sh', '-c', 'exit 124'], status: 124 },
  { title: 'ended by SIGKILL', timeout: ['10'], corral: [], command: ['sh', '-c', 'kill -KILL $$'], status: 137 },
  { title: 'ended by SIGTERM', timeout: ['10'], corral: [], command: ['sh', '-c', 'kill -TERM $$'], status: 143 },
  { title: 'timed out', timeout: ['0.2'], corral: ['--timeout', '200ms'], command: ['sleep', '30'], status: 124 },
  {
    title: 'timed out, cleaned up and exited by itself',
    timeout: ['0.5'],
    corral: ['--timeout', '500ms'],
    command: ['sh', '-c', 'trap "exit 3" TERM; while :; do sleep 0.05; done'],
    status: 124,
  },
  {
    title: 'timed out, SIGKILL was needed',
    timeout: ['-k', '0.2', '3'],
    corral: ['--timeout', '3s', '--kill-after', '200ms'],
    command: ['sh', '-c', 'trap "" TERM; while :; do sleep 0.05; done'],
    status: 137,
  },
  {
    title: 'timed out with SIGKILL',
    timeout: ['-s', 'KILL', '0.2'],
    corral: ['--timeout', '200ms', '--signal', 'KILL'],
    command: ['sleep', '30'],
    status: 137,
  },
  {
    title: 'timed out with another signal',
    timeout: ['-s', 'INT', '0.2'],
    corral: ['--timeout', '0.2', '--signal', 'INT'],
    command: ['sleep', '30'],
    status: 124,
  },
  { title: 'a timeout of 0 is none', timeout: ['0'], corral: ['--timeout', '0'], command: ['sh', '-c', 'exit 4'], status: 4 },
  { title: 'not found', timeout: ['10'], corral: [], command: ['/nonexistent/program'], status: 127 },
  { title: 'not found in PATH', timeout: ['10'], corral: [], command: ['no-such-program-anywhere'], status: 127 },
  { title: 'a directory', timeout: ['10'], corral: [], command: ['/'], status: 126 },
  { title: 'an unknown option', timeout: ['--frob', '10'], corral: ['--frob'], command: ['true'], status: 125 },
  { title: 'a wrong duration', timeout: ['soon'], corral: ['--timeout', 'soon'], command: ['true'], status: 125 },
  { title: 'a wrong signal', timeout: ['-s', 'SIGFOO', '10'], corral: ['--signal', 'SIGFOO'], command: ['true'], status: 125 },
  { title: 'no command', timeout: ['10'], corral: [], command: [], status: 125 },
];

/** Without directories that this user may not search: there "not found" becomes "not allowed", for timeout(1) as for us. */
const PLAIN_PATH = { PATH: '/usr/bin:/bin' };

/** timeout(1) ends itself with the signal that ended the command; in `$?` that reads like the status we exit with. */
function asInShell({ code, signal }: CommandResult): number | null {
  return signal === null ? code : 128 + constants.signals[signal];
}

describe('the same status as timeout(1)', () => {
  it.each(SAME)('$title: $status', async ({ timeout, corral, command, status }) => {
    const [theirs, ours] = await Promise.all([
      runFile('timeout', [...timeout, ...command], { env: PLAIN_PATH }),
      runCorral(['run', ...corral, '--', ...command], { env: PLAIN_PATH }),
    ]);
    expect({ timeout: asInShell(theirs), corral: ours.code }).toEqual({ timeout: status, corral: status });
  });

  it('a file without permission to execute: 126', async () => {
    const file = path.join(tempDirectory(), 'program');
    writeFileSync(file, '#!/bin/sh\n');
    chmodSync(file, 0o644);
    const [theirs, ours] = await Promise.all([runFile('timeout', ['10', file]), runCorral(['run', '--', file])]);
    expect([theirs.code, ours.code]).toEqual([126, 126]);
    expect(ours.stderr).toContain('EACCES');
  });
});

describe('statuses of our own', () => {
  it.each([
    ['a working directory that is none', ['--cwd', '/nonexistent'], /cwd "\/nonexistent": ENOENT/],
    ['an unknown user', ['--user', 'no-such-user'], /no-such-user/],
    ['a report that can not be written', ['--report', '/nonexistent/report.json'], /--report: .*\/nonexistent\/report\.json/],
    ['a wrong limit', ['--rlimit', 'files=3'], /--rlimit .*received "files=3"/],
    ['a wrong variable', ['--env', 'NAME'], /--env .*NAME=VALUE, received "NAME"/],
    ['a wrong level', ['--containment', 'jail'], /--containment .*group, tree, cgroup/],
  ])('%s: 125, before anything is started', async (_name, options, message) => {
    const started = path.join(tempDirectory(), 'started');
    const result = await runCorral(['run', ...options, '--', 'touch', started]);
    expect(result).toMatchObject({ code: 125, stdout: '', stderr: expect.stringMatching(message) });
    expect(existsSync(started)).toBe(false);
  });
});

describe('what the command gets', () => {
  it('is the rest of the line, options included, with or without --', async () => {
    const print = ['sh', '-c', 'printf "<%s>" "$@"', '-', '--timeout', '--help', ''];
    for (const line of [
      ['run', '--', ...print],
      ['run', ...print],
    ]) {
      expect(await runCorral(line)).toMatchObject({ code: 0, stdout: '<--timeout><--help><>', stderr: '' });
    }
  });

  it('is our stdin, stdout and stderr', async () => {
    const result = await runCorral(['run', '--', 'sh', '-c', 'cat; echo oops >&2'], { stdin: 'hello' });
    expect(result).toMatchObject({ code: 0, stdout: 'hello', stderr: 'oops\n' });
  });

  it('is the environment, directory, limits and labels that were asked for', async () => {
    const cwd = tempDirectory();
    const line = [
      'run',
      '--cwd',
      cwd,
      '--clean-env',
      '--env',
      'A=1',
      '--env',
      'B=x=y',
      '--rlimit',
      'nofile=64:128',
      '--label',
      'job=7',
      '--no-new-privs',
    ];
    const script =
      'pwd; echo $A $B $HOME.; ulimit -n; ulimit -Hn; while read k v; do case $k in NoNewPrivs:) echo $v;; esac; done < /proc/self/status';
    const result = await runCorral([...line, '--', '/bin/sh', '-c', script]);
    expect(result).toMatchObject({ code: 0, stderr: '', stdout: `${cwd}\n1 x=y .\n64\n128\n1\n` });
  });
});
