/** Every rule at its threshold, and what its name and command line have to be. */
import { describe, expect, it } from 'vitest';
import { classify, explain } from '../../src/orphans/classify.js';
import { BoundedPattern } from '../../src/orphans/pattern.js';
import { defaultPolicy } from '../../src/orphans/policy.js';
import type { OrphanPolicy, OrphanRule, Verdict } from '../../src/types.js';
import { bash, FACTS, type Row, rg, table } from '../helpers/orphan-world.js';

const guarded = defaultPolicy('guarded');
const seed = defaultPolicy('seed');
const judge = (row: Row, policy: OrphanPolicy = guarded): Verdict | undefined =>
  classify(table(row), policy, FACTS).find(({ process }) => process.pid === row.pid);
/** rule, or nothing when it is not condemned. */
const condemnedBy = (row: Row, policy?: OrphanPolicy) => {
  const verdict = judge(row, policy);
  return verdict?.action === 'terminate' ? `${verdict.type} ${verdict.reason}` : verdict?.action;
};
const without = (rule: string): OrphanPolicy => ({ ...guarded, rules: guarded.rules.filter(({ id }) => id !== rule) });

describe('thresholds are strictly greater-than', () => {
  const tagged = (row: Row) => rg({ args: ['rg', '@SPEC:AUTH', '.'], ...row });
  const agent = (row: Row) => bash('source ~/.claude/snapshot.sh; sleep 9', row);
  it.each<[string, Row, string | undefined]>([
    ['rg at 299.99 s', rg({ pid: 50, ageSeconds: 299.99 }), 'spare'],
    ['rg at 300 s', rg({ pid: 50, ageSeconds: 300 }), 'spare'],
    ['rg at 300.01 s', rg({ pid: 50, ageSeconds: 300.01 }), 'ripgrep long_running'],
    ['ripgrep at 300.01 s', rg({ pid: 50, name: 'ripgrep', args: ['ripgrep', 'x'], ageSeconds: 300.01 }), 'ripgrep long_running'],
    ['rg on tags at 180 s', tagged({ pid: 50, ageSeconds: 180 }), 'spare'],
    ['rg on tags at 180.01 s', tagged({ pid: 50, ageSeconds: 180.01 }), 'ripgrep tag_analysis_stuck'],
    ['rg on tags at 300 s', tagged({ pid: 50, ageSeconds: 300 }), 'ripgrep tag_analysis_stuck'],
    ['rg on tags at 300.01 s: the 300 s rule wins', tagged({ pid: 50, ageSeconds: 300.01 }), 'ripgrep long_running'],
    ['agent shell at 600 s', agent({ pid: 50, ageSeconds: 600 }), 'spare'],
    ['agent shell at 600.01 s', agent({ pid: 50, ageSeconds: 600.01 }), 'bash long_running_claude_related'],
    ['sh at 600.01 s', agent({ pid: 50, name: 'sh', args: ['sh', '-c', 'rg x'], ageSeconds: 600.01 }), 'bash long_running_claude_related'],
  ])('%s', (_, row, expected) => expect(condemnedBy(row)).toBe(expected));

  it.each(['@CODE:A', '@SPEC:A', '@TEST:A', '@DOC:A', '@TAG', 'x@TAGS'])('%s is a tag', (tag) => {
    expect(condemnedBy(rg({ pid: 50, args: ['rg', '-n', tag], ageSeconds: 200 }))).toBe('ripgrep tag_analysis_stuck');
  });

  it.each(['@CODE', '@SPEC A', 'TAG', '@tag', '@code:', 'CODE:'])('%s is none', (text) => {
    expect(judge(rg({ pid: 50, args: ['rg', '-n', text], ageSeconds: 200 }))).toMatchObject({ action: 'spare', rule: 'ripgrep' });
  });

  it('an age that is not known fits no rule', () => {
    expect(judge(rg({ pid: 50, ageSeconds: undefined, startTicks: 0xffff_ffff_ffff_ffffn }))).toBeUndefined();
  });

  it('a row with a start time instead of an age is judged by the clock that was handed over', () => {
    const process = { pid: 50, startTicks: 1n, bootId: 'b', name: 'rg', args: ['rg'], ppid: 1, uid: 1000, startTime: new Date(1000) };
    const plain = [process];
    const world = {
      size: 1,
      get: (pid: number) => plain.find((row) => row.pid === pid),
      children: () => [],
      descendants: () => [],
      group: () => [],
      session: () => [],
      zombies: () => [],
      [Symbol.iterator]: () => plain[Symbol.iterator](),
    };
    const at = (now: number) => classify(world, guarded, { now, self: 9, uid: 1000 })[0]?.action;
    expect(at(301_000)).toBe('spare');
    expect(at(301_010)).toBe('terminate');
  });
});

