/**
 * `corral run` on a real terminal, typed at a real shell: the command has the terminal as a job of the shell would, and the shell
 * has it back afterwards, whatever happened.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { build } from '../fixtures/c/build.js';
import { CTRL_C, CTRL_Z, Terminal } from '../fixtures/c/terminal.js';
import { corralCommand, runCorral } from '../helpers/command.js';
import { eventually } from '../helpers/eventually.js';
import { fixtureCommand } from '../helpers/fixture.js';
import { allProcesses, isAlive, readStat } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const programs = build('terminal');
const DEADLINE_MS = 20_000;

const PROMPT = 'outer> ';
const SHELLS = { bash: ['bash', '--norc', '--noprofile', '--noediting', '-i'], sh: ['sh', '-i'] };

/** A terminal with an interactive shell on it, in which $RUN starts a command with corral. */
async function openShell(shell: keyof typeof SHELLS = 'bash'): Promise<Terminal & { pid: number }> {
  const terminal = new Terminal(programs.program('terminal'), SHELLS[shell], { PS1: PROMPT, RUN: `${corralCommand().join(' ')} run` });
  await terminal.shows(PROMPT);
  // What is typed is on the screen as well, so no answer is written as it is asked for.
  terminal.enter('echo shell:$$');
  const [, pid] = await terminal.shows(/shell:(\d+)/);
  await terminal.shows(PROMPT);
  return Object.assign(terminal, { pid: Number(pid) });
}

/** The exit status of the last command, at the prompt. */
async function lastStatus(terminal: Terminal): Promise<number> {
  terminal.enter('echo status:$?');
  const [, status] = await terminal.shows(/status:(\d+)/);
  await terminal.shows(PROMPT);
  return Number(status);
}

/** The modes of the terminal, at the prompt. */
async function modes(terminal: Terminal): Promise<string> {
  terminal.enter('stty -g');
  const [text] = await terminal.shows(/[0-9a-f]+(:[0-9a-f]+)+/);
  await terminal.shows(PROMPT);
  return text;
}

/** Waits for the READY of a fixture; its words as numbers. */
async function members(terminal: Terminal): Promise<number[]> {
  const [, words] = await terminal.shows(/READY([\d ]*)\r?\n/);
  return (words as string).trim().split(' ').filter(Boolean).map(Number);
}

const alive = (pids: number[]) => pids.filter((pid) => isAlive(pid));
const foreground = (terminal: { pid: number }) => readStat(terminal.pid)?.tpgid;
const family = (mode: string) => fixtureCommand('family.sh', [mode]).join(' ');
/** Says which pid, group, session and foreground group of its terminal a shell has, then waits for a line. */
const WHO_AM_I = `'echo READY $$ $(cut -d" " -f5,6,8 /proc/$$/stat); read line; echo "<$line>"'`;

describe('the command', () => {
  it('is the foreground group of the terminal, in the session of the shell, and can be typed to', async () => {
    const terminal = await openShell();
    terminal.enter(`$RUN -- sh -c ${WHO_AM_I}`);
    const [pid, ...place] = await members(terminal);
    expect(place).toEqual([pid, terminal.pid, pid]);
    const keeper = readStat(readStat(pid as number)?.ppid as number);
    expect(keeper).toMatchObject({ name: 'corral-keeper', pgid: keeper?.pid, sid: terminal.pid });
    terminal.enter('hello');
    await terminal.shows('<hello>');
    await terminal.shows(PROMPT);
    expect(foreground(terminal)).toBe(terminal.pid);
    expect(await lastStatus(terminal)).toBe(0);
  });

  it('may be a shell with jobs of its own', async () => {
    const terminal = await openShell();
    terminal.enter("PS1='inner''> ' $RUN -- bash --norc --noprofile --noediting -i");
    await terminal.shows('inner> ');
    terminal.enter(`sh -c ${WHO_AM_I}`);
    const [pid, ...place] = await members(terminal);
    expect(place).toEqual([pid, terminal.pid, pid]);
    terminal.type(CTRL_Z);
    await terminal.shows('Stopped');
    await terminal.shows('inner> ');
    expect(readStat(pid as number)?.state).toBe('T');
    terminal.enter('fg');
    await eventually(() => foreground(terminal) === pid, DEADLINE_MS);
    terminal.type(CTRL_C);
    await terminal.shows('inner> ');
    terminal.enter('exit 5');
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(5);
  });

  it('is told of the size of the window', async () => {
    const terminal = await openShell();
    terminal.enter(`$RUN -- sh -c 'trap "stty size; exit" WINCH; stty size; echo READY; while :; do sleep 0.1; done'`);
    await terminal.shows('24 80');
    await members(terminal);
    terminal.resize(31, 97);
    await terminal.shows('31 97');
    await terminal.shows(PROMPT);
  });

  it('has a session of its own without a terminal', async () => {
    const { stdout } = await runCorral(['run', '--', 'sh', '-c', WHO_AM_I.slice(1, -1)]);
    const [, pid, ...place] = stdout.split(/\s/).slice(0, 5);
    expect(place).toEqual([pid, pid, '-1']);
  });
});

