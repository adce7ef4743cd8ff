/** The guards themselves: each kind of leftover fails the run and is named. A guard that is blind would make every other test worthless. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, type TestContext } from 'vitest';
import { cgroupsBelow, requireCgroup } from '../helpers/cgroup.js';
import { eventually } from '../helpers/eventually.js';
import { allProcesses, commandLine } from '../helpers/proc.js';
import { tempDirectory } from '../helpers/temp.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Outcome {
  code: number | null;
  output: string;
}

function start(argv: string[], env: Record<string, string> = {}): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, argv, {
    cwd: root,
    env: { ...process.env, CORRAL_TEST_SETTLE_MS: '1000', CORRAL_TEST_NOTES: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return { child, outcome: once(child, 'close').then(([code]) => ({ code, output })) };
}

describe('scripts/contained.mjs', () => {
  /** A namespace inside ours; not every machine allows that. */
  const contained = async (context: TestContext, script: string) => {
    const outcome = await start(['scripts/contained.mjs', '--', 'sh', '-c', script]).outcome;
    if (outcome.code === 125) context.skip('namespaces can not be nested here');
    return outcome;
  };

  it('gives the exit code of a command that leaves nothing', async (context) => {
    expect(await contained(context, 'exit 7')).toEqual({ code: 7, output: '' });
    expect(await contained(context, 'exit 0')).toEqual({ code: 0, output: '' });
  });

  it('names a process that is left', async (context) => {
    const { code, output } = await contained(context, 'setsid sleep 1234 & until grep -q sleep /proc/$!/comm; do :; done');
    expect(code).toBe(1);
    expect(output).toMatch(/left behind: process \d+ \(state [SDR], parent 1, .*\): sleep 1234\n$/);
  });

  it('names a zombie that is left, with its parent', async (context) => {
    const { code, output } = await contained(context, `sh -c 'true & exec sleep 1235' & sleep 0`);
    expect(code).toBe(1);
    expect(output).toMatch(/left behind: process \d+ \(state Z, parent \d+, .*\): \d+ \(sh\)\n/);
    expect(output).toMatch(/: sleep 1235\n/);
  });

  it('names a file that is left', async (context) => {
    const { code, output } = await contained(context, `touch "$TMPDIR/forgotten"`);
    expect(code).toBe(1);
    expect(output).toMatch(/left behind: file \/.*\/forgotten\n$/);
  });

  it('names a cgroup that is left, and removes it', async (context) => {
    const run = requireCgroup(context);
    const before = cgroupsBelow(run);
    const { code, output } = await contained(context, 'mkdir "$CORRAL_TEST_CGROUP/forgotten"');
    expect(code).toBe(1);
    expect(output).toMatch(/left behind: cgroup \/.*\/forgotten\n$/);
    expect(cgroupsBelow(run)).toEqual(before);
  });

  it('ends all of it when interrupted', async (context) => {
    await contained(context, 'true');
    const temporary = tempDirectory();
    const { child, outcome } = start(['scripts/contained.mjs', '--', 'sh', '-c', 'setsid sleep 1236 & echo up; sleep 1237'], {
      TMPDIR: temporary,
    });
    await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
    child.kill('SIGTERM');
    expect((await outcome).code).toBe(143);
    expect(allProcesses().map((stat) => commandLine(stat.pid))).not.toContain('sleep 1236');
    expect(readdirSync(temporary)).toEqual([]);
  });
});

describe('test/helpers/setup-contained.ts', () => {
  const guard = path.join(root, 'test/fixtures/guard');

  it('fails the test or the file that leaves something, and no other', async () => {
    const report = path.join(tempDirectory(), 'report.json');
    const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
    const options = [
      '--configLoader',
      'runner',
      '--config',
      path.join(guard, 'vitest.config.ts'),
      '--reporter=json',
      `--outputFile=${report}`,
    ];
    const { code } = await start([vitest, 'run', ...options], { TMPDIR: tmpdir() }).outcome;
    expect(code).toBe(1);
    await eventually(() => existsSync(report));

    interface Result {
      name: string;
      message: string;
      assertionResults: Array<{ title: string; status: string; failureMessages: string[] }>;
    }
    const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as { testResults: Result[] };
    const said = Object.fromEntries(
      testResults.map(({ name, message, assertionResults }) => [
        path.basename(name, '.test.ts'),
        [message, ...assertionResults.flatMap(({ title, failureMessages }) => failureMessages.map((text) => `${title}: ${text}`))]
          .join('\n')
          .trim(),
      ]),
    );
    expect(Object.keys(said).sort()).toEqual(['leaves-cgroup', 'leaves-descriptor', 'leaves-nothing', 'leaves-process', 'leaves-thread']);
    expect(said['leaves-nothing']).toBe('');
    expect(said['leaves-process']).toMatch(
      /^leaves a daemon: Error: the test left 1 process\(es\):\n {2}\d+ \(state [SDR], parent 1, .*\): sleep 1000\n/,
    );
    expect(said['leaves-process']).not.toMatch(/is not disturbed by it/);
    // Where no cgroup can be made it is skipped.
    const cgroup = process.env.CORRAL_TEST_CGROUP ? /^leaves a cgroup: Error: the test left 1 cgroup\(s\):\n {2}\/.*\/forgotten\n/ : /^$/;
    expect(said['leaves-cgroup']).toMatch(cgroup);
    expect(said['leaves-cgroup']).not.toMatch(/is not disturbed by it/);
    expect(said['leaves-descriptor']).toMatch(/left open:\n {2}descriptor \d+: \/dev\/null/);
    expect(said['leaves-thread']).toMatch(/left open:\n.*thread \d+/s);
  }, 180_000);
});