describe('which name counts', () => {
  const old = (row: Partial<Row>): Row => rg({ pid: 50, ...row });
  it.each<[string, Row, string | undefined, string | undefined]>([
    ['the plain one', old({}), 'ripgrep long_running', 'ripgrep long_running'],
    ['with a path', old({ args: ['/usr/bin/rg', 'x'] }), 'ripgrep long_running', 'ripgrep long_running'],
    [
      "an agent's own copy",
      old({ args: ['/x/node_modules/@anthropic-ai/claude-code/vendor/ripgrep/rg', 'x'] }),
      'ripgrep long_running',
      'ripgrep long_running',
    ],
    ['argv[0] rewritten, executable rg', old({ args: ['search'], exe: '/usr/bin/rg' }), 'ripgrep long_running', 'ripgrep long_running'],
    ['a deleted executable', old({ args: ['x'], exe: '/usr/bin/rg (deleted)' }), 'ripgrep long_running', 'ripgrep long_running'],
    [
      'a script called rg',
      old({ args: ['/bin/sh', '/home/me/bin/rg', 'x'], exe: '/usr/bin/dash' }),
      'ripgrep long_running',
      'ripgrep long_running',
    ],
    ['nothing else is known', old({ args: undefined }), 'ripgrep long_running', 'ripgrep long_running'],
    ['a name that was put on', old({ args: ['node', 'server.js'], exe: '/usr/bin/node' }), undefined, 'ripgrep long_running'],
    ['only argv[0]', old({ name: 'claude', args: ['rg', 'x'], exe: '/opt/claude' }), undefined, undefined],
    ['part of it', old({ name: 'rga', args: ['rga', 'x'] }), undefined, undefined],
    ['another case', old({ name: 'RG', args: ['RG', 'x'] }), undefined, undefined],
    [
      'a login shell',
      bash('', { pid: 50, args: ['-bash', '-c', 'cat .claude/x'] }),
      'bash long_running_claude_related',
      'bash long_running_claude_related',
    ],
    ['another shell', bash('', { pid: 50, name: 'zsh', args: ['zsh', '-c', 'cat .claude/x'] }), undefined, undefined],
  ])('%s', (_, row, expectedGuarded, expectedSeed) => {
    expect(condemnedBy(row)).toBe(expectedGuarded);
    expect(condemnedBy(row, seed)).toBe(expectedSeed);
  });
});

describe('which shell is an agent’s', () => {
  it.each<[string, string, boolean, boolean]>([
    ['.claude in a path', 'source /home/me/.claude/shell-snapshots/s.sh; sleep 5', true, true],
    ['rg as a command', 'cd src && rg TODO', true, true],
    ['rg in eval', "eval 'rg TODO' < /dev/null", true, true],
    ['cargo', 'cargo build', false, true],
    ['merge', 'git merge main', false, true],
    ['target and org', 'ls target org', false, true],
    ['rg as an argument', 'man rg', false, true],
    ['without its alias', '\\rg TODO', true, true],
    ['spelled in pieces: in doubt it is not', 'r\\g TODO', false, false],
    ['neither', 'sleep 1000', false, false],
  ])('%s', (_, script, inGuarded, inSeed) => {
    const row = bash(script, { pid: 50 });
    expect(condemnedBy(row) === 'bash long_running_claude_related').toBe(inGuarded);
    expect(condemnedBy(row, seed) === 'bash long_running_claude_related').toBe(inSeed);
  });

  it('of one whose command line is not known nothing is assumed', () => {
    expect(judge(bash('', { pid: 50, args: undefined }))).toBeUndefined();
    expect(explain(table(bash('', { pid: 50, args: undefined })), 50, guarded, FACTS)?.evidence).toContain(
      'shell_agent: its command line is not known',
    );
  });
});

