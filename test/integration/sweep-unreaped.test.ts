/** A sweep under a PID 1 that does not reap: what it has ended stays as a zombie, and is ended all the same. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { namespaceCommand } from '../../scripts/contained.mjs';
import type { SweepReport } from '../../src/types.js';
import { fixtureCommand } from '../helpers/fixture.js';
import { eagerProject } from '../helpers/leftovers.js';

it('the rest of an abandoned tree, whose zombies stay', async (context) => {
  const namespace = namespaceCommand();
  if (namespace === undefined) return context.skip('no pid namespace can be made here');
  const { directory, env } = eagerProject({ term_grace_ms: 10_000, kill_wait_ms: 10_000 });
  const [file = '', ...args] = [...namespace, '--', ...fixtureCommand('pid-one-sweeps.mjs')];
  const { stdout } = await promisify(execFile)(file, args, { cwd: directory, env: { ...process.env, ...env } });
  const { report, ...left } = JSON.parse(stdout.slice('READY '.length)) as { report: SweepReport; zombies: number; alive: number };
  expect(left).toEqual({ zombies: 4, alive: 0 });
  expect(report.failures).toEqual([]);
  // The leader has ended with its keeper.
  expect(report.cleaned.map(({ rule, signal }) => `${rule} ${signal}`)).toEqual(Array(3).fill('abandoned SIGTERM'));
  // Nobody was waited for who had ended.
  expect(report.durationMs).toBeLessThan(10_000);
});