describe('exit status', () => {
  it.each([
    ['its own', "-- sh -c 'exit 7'", 7],
    ['the signal that ended it', "-- sh -c 'kill -TERM $$'", 143],
    ['not found', '-- no-such-command', 127],
    ['not executable', '-- /etc/passwd', 126],
    ['usage', '--no-such-option -- true', 125],
    ['timed out', '--timeout 100ms -- sleep 300', 124],
    ['timed out, SIGKILL was needed', `--timeout 3s --kill-after 100ms -- sh -c 'trap "" TERM; while :; do sleep 300; done'`, 137],
  ])('%s; and the shell has the terminal', async (_, line, status) => {
    const terminal = await openShell();
    terminal.enter(`$RUN ${line}`);
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(status);
    expect(foreground(terminal)).toBe(terminal.pid);
  });
});

describe('Ctrl-C', () => {
  it('ends the command and the rest of its tree, status 130', async () => {
    const terminal = await openShell();
    terminal.enter(`$RUN --kill-after 300ms -- ${family('wait')}`);
    const tree = await members(terminal);
    expect(alive(tree)).toHaveLength(3);
    terminal.type(CTRL_C);
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(130);
    expect(alive(tree)).toEqual([]);
  });

  it('once more, while the rest has its grace period, kills now', async () => {
    const terminal = await openShell();
    terminal.enter(`$RUN --kill-after 1h -- ${family('wait')}`);
    const tree = await members(terminal);
    const leader = foreground(terminal) as number;
    const corral = readStat(readStat(leader)?.ppid as number)?.ppid as number;
    expect(readStat(leader)).toMatchObject({ pid: leader, sid: terminal.pid });
    terminal.type(CTRL_C);
    await eventually(() => foreground(terminal) === corral, DEADLINE_MS, 'corral has the terminal back');
    expect(alive(tree)).not.toEqual([]);
    terminal.type(CTRL_C);
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(130);
    expect(alive(tree)).toEqual([]);
  });

  it('is left to a command that handles it', async () => {
    const terminal = await openShell();
    terminal.enter(`$RUN -- sh -c 'trap "echo caught:\\$n" INT; echo READY; for n in 1 2; do sleep 300; done; exit 3'`);
    await members(terminal);
    for (const n of [1, 2]) {
      await eventually(() => allProcesses().some(({ name, pgid }) => name === 'sleep' && pgid === foreground(terminal)), DEADLINE_MS);
      terminal.type(CTRL_C);
      await terminal.shows(`caught:${n}`);
    }
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(3);
  });

  it.each(['bash', 'sh'])('ends a script of %s, too, as it would without corral', async (shell) => {
    const script = path.join(tempDirectory(), 'script');
    writeFileSync(script, "$RUN -- sh -c 'echo READY; exec sleep 300'\necho unwanted\n");
    const terminal = await openShell();
    terminal.enter(`${shell} ${script}`);
    await members(terminal);
    terminal.type(CTRL_C);
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(130);
    expect(terminal.screen).not.toContain('unwanted');
  });

  it('ends a loop of the shell', async () => {
    const terminal = await openShell();
    terminal.enter("for i in 1 2; do $RUN -- sh -c 'echo READY; exec sleep 300'; done");
    await members(terminal);
    terminal.type(CTRL_C);
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(130);
  });
});