describe('zombies', () => {
  it.each(['bash', 'sh'])('a %s is reported at any age, with its parent, and never ended', (name) => {
    for (const ageSeconds of [0, 0.01, 5000]) {
      const verdict = classify(
        table({ pid: 40, name: 'node', args: ['node', 'a.js'] }, { pid: 50, ppid: 40, name, state: 'Z', args: [], ageSeconds }),
        guarded,
        FACTS,
      )[0];
      expect(verdict).toMatchObject({ action: 'report', rule: 'shell_zombie', type: 'bash', reason: 'zombie_status' });
      expect(verdict?.evidence).toContain('zombie: it has ended; 40 (node) has not waited for it');
    }
  });

  it('a higher threshold holds for them too', () => {
    const policy = {
      ...guarded,
      rules: guarded.rules.map((rule) => ({ ...rule, olderThanSeconds: rule.state === 'Z' ? 60 : rule.olderThanSeconds })),
    };
    expect(judge({ pid: 50, name: 'sh', state: 'Z', args: [], ageSeconds: 60 }, policy)?.action).toBe('spare');
    expect(judge({ pid: 50, name: 'sh', state: 'Z', args: [], ageSeconds: 60.01 }, policy)?.action).toBe('report');
  });

  it('of rg are reported by its own rule', () => {
    expect(judge({ pid: 50, name: 'rg', state: 'Z', args: [] })).toMatchObject({ action: 'report', rule: 'ripgrep' });
  });

  it('of others are not looked at', () => {
    expect(judge({ pid: 50, name: 'sh', state: 'Z', args: [], uid: 2000 })).toMatchObject({ action: 'spare', protectedBy: 'other-user' });
    expect(judge({ pid: 50, name: 'node', state: 'Z', args: [] })).toBeUndefined();
  });

  it('whose other threads run on are none', () => {
    expect(judge({ pid: 50, name: 'sh', state: 'Z', threads: 3, args: ['sh', '-c', 'true'] })).toBeUndefined();
  });

  it('are not reported when their class is off', () => {
    expect(judge({ pid: 50, name: 'sh', state: 'Z', args: [] }, without('shell_zombie'))).toBeUndefined();
  });
});

