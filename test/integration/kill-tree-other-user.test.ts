/** An ordinary user ends a tree with a member that belongs to root: the rest ends, the member is named. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { killTree } from '../../src/tree/kill-tree.js';
import { listProcesses } from '../../src/tree/scan.js';
import { requireRoot } from '../helpers/contained.js';
import { eventually } from '../helpers/eventually.js';
import { fixtureCommand } from '../helpers/fixture.js';
import { isAlive, readStat } from '../helpers/proc.js';

it('a member of another user survives, with the reason', async (context) => {
  requireRoot(context, 'it starts a process of root and then becomes an ordinary user');
  const [file, ...args] = fixtureCommand('tree-foreign-child.sh');
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore', 'pipe'] });
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  const [foreign, own] = String(line).split(' ').slice(1).map(Number) as [number, number];
  await eventually(() => readStat(foreign)?.name === 'cat');
  await listProcesses(); // What has to be loaded is loaded by root.

  // For good, in this process, which runs this file only.
  process.setgroups?.([]);
  process.setgid?.(65534);
  process.setuid?.(65534);

  const report = await killTree(child, { forceKillAfterDelay: 100 });
  expect(report.survivors).toMatchObject([{ pid: foreign, name: 'cat', reason: 'eperm' }]);
  expect(report.terminated.map(({ pid }) => pid).sort()).toEqual([child.pid, own].sort());
  expect(report.escalated).toBe(true);
  expect(isAlive(foreign)).toBe(true);

  (child.stdio[3] as Writable).end();
  await eventually(() => !isAlive(foreign));
});