describe('Ctrl-Z', () => {
  it.each(['bash', 'sh'] as const)('stops the command, %s has its prompt; fg continues it', async (shell) => {
    const terminal = await openShell(shell);
    terminal.enter(`$RUN -- sh -c ${WHO_AM_I}`);
    const [pid] = await members(terminal);
    terminal.type(CTRL_Z);
    await terminal.shows('Stopped');
    await terminal.shows(PROMPT);
    expect(readStat(pid as number)?.state).toBe('T');
    terminal.enter('fg');
    await eventually(() => foreground(terminal) === pid, DEADLINE_MS);
    terminal.enter('again');
    await terminal.shows('<again>');
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(0);
  });

  it('and bg: it goes on without the terminal, and stops when it wants to read', async () => {
    const terminal = await openShell();
    const fifo = path.join(tempDirectory(), 'fifo');
    execFileSync('mkfifo', [fifo]);
    terminal.enter(`$RUN -- sh -c 'echo READY $$; read word < ${fifo}; read line; echo "<$line>"'`);
    const [pid] = (await members(terminal)) as [number];
    const corral = readStat(readStat(pid)?.ppid as number)?.ppid as number;
    terminal.type(CTRL_Z);
    await terminal.shows('Stopped');
    terminal.enter('bg');
    await eventually(() => readStat(pid)?.state !== 'T', DEADLINE_MS);
    expect(foreground(terminal)).toBe(terminal.pid);
    await writeFile(fifo, 'go\n');
    await eventually(() => [pid, corral].every((one) => readStat(one)?.state === 'T'), DEADLINE_MS);
    await terminal.showsAtPrompt('Stopped');
    terminal.enter('fg');
    await eventually(() => foreground(terminal) === pid, DEADLINE_MS);
    terminal.enter('typed');
    await terminal.shows('<typed>');
    await terminal.shows(PROMPT);
  });

  it('in the moment before the command runs does not hold it up', async () => {
    // A search of thousands of directories makes that moment long.
    const slowPath = `${'n:'.repeat(50_000)}${process.env.PATH}`;
    const script = path.join(tempDirectory(), 'script');
    writeFileSync(script, `exec $RUN --env PATH="${slowPath}" -- sh -c 'echo READY; read line; echo "<$line>"'\n`);
    const terminal = await openShell();
    terminal.enter(`sh ${script}`);
    const leader = await eventually(
      () => allProcesses().find(({ pid, ppid, pgid, tpgid }) => pid === pgid && pgid === tpgid && readStat(ppid)?.name === 'corral-keeper'),
      DEADLINE_MS,
    );
    terminal.type(CTRL_Z);
    const [shown] = await terminal.shows(/READY|Stopped/);
    if (shown === 'Stopped') {
      await terminal.shows(PROMPT); // it came a moment later, when the command was running
      terminal.enter('fg');
      await eventually(() => foreground(terminal) === leader.pid, DEADLINE_MS);
    }
    terminal.enter('typed');
    await terminal.shows('<typed>');
    await terminal.shows(PROMPT);
  });

  it('of a job that came to the foreground while it was running', async () => {
    const terminal = await openShell();
    terminal.enter("$RUN -- sh -c 'echo READY $$; exec sleep 300' &");
    const [pid] = (await members(terminal)) as [number];
    const corral = readStat(readStat(pid)?.ppid as number)?.ppid;
    terminal.enter('fg');
    await eventually(() => foreground(terminal) === corral, DEADLINE_MS);
    terminal.type(CTRL_Z);
    await terminal.shows('Stopped');
    expect(readStat(pid)?.state).toBe('T');
    terminal.enter('fg');
    await eventually(() => foreground(terminal) === pid, DEADLINE_MS);
    terminal.type(CTRL_C);
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(130);
  });

  it('is of no effect where no shell could continue it', async () => {
    const [node, corral] = corralCommand();
    const terminal = new Terminal(programs.program('terminal'), [node, corral, 'run', '--', 'sh', '-c', WHO_AM_I.slice(1, -1)]);
    await members(terminal);
    terminal.type(CTRL_Z);
    await terminal.shows('^Z');
    terminal.enter('on');
    await terminal.shows('<on>');
    expect(await terminal.exited).toBe(0);
  });
});

