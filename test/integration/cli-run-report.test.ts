/** `corral run --report FILE`: who was still there when the command ended, complete or not there at all. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { runCorral } from '../helpers/command.js';
import { fixtureCommand } from '../helpers/fixture.js';
import { tempDirectory } from '../helpers/temp.js';

it('names every member, how it ended, and how that is known', async () => {
  const directory = tempDirectory();
  const file = path.join(directory, 'report.json');
  writeFileSync(file, 'an older one');
  const result = await runCorral(['run', '--kill-after', '2s', '--report', file, '--json', '--', ...fixtureCommand('family.sh', ['exit'])]);
  expect(result.code).toBe(0);
  const members = result.stdout.trim().split(' ').slice(1).map(Number);
  const report = JSON.parse(readFileSync(file, 'utf8'));
  expect(report).toMatchObject({ survivors: [], escalated: true, proof: 'echild', durationMs: expect.any(Number) });
  const ended = new Map(report.terminated.map((one: { pid: number; signal: string }) => [one.pid, one.signal]));
  expect(members.map((pid) => ended.get(pid))).toEqual(['SIGTERM', 'SIGKILL', 'SIGTERM']);
  expect(JSON.parse(result.stderr)).toMatchObject({ exitCode: 0, signal: null, timedOut: false, report });
  // Nothing beside it: it was moved there in one step.
  expect(readdirSync(directory)).toEqual(['report.json']);
});

it('leaves an older report alone when the command could not be started', async () => {
  const directory = tempDirectory();
  const file = path.join(directory, 'report.json');
  writeFileSync(file, 'an older one');
  expect(await runCorral(['run', '--report', file, '--', '/nonexistent'])).toMatchObject({ code: 127 });
  expect(readFileSync(file, 'utf8')).toBe('an older one');
  expect(readdirSync(directory)).toEqual(['report.json']);
});
