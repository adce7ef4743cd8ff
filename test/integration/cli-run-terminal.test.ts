/** Ctrl-C on a real terminal: script(1) gives one, and passes on what is typed. */
import { spawn } from 'node:child_process';
import { expect, it, onTestFinished } from 'vitest';
import { corralCommand } from '../helpers/command.js';
import { fixtureCommand } from '../helpers/fixture.js';
import { isAlive } from '../helpers/proc.js';

const CTRL_C = '\x03';

it.each([
  ['once', '300ms', 1],
  ['twice', '1h', 2],
])('typed %s ends the whole tree, status 130', async (_times, killAfter, times) => {
  const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
  const command = [...corralCommand(), 'run', '--kill-after', killAfter, '--', ...fixtureCommand('family.sh', ['wait'])]
    .map(quote)
    .join(' ');
  const terminal = spawn('script', ['--quiet', '--return', '--flush', '--command', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = new Promise<number | null>((resolve) => terminal.once('exit', (code) => resolve(code)));
  onTestFinished(async () => {
    terminal.kill('SIGKILL');
    await exited;
    for (const stream of [terminal.stdin, terminal.stdout]) stream?.destroy();
  });

  let screen = '';
  const ready = await new Promise<string>((resolve) => {
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text;
      const line = /READY ([\d ]+)\r?\n/.exec(screen);
      if (line !== null) resolve(line[1] as string);
    });
  });
  const members = ready.trim().split(' ').map(Number);
  expect(members.filter((pid) => isAlive(pid))).toHaveLength(3);

  terminal.stdin.write(CTRL_C);
  // Typed again and again, as people do; two that arrive together may count as one.
  const again = setInterval(() => times > 1 && terminal.stdin.write(CTRL_C), 100);
  expect(await exited.finally(() => clearInterval(again))).toBe(130);
  expect(members.filter((pid) => isAlive(pid))).toEqual([]);
});