describe('the modes of the terminal', () => {
  it('are put back when the command was killed', async () => {
    const terminal = await openShell();
    const before = await modes(terminal);
    terminal.enter("$RUN -- sh -c 'stty raw -echo; kill -KILL $$'");
    await terminal.shows(PROMPT);
    expect(await modes(terminal)).toBe(before);
  });

  it('stay as a command left them that ended by itself', async () => {
    const terminal = await openShell();
    const before = await modes(terminal);
    terminal.enter('$RUN -- stty -echoctl susp undef');
    await terminal.shows(PROMPT);
    const after = await modes(terminal);
    expect(after).not.toBe(before);
    terminal.enter(`stty ${before}`);
    await terminal.shows(PROMPT);
  });

  it('are those of the shell while the command is stopped, and its own again at fg', async () => {
    const terminal = await openShell();
    const before = await modes(terminal);
    terminal.enter("$RUN -- sh -c 'stty -echoctl; echo READY $$; kill -TSTP $$; stty -a | grep -o -e -echoctl'");
    await members(terminal);
    await terminal.shows('Stopped');
    expect(await modes(terminal)).toBe(before);
    terminal.enter('fg');
    await terminal.shows(/-echoctl\r/);
    await terminal.shows(PROMPT);
  });
});

describe('a timeout that comes while the command is stopped', () => {
  it('ends it; fg gives the status, and the modes are those of the shell', async () => {
    const terminal = await openShell();
    const before = await modes(terminal);
    terminal.enter("$RUN --timeout 10s --kill-after 300ms -- sh -c 'stty raw -echo; echo READY $$; kill -TSTP $$'");
    const [pid] = (await members(terminal)) as [number];
    await terminal.shows('Stopped');
    await terminal.shows(PROMPT);
    await eventually(() => !isAlive(pid), DEADLINE_MS);
    expect(await modes(terminal)).toBe(before);
    terminal.enter('fg');
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(124);
    expect(await modes(terminal)).toBe(before);
  });
});

describe('the terminal is not taken', () => {
  it('from a neighbour in the pipeline: it can still be read', async () => {
    const terminal = await openShell();
    terminal.enter(`$RUN -- sh -c 'echo READY $$ $(cut -d" " -f5,6,8 /proc/$$/stat)' | sh -c 'cat; read line < /dev/tty; echo "<$line>"'`);
    const [, words] = await terminal.shows(/READY ([-\d ]+)/);
    const [pid, ...place] = (words as string).trim().split(' ').map(Number);
    expect(place).toEqual([pid, pid, -1]);
    terminal.enter('hello');
    await terminal.shows('<hello>');
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(0);
  });

  it('nor its modes changed when corral leaves', async () => {
    const fifo = path.join(tempDirectory(), 'fifo');
    execFileSync('mkfifo', [fifo]);
    const terminal = await openShell();
    const command = `echo up; cat ${fifo}`;
    // Corral runs before the modes are changed, and the pipe ends when it has left.
    const neighbour = `read up; stty -echoctl < /dev/tty; echo go > ${fifo}; cat; stty -a < /dev/tty | grep -o -e -echoctl`;
    terminal.enter(`$RUN -- sh -c '${command}' | sh -c '${neighbour}'; echo e''nd`);
    await terminal.shows(/\bgo\r\n-echoctl\r\nend/);
    await terminal.shows(PROMPT);
  });

  it('when stdin is not the terminal', async () => {
    const terminal = await openShell();
    terminal.enter(`echo piped | $RUN -- sh -c 'read line; echo "<$line> $(cut -d" " -f8 /proc/$$/stat)"'`);
    await terminal.shows('<piped> -1');
    await terminal.shows(PROMPT);
  });

  it('and Ctrl-Z stops the group of such a command all the same', async () => {
    const terminal = await openShell();
    terminal.enter("echo piped | $RUN -- sh -c 'echo READY $$; exec sleep 300'");
    const [pid] = (await members(terminal)) as [number];
    terminal.type(CTRL_Z);
    await terminal.shows('Stopped');
    await eventually(() => readStat(pid)?.state === 'T', DEADLINE_MS);
    terminal.enter('fg');
    await eventually(() => readStat(pid)?.state === 'S', DEADLINE_MS);
    terminal.type(CTRL_C);
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(130);
    expect(isAlive(pid)).toBe(false);
  });
});