describe('a class of one’s own', () => {
  const own = (rule: Partial<OrphanRule>): OrphanPolicy => ({
    ...guarded,
    rules: [...guarded.rules, { id: 'mine', type: 'mine', reason: 'long_running', olderThanSeconds: 900, ...rule }],
  });
  const row = (change: Partial<Row> = {}): Row => ({ pid: 50, name: 'mytool', args: ['mytool', 'serve'], ...change });

  it.each<[string, Partial<OrphanRule>, Partial<Row>, string | undefined]>([
    ['by name', { names: ['mytool'] }, {}, 'mine long_running'],
    [
      'by a name of more than 15 characters',
      { names: ['my-very-long-tool'] },
      { name: 'my-very-long-to', args: ['my-very-long-tool'] },
      'mine long_running',
    ],
    ['by one that begins the same', { names: ['my-very-long-tool'] }, { name: 'my-very-long-to', args: ['my-very-long-toad'] }, undefined],
    ['by name and command line', { names: ['mytool'], match: new BoundedPattern('ser.e') }, {}, 'mine long_running'],
    ['by name and another command line', { names: ['mytool'], match: new BoundedPattern('build') }, {}, undefined],
    ['by command line alone', { match: new BoundedPattern('^mytool serve$') }, {}, 'mine long_running'],
    ['too young', { names: ['mytool'] }, { ageSeconds: 900 }, 'spare'],
    ['only reported', { names: ['mytool'], action: 'report' }, {}, 'report'],
    [
      'with a command line too long to search',
      { match: new BoundedPattern('serve') },
      { args: ['mytool', 'serve', 'x'.repeat(5000)] },
      undefined,
    ],
    ['with a search that does not end', { match: new BoundedPattern('(a+)+$') }, { args: ['mytool', `${'a'.repeat(4000)}b`] }, undefined],
    ['requiring reparented', { names: ['mytool'], require: ['reparented'] }, {}, 'mine long_running'],
    ['requiring reparented, with a parent', { names: ['mytool'], require: ['reparented'] }, { ppid: 901 }, undefined],
    ['requiring a dead leader, and it leads itself', { names: ['mytool'], require: ['leader_dead'] }, {}, undefined],
    ['requiring a dead leader', { names: ['mytool'], require: ['leader_dead'] }, { sid: 49 }, 'mine long_running'],
    ['requiring orphan', { names: ['mytool'], require: ['orphan'] }, { sid: 49 }, 'mine long_running'],
    ['requiring orphan, leader alive', { names: ['mytool'], require: ['orphan'] }, { sid: 901, ageSeconds: 5000 }, undefined],
    [
      'requiring orphan, its number is another’s now',
      { names: ['mytool'], require: ['orphan'] },
      { sid: 901, ageSeconds: 85_000 },
      'mine long_running',
    ],
    ['requiring what nobody knows', { names: ['mytool'], require: ['session_dead'] }, { sid: 49 }, undefined],
  ])('%s', (_, rule, change, expected) => expect(condemnedBy(row(change), own(rule))).toBe(expected));
});

describe('a verdict', () => {
  it('says why', () => {
    expect(judge(rg({ pid: 50, sid: 49, ageSeconds: 7260 }))).toMatchObject({
      action: 'terminate',
      rule: 'ripgrep',
      type: 'ripgrep',
      reason: 'long_running',
      evidence: [
        'name: rg',
        'age: 2 h 1 min, more than 300 s',
        'reparented: 1 (systemd) is its parent now',
        'leader_dead: the leader of its session, 49, is gone',
      ],
    });
  });

  it('is given on what is too young as well, with what is missing', () => {
    expect(judge(rg({ pid: 50, ageSeconds: 100 }))).toMatchObject({
      action: 'spare',
      evidence: expect.arrayContaining(['age: 100 s, not more than 300 s']),
    });
    expect(judge(rg({ pid: 50, ageSeconds: 100 }))?.protectedBy).toBeUndefined();
  });

  it('is not given on the rest, unless it is asked for', () => {
    const world = table({ pid: 50, name: 'node', args: ['node', 'x.js'] });
    expect(classify(world, guarded, FACTS)).toEqual([]);
    expect(explain(world, 50, guarded, FACTS)).toMatchObject({
      action: 'spare',
      evidence: expect.arrayContaining(['ripgrep: its name, node, is not rg or ripgrep']),
    });
    expect(explain(world, 51, guarded, FACTS)).toBeUndefined();
  });

  it('costs nothing for those whose name no rule knows, where the table can find names', () => {
    const world = table(rg({ pid: 50 }));
    const asked: string[][] = [];
    const columns = {
      size: world.size,
      get: (pid: number) => world.get(pid),
      children: () => [],
      descendants: () => [],
      group: () => [],
      session: () => [],
      zombies: () => [],
      named: (names: ReadonlySet<string>) => {
        asked.push([...names].sort());
        return [...world].filter(({ name }) => names.has(name ?? ''));
      },
      [Symbol.iterator]: (): Iterator<never> => {
        throw new Error('every row was looked at');
      },
    };
    expect(classify(columns, guarded, FACTS).map(({ process }) => process.pid)).toContain(50);
    expect(asked).toEqual([['bash', 'rg', 'ripgrep', 'sh']]);
  });

  it('comes in ascending order of pid', () => {
    const verdicts = classify(table(rg({ pid: 70 }), rg({ pid: 50 }), rg({ pid: 60, ageSeconds: 1 })), guarded, FACTS);
    expect(verdicts.map(({ process }) => process.pid)).toEqual([50, 60, 70]);
  });
});
