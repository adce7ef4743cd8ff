/** Who is never signalled, whichever way it is asked for: every entry with every target that is refused. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { fixtureCommand } from '../helpers/fixture.js';
import { isAlive, readStat, threads } from '../helpers/proc.js';

const REFUSED = 'ERR_REFUSED_TARGET';
const { EINVAL } = constants.errno;
const command = [2, true, ''];
/** Everything that names a process by number refuses. */
const refused = { killTree: REFUSED, identity: REFUSED, child: REFUSED, attach: REFUSED, listed: REFUSED, native: 'held', command };
/** What is no process id at all can not even be held. */
const impossible = { ...refused, identity: null, child: null, attach: 'ERR_INVALID_ARGUMENT', native: -EINVAL };
/** It can be looked up in /proc, but is none that a scan shows: a list of scanned processes can not have it. */
const thread = { ...refused, attach: 'ERR_NO_SUCH_PROCESS', native: -EINVAL, listed: expect.anything() };

async function output(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout!) text += chunk;
  return text;
}

describe('a program whose group somebody else leads', () => {
  it('can signal none of them', async () => {
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    onTestFinished(() => void other.kill('SIGKILL'));
    await eventually(() => threads(other.pid as number).size > 1);

    const program = [...fixtureCommand('refusals.mjs'), String(other.pid)];
    const [sh, ...words] = fixtureCommand('refusals.sh', program);
    const shell = spawn(sh, words, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    onTestFinished(() => void shell.kill('SIGKILL'));
    const text = await output(shell);
    expect(text).toMatch(/^READY /);
    expect(JSON.parse(text.slice('READY '.length))).toEqual({
      everybody: impossible,
      'our own group': impossible,
      'PID 1': { ...refused, native: expect.anything() },
      ourselves: refused,
      'our parent': refused,
      'its parent': refused,
      // One by one it may be ended; not its group, which nothing here does.
      'the leader of our group': { ...refused, listed: [expect.objectContaining({ outcome: 'changed', signal: null })] },
      'a thread of ours': thread,
      'a thread of another': thread,
    });
    expect(isAlive(other.pid as number)).toBe(true);
    expect(readStat(process.pid)).toBeDefined();
  }, 180_000);
});
