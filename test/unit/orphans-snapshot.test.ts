/** A scene saved and judged again: the same verdicts, no secrets, and nothing accepted that it did not write. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { classify } from '../../src/orphans/classify.js';
import { defaultPolicy } from '../../src/orphans/policy.js';
import { loadScene, saveScene, withoutSecrets } from '../../src/orphans/snapshot-file.js';
import { bash, FACTS, rg, table } from '../helpers/orphan-world.js';
import { tempDirectory } from '../helpers/temp.js';

const world = table(
  rg({ pid: 50, ageSeconds: 400.25 }),
  rg({ pid: 51, args: ['rg', '@TAG'], ageSeconds: 200 }),
  rg({ pid: 52, uid: 2000 }),
  bash('cat .claude/x --token=hunter2', { pid: 53, env: { CLAUDE_PID: '49' } }),
  { pid: 54, name: 'sh', state: 'Z', args: [] },
  { pid: 49, name: 'claude', args: ['claude'], ageSeconds: 90_000 },
);
const scene = { table: world, flat: () => world, facts: { ...FACTS, agents: [49], minAgeSeconds: 0 } };
const judged = (verdicts: ReturnType<typeof classify>) =>
  verdicts.map(({ process, action, rule, protectedBy }) => ({ pid: process.pid, action, rule, protectedBy }));

describe('a saved scene', () => {
  it('is judged as it was, by the rules in force where it is judged', () => {
    const file = path.join(tempDirectory(), 'scene.json');
    saveScene(scene, file);
    const again = loadScene(file);
    const policy = defaultPolicy();
    expect(judged(classify(again.table, policy, again.facts))).toEqual(judged(classify(world, policy, FACTS)));
    expect(again.facts).toEqual({ now: FACTS.now, self: FACTS.self, uid: FACTS.uid, session: undefined, agents: [49] });
    const patient = { ...policy, minAgeSeconds: 1e6 };
    expect(classify(again.table, patient, again.facts).filter(({ action }) => action === 'terminate')).toEqual([]);
  });

  it('is for its owner and holds no secret', () => {
    const file = path.join(tempDirectory(), 'scene.json');
    saveScene(scene, file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).not.toContain('hunter2');
  });

  it.each<[string, (saved: Record<string, unknown>) => unknown, RegExp]>([
    ['no JSON', () => '{', /expected the JSON of a saved snapshot/],
    ['another version', (saved) => ({ ...saved, corralSnapshot: 2 }), /corralSnapshot: expected version 1/],
    ['no facts', ({ facts: _, ...saved }) => saved, /facts: expected an object/],
    ['nobody who looked', (saved) => ({ ...saved, facts: {} }), /facts\.self: expected a process id/],
    ['a user', (saved) => ({ ...saved, facts: { self: 1, uid: 'me' } }), /facts\.uid: expected a user id/],
    ['agents', (saved) => ({ ...saved, facts: { self: 1, agents: ['x'] } }), /facts\.agents: expected an array/],
    ['a session', (saved) => ({ ...saved, facts: { self: 1, session: 5 } }), /facts\.session: expected a string/],
  ])('with %s is refused', (_, change, message) => {
    const file = path.join(tempDirectory(), 'scene.json');
    saveScene(scene, file);
    const changed = change(JSON.parse(readFileSync(file, 'utf8')));
    writeFileSync(file, typeof changed === 'string' ? changed : JSON.stringify(changed));
    expect(() => loadScene(file)).toThrow(message);
  });
});

describe('secrets', () => {
  it.each([
    [
      ['curl', '-H', 'Authorization: Bearer abc.def', 'x'],
      ['curl', '-H', 'Authorization: Bearer ***', 'x'],
    ],
    [
      ['x', '--token=abc', 'y'],
      ['x', '--token=***', 'y'],
    ],
    [
      ['x', '--api-key', 'abc', 'y'],
      ['x', '--api-key', '***', 'y'],
    ],
    [
      ['env', 'GITHUB_TOKEN=abc', 'y'],
      ['env', 'GITHUB_TOKEN=***', 'y'],
    ],
    [
      ['sh', '-c', 'export DB_PASSWORD=abc; run'],
      ['sh', '-c', 'export DB_PASSWORD=***; run'],
    ],
    [
      ['psql', 'postgres://me:abc@host/db'],
      ['psql', 'postgres://me:***@host/db'],
    ],
    [
      ['x', '--token', '--verbose'],
      ['x', '--token', '--verbose'],
    ],
    [
      ['rg', 'tokenize', 'src/secret.ts'],
      ['rg', 'tokenize', 'src/secret.ts'],
    ],
  ])('%j', (args, expected) => expect(withoutSecrets(args)).toEqual(expected));
});