describe('the end of', () => {
  it.each(['bash', 'sh'] as const)('the window ends everything, also what ignores SIGHUP (%s)', async (shell) => {
    const terminal = await openShell(shell);
    terminal.enter(`$RUN --kill-after 300ms -- sh -c 'trap "" HUP; ${family('wait')}'`);
    const tree = await members(terminal);
    const leader = foreground(terminal) as number;
    expect(alive([leader, ...tree])).toHaveLength(4);
    terminal.close();
    await eventually(() => alive([leader, ...tree]).length === 0, DEADLINE_MS);
    await eventually(() => allProcesses().every(({ name }) => name !== 'corral-keeper'), DEADLINE_MS);
  });

  it('a stopped one by kill %1 reaches the whole tree', async () => {
    const terminal = await openShell();
    terminal.enter(`$RUN --kill-after 300ms -- ${family('wait')}`);
    const tree = await members(terminal);
    const corral = readStat(readStat(foreground(terminal) as number)?.ppid as number)?.ppid as number;
    terminal.type(CTRL_Z);
    await terminal.shows('Stopped');
    await terminal.shows(PROMPT);
    terminal.enter('kill %1');
    await eventually(() => readStat(corral) === undefined, DEADLINE_MS, 'corral has ended and the shell knows');
    expect(alive(tree)).toEqual([]);
    terminal.enter('');
    await terminal.shows('Exit 143');
  });

  it('the window ends a stopped one', async () => {
    const terminal = await openShell();
    terminal.enter(`$RUN --kill-after 300ms -- ${family('wait')}`);
    const tree = await members(terminal);
    terminal.type(CTRL_Z);
    await terminal.shows('Stopped');
    terminal.close();
    await eventually(() => alive(tree).length === 0, DEADLINE_MS);
  });

  it('corral by SIGKILL ends everything, and the shell has the terminal', async () => {
    const terminal = await openShell();
    terminal.enter(`$RUN --kill-after 300ms -- ${family('wait')}`);
    const tree = await members(terminal);
    const leader = foreground(terminal) as number;
    process.kill(readStat(readStat(leader)?.ppid as number)?.ppid as number, 'SIGKILL');
    await terminal.shows(PROMPT);
    expect(await lastStatus(terminal)).toBe(137);
    await eventually(() => alive([leader, ...tree]).length === 0, DEADLINE_MS);
  });

  it('the keeper by SIGKILL ends everything, and the shell has the terminal', async () => {
    const terminal = await openShell();
    const before = await modes(terminal);
    terminal.enter(`$RUN --kill-after 300ms -- sh -c 'stty raw -echo; ${family('wait')}'`);
    const tree = await members(terminal);
    process.kill(readStat(foreground(terminal) as number)?.ppid as number, 'SIGKILL');
    await terminal.shows(PROMPT);
    expect(foreground(terminal)).toBe(terminal.pid);
    expect(alive(tree)).toEqual([]);
    expect(await modes(terminal)).toBe(before);
  });
});
