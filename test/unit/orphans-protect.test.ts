/** Each veto: that it holds, and that it holds for nobody else. */
import { describe, expect, it } from 'vitest';
import { classify, type Facts } from '../../src/orphans/classify.js';
import { BoundedPattern } from '../../src/orphans/pattern.js';
import { defaultPolicy } from '../../src/orphans/policy.js';
import { markOf } from '../../src/tree/mark.js';
import type { OrphanPolicy, ProtectRule } from '../../src/types.js';
import { bash, FACTS, OTHER, type Row, rg, SELF, table } from '../helpers/orphan-world.js';

const guarded = defaultPolicy('guarded');
const seed = defaultPolicy('seed');
const protectedBy = (
  rows: Row[],
  { policy = guarded, facts = {}, pid = 50 }: { policy?: OrphanPolicy; facts?: Partial<Facts>; pid?: number } = {},
) => {
  const verdict = classify(table(...rows), policy, { ...FACTS, ...facts }).find(({ process }) => process.pid === pid);
  return verdict?.action === 'spare' ? (verdict.protectedBy ?? 'too young') : verdict?.action;
};
const protecting = (...protect: ProtectRule[]): OrphanPolicy => ({ ...guarded, protect });

describe('nothing speaks for', () => {
  it.each<[string, Row[]]>([
    ['an old rg adopted by init', [rg({ pid: 50 })]],
    ['an old rg below a live shell', [rg({ pid: 50, ppid: 901, ageSeconds: 5000 })]],
    ['an old rg whose shell was adopted', [bash('sleep 1', { pid: 49, ageSeconds: 90_000 }), rg({ pid: 50, ppid: 49 })]],
    [
      'an old rg below a node program that is no agent',
      [{ pid: 49, name: 'node', args: ['node', 'server.js'], ageSeconds: 90_000 }, rg({ pid: 50, ppid: 49 })],
    ],
    ['an old rg below tmux', [{ pid: 49, name: 'tmux: server', args: ['tmux'], ageSeconds: 90_000 }, rg({ pid: 50, ppid: 49 })]],
    ['a stopped one', [rg({ pid: 50, state: 'T' })]],
    ['a search for the name of something protected', [rg({ pid: 50, args: ['rg', 'pytest alembic docker-compose claude'] })]],
    ['a search in the directory of something protected', [rg({ pid: 50, args: ['rg', 'x', '/srv/pytest/claude'], cwd: '/srv/claude' })]],
    [
      "an agent's own copy of rg",
      [rg({ pid: 50, args: ['/x/node_modules/@openai/codex/vendor/rg', 'x'], exe: '/x/node_modules/@openai/codex/vendor/rg' })],
    ],
    ['what runs beside a protected process', [{ pid: 49, name: 'pytest', args: ['pytest'] }, rg({ pid: 50 })]],
    ['a former child of an agent', [{ pid: 49, name: 'claude', args: ['claude'] }, rg({ pid: 50, ppid: 1 })]],
  ])('%s', (_, rows) => expect(protectedBy(rows)).toBe('terminate'));
});

describe('identity', () => {
  it.each<[string, Row[], string, Partial<Facts>?, number?]>([
    ['ourselves', [rg({ pid: SELF, ppid: 902, pgid: 902, ageSeconds: 60_000 })], 'self', {}, SELF],
    ['our parent', [bash('x .claude', { pid: 902, ppid: 901, ageSeconds: 70_000 })], 'ancestor', {}, 902],
    ['our parent’s parent', [bash('x .claude', { pid: 901, ppid: 900, ageSeconds: 80_000 })], 'ancestor', {}, 901],
    ['an ancestor that only the caller knows', [rg({ pid: 50 })], 'ancestor', { ancestors: [50] }],
    ['our process group', [rg({ pid: 50, pgid: 902, ppid: 1 })], 'own-group'],
    ['PID 1', [rg({ pid: 1, ppid: 0 })], 'init', { self: 99_999 }, 1],
    ['a thread of the kernel', [rg({ pid: 50, ppid: 2, args: [], kernelThread: true })], 'kernel-thread'],
    ['another user', [rg({ pid: 50, uid: OTHER })], 'other-user'],
    ['root', [rg({ pid: 50, uid: 0 })], 'other-user'],
    ['a user that is not known', [rg({ pid: 50, uid: undefined })], 'unknown-user'],
    ['our own uid that is not known', [rg({ pid: 50 })], 'unknown-user', { uid: undefined, self: 99_999 }],
    ['state D', [rg({ pid: 50, state: 'D' })], 'report'],
  ])('%s', (_, rows, expected, facts = {}, pid = 50) => {
    expect(protectedBy(rows, { facts, pid })).toBe(expected);
    expect(protectedBy(rows, { facts, pid, policy: seed })).toBe(expected);
  });

  it('our uid is that of our row when nobody says it', () => {
    expect(protectedBy([rg({ pid: 50 })], { facts: { uid: undefined } })).toBe('terminate');
    expect(protectedBy([rg({ pid: 50, uid: OTHER })], { facts: { uid: undefined } })).toBe('other-user');
  });

  it('the uninterruptible is named', () => {
    expect(classify(table(rg({ pid: 50, state: 'D' })), guarded, FACTS)[0]).toMatchObject({
      action: 'report',
      protectedBy: 'uninterruptible',
    });
  });
});

describe('least age', () => {
  const eager = { ...guarded, rules: guarded.rules.map((rule) => ({ ...rule, olderThanSeconds: 0 })) };
  it.each<[number, number | undefined, string]>([
    [59.99, undefined, 'min-age'],
    [60, undefined, 'terminate'],
    [10, 0, 'terminate'],
    [0.01, 0, 'terminate'],
    [0, 0, 'too young'],
    [899, 900, 'min-age'],
  ])('age %s, least %s: %s', (ageSeconds, minAgeSeconds, expected) => {
    expect(protectedBy([rg({ pid: 50, ageSeconds })], { policy: eager, facts: { minAgeSeconds } })).toBe(expected);
  });
  it('does not hold in the seed policy', () => {
    expect(protectedBy([rg({ pid: 50, ageSeconds: 1 })], { policy: { ...eager, mode: 'seed' } })).toBe('terminate');
  });
});

describe('what corral holds', () => {
  const keeper: Row = { pid: 48, name: 'corral-keeper', args: ['corral-keeper', 'x'], ageSeconds: 90_000 };
  it.each<[string, Row[], string]>([
    ['a child of a keeper', [keeper, rg({ pid: 50, ppid: 48 })], 'corral'],
    ['a descendant of a keeper', [keeper, bash('rg', { pid: 49, ppid: 48, ageSeconds: 89_000 }), rg({ pid: 50, ppid: 49 })], 'corral'],
    ['a keeper executed from a descriptor', [{ ...keeper, name: '7', args: ['corral-keeper', 'x'] }, rg({ pid: 50, ppid: 48 })], 'corral'],
    ['marked, its parent alive', [rg({ pid: 50, ppid: 901, ageSeconds: 5000, env: { CORRAL_TREE: 'x.1' } })], 'corral'],
    ['marked, leads its session', [rg({ pid: 50, env: { CORRAL_TREE: 'x.1' } })], 'corral'],
    [
      'marked, adopted, the leader alive',
      [{ pid: 49, name: 'node', ageSeconds: 90_000 }, rg({ pid: 50, sid: 49, env: { CORRAL_TREE: 'x.1' } })],
      'corral',
    ],
    ['marked, adopted, the leader dead', [rg({ pid: 50, sid: 49, env: { CORRAL_TREE: 'x.1' } })], 'terminate'],
    ['an environment that could not be read', [rg({ pid: 50, unread: ['env'] })], 'unknown-environment'],
    ['an environment without a mark', [rg({ pid: 50, env: { CLAUDECODE: '1' } })], 'terminate'],
  ])('%s', (_, rows, expected) => {
    expect(protectedBy(rows)).toBe(expected);
    expect(protectedBy(rows, { policy: seed })).toBe(expected);
  });
});

describe('coding agents', () => {
  it.each<[string, Partial<Row>]>([
    ['claude', { name: 'claude', args: ['claude'] }],
    ['claude, by argv[0]', { name: 'node', args: ['/usr/local/bin/claude'] }],
    ['claude, a version for a name', { name: '2.1.233', args: ['/h/.local/share/claude/versions/2.1.233'] }],
    ['claude, by its executable', { name: '2.1.233', args: ['x'], exe: '/h/.local/share/claude/versions/2.1.233' }],
    ['claude, its script in its package', { name: 'node', args: ['node', '/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js'] }],
    ['codex, a script', { name: 'node', args: ['node', '/usr/bin/codex'] }],
    ['codex, on Node 24', { name: 'MainThread', args: ['node', '/usr/bin/codex'] }],
    ['codex, behind options', { name: 'node', args: ['node', '--require', 'x.js', '--no-warnings', '/usr/bin/codex'] }],
    ['codex, a binary', { name: 'codex', args: ['/x/vendor/codex'] }],
    ['gemini', { name: 'node', args: ['/usr/bin/node', '/usr/bin/gemini'] }],
    ['gemini, with bun', { name: 'bun', args: ['bun', 'run', '/usr/bin/gemini.js'] }],
    ['cursor-agent', { name: 'node', args: ['cursor-agent', 'index.js'] }],
    ['opencode', { name: 'opencode', args: ['opencode'] }],
    ['copilot', { name: 'node', args: ['node', '/usr/bin/copilot'] }],
    ['aider', { name: 'aider', args: ['/usr/bin/python3', '/usr/bin/aider'] }],
    ['aider, a module', { name: 'python3', args: ['python3', '-m', 'aider'] }],
  ])('%s: what runs below it is in use', (_, agent) => {
    const rows: Row[] = [
      { pid: 48, ageSeconds: 90_000, ...agent },
      bash('sleep 1', { pid: 49, ppid: 48, ageSeconds: 89_000 }),
      rg({ pid: 50, ppid: 49 }),
    ];
    expect(protectedBy(rows)).toBe('agent-tree');
    expect(protectedBy(rows, { policy: seed })).toBe('terminate');
  });

  it.each<[string, Partial<Row>]>([
    ['a word of the command line', { name: 'node', args: ['node', 'server.js', 'claude', '--codex'] }],
    ['part of a path', { name: 'node', args: ['node', '/home/me/claude/server.js'] }],
    ['part of a name', { name: 'claude-mem', args: ['claude-mem'] }],
    ['another package', { name: 'node', args: ['node', '/x/node_modules/left-pad/cli.js'] }],
    ['text of -e', { name: 'node', args: ['node', '-e', 'claude'] }],
    ['a zombie', { name: 'claude', args: [], state: 'Z' }],
  ])('%s makes no agent', (_, parent) => {
    expect(protectedBy([{ pid: 49, ageSeconds: 90_000, ...parent }, rg({ pid: 50, ppid: 49 })])).toBe('terminate');
  });

  it('are never ended themselves, also by a class that names them', () => {
    for (const base of [guarded, seed]) {
      const policy = { ...base, rules: [{ id: 'x', type: 'x', reason: 'x', names: ['claude'], olderThanSeconds: 1 }] };
      expect(protectedBy([{ pid: 50, name: 'claude', args: ['claude'] }], { policy })).toBe('agent');
    }
  });

  it('that only the caller knows are agents as well', () => {
    const rows = [{ pid: 49, name: 'thing', args: ['thing'], ageSeconds: 90_000 }, rg({ pid: 50, ppid: 49 })];
    expect(protectedBy(rows, { facts: { agents: [49] } })).toBe('agent-tree');
  });

  const claude: Row = { pid: 48, name: 'claude', args: ['claude'], ageSeconds: 90_000 };
  it.each<[string, Row[], string]>([
    ['alive', [claude, rg({ pid: 50, env: { CLAUDE_PID: '48' } })], 'agent-session'],
    ['gone', [rg({ pid: 50, env: { CLAUDE_PID: '48' } })], 'terminate'],
    ['a zombie', [{ ...claude, state: 'Z', args: [] }, rg({ pid: 50, env: { CLAUDE_PID: '48' } })], 'terminate'],
    ['another process by now', [{ ...claude, ageSeconds: 100 }, rg({ pid: 50, env: { CLAUDE_PID: '48' } })], 'terminate'],
    ['no agent by now', [{ ...claude, name: 'cat', args: ['cat'] }, rg({ pid: 50, env: { CLAUDE_PID: '48' } })], 'terminate'],
    ['nonsense', [rg({ pid: 50, env: { CLAUDE_PID: 'x' } })], 'terminate'],
  ])('put into the background, CLAUDE_PID %s', (_, rows, expected) => expect(protectedBy(rows)).toBe(expected));
});

describe('a session of an agent', () => {
  const mine = { CLAUDE_CODE_SESSION_ID: 'mine', CLAUDE_PID: '901' };
  const facts = { session: 'mine' };
  it.each<[string, Row[], string]>([
    [
      'its own leftover, while it ends',
      [{ pid: 901, ppid: 900, name: 'claude', args: ['claude'], ageSeconds: 90_000 }, rg({ pid: 50, env: mine })],
      'terminate',
    ],
    ['of another session', [rg({ pid: 50, env: { CLAUDE_CODE_SESSION_ID: 'other' } })], 'other-session'],
    ['of none', [rg({ pid: 50, env: {} })], 'other-session'],
    ['not known', [rg({ pid: 50 })], 'other-session'],
  ])('%s', (_, rows, expected) => expect(protectedBy(rows, { facts })).toBe(expected));
});

describe('protected trees', () => {
  it.each<[string, Partial<Row>]>([
    ['pytest', { name: 'pytest', args: ['/usr/bin/python3', '/usr/bin/pytest', '-x'] }],
    ['python -m pytest', { name: 'python3', args: ['python3', '-m', 'pytest'] }],
    ['python -X dev -m pytest', { name: 'python3', args: ['python3', '-X', 'dev', '-m', 'pytest'] }],
    ['py.test', { name: 'py.test', args: ['python', '/usr/bin/py.test'] }],
    ['alembic', { name: 'alembic', args: ['/venv/bin/python', '/venv/bin/alembic', 'upgrade'] }],
    ['python -m alembic.config', { name: 'python', args: ['python', '-m', 'alembic.config'] }],
    ['docker-compose', { name: 'docker-compose', args: ['docker-compose', 'up'] }],
  ])('%s, in every mode', (_, parent) => {
    const rows: Row[] = [
      { pid: 48, ageSeconds: 90_000, ...parent },
      bash('x', { pid: 49, ppid: 48, ageSeconds: 89_000 }),
      rg({ pid: 50, ppid: 49 }),
    ];
    expect(protectedBy(rows)).toMatch(/^protected:(pytest|py\.test|alembic|docker-compose)$/);
    expect(protectedBy(rows, { policy: seed })).toMatch(/^protected:/);
  });

  it.each<[string, Partial<Row>]>([
    ['docker compose', { name: 'docker', args: ['docker', 'compose', 'up'] }],
    ['a container', { name: 'containerd-shim', args: ['/usr/bin/containerd-shim-runc-v2', '-id', 'x'] }],
    ['VS Code', { name: 'code', args: ['/usr/share/code/code', '--type=renderer'] }],
    [
      'a remote editor',
      { name: 'node', args: ['/home/me/.vscode-server/bin/abc/node', '/home/me/.vscode-server/bin/abc/out/server-main.js'] },
    ],
    ['nvim', { name: 'nvim', args: ['nvim'] }],
    ['git', { name: 'git', args: ['git', 'commit'] }],
    ['manage.py', { name: 'python', args: ['python', 'manage.py', 'migrate'] }],
    ['make', { name: 'make', args: ['make'] }],
    ['cron', { name: 'cron', args: ['/usr/sbin/cron', '-f'], uid: 0 }],
  ])('%s, in the guarded one', (_, parent) => {
    const rows: Row[] = [{ pid: 49, ageSeconds: 90_000, ...parent }, rg({ pid: 50, ppid: 49 })];
    expect(protectedBy(rows)).toMatch(/^protected:/);
    expect(protectedBy(rows, { policy: seed })).toBe('terminate');
  });

  it.each<[string, ProtectRule, Row[], string]>([
    [
      'a name of one’s own',
      { names: ['mine'], scope: 'tree' },
      [{ pid: 49, name: 'mine', args: ['mine'], ageSeconds: 90_000 }, rg({ pid: 50, ppid: 49 })],
      'protected:mine',
    ],
    [
      'scope self does not reach down',
      { names: ['mine'], scope: 'self' },
      [{ pid: 49, name: 'mine', args: ['mine'], ageSeconds: 90_000 }, rg({ pid: 50, ppid: 49 })],
      'terminate',
    ],
    ['scope self, itself', { names: ['rg'], scope: 'self' }, [rg({ pid: 50 })], 'protected:rg'],
    ['a pid', { pid: 50, scope: 'self' }, [rg({ pid: 50 })], 'protected:pid 50'],
    [
      'a pid above',
      { pid: 49, scope: 'tree' },
      [bash('x', { pid: 49, ageSeconds: 90_000 }), rg({ pid: 50, ppid: 49 })],
      'protected:pid 49',
    ],
    ['a command line', { match: new BoundedPattern('TO?DO'), scope: 'self' }, [rg({ pid: 50 })], 'protected:TO?DO'],
    ['another command line', { match: new BoundedPattern('FIXME'), scope: 'self' }, [rg({ pid: 50 })], 'terminate'],
    [
      'a command line too long to search',
      { match: new BoundedPattern('FIXME'), scope: 'self' },
      [rg({ pid: 50, args: ['rg', 'x'.repeat(5000)] })],
      'protected:FIXME',
    ],
    [
      'a search that does not end',
      { match: new BoundedPattern('(a+)+$'), scope: 'self' },
      [rg({ pid: 50, args: ['rg', `${'a'.repeat(4000)}b`] })],
      'protected:(a+)+$',
    ],
    ['a directory', { cwd: '/srv', scope: 'self' }, [rg({ pid: 50, cwd: '/srv/app' })], 'protected:/srv'],
    ['the directory itself', { cwd: '/srv', scope: 'self' }, [rg({ pid: 50, cwd: '/srv' })], 'protected:/srv'],
    ['a directory of a longer name', { cwd: '/srv', scope: 'self' }, [rg({ pid: 50, cwd: '/srv2' })], 'terminate'],
    ['the root directory', { cwd: '/', scope: 'self' }, [rg({ pid: 50, cwd: '/x' })], 'protected:/'],
    ['a directory that is not known', { cwd: '/srv', scope: 'self' }, [rg({ pid: 50 })], 'protected:/srv'],
    ['init’s directory, which nobody sees', { cwd: '/srv', scope: 'tree' }, [rg({ pid: 50, cwd: '/x' })], 'terminate'],
    [
      'a zombie above protects nobody',
      { names: ['mine'], scope: 'tree' },
      [{ pid: 49, name: 'mine', state: 'Z', args: [], ageSeconds: 90_000 }, rg({ pid: 50, ppid: 49 })],
      'terminate',
    ],
  ])('%s', (_, rule, rows, expected) => expect(protectedBy(rows, { policy: protecting(rule) })).toBe(expected));
});

describe('services, shells, strangers above', () => {
  it.each<[string, Row[], string]>([
    ['a service of systemd', [bash('/srv/.claude/d', { pid: 50, cgroup: '0::/system.slice/mine.service' })], 'service'],
    [
      'a service of the user',
      [
        { pid: 49, name: 'systemd', args: ['/lib/systemd/systemd', '--user'], ageSeconds: 90_000 },
        bash('/srv/.claude/d', { pid: 50, ppid: 49, cgroup: '0::/user.slice/user-1000.slice/user@1000.service/app.slice/mine.service' }),
      ],
      'service',
    ],
    [
      'below a terminal’s scope',
      [bash('x .claude', { pid: 50, cgroup: '0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-1.scope' })],
      'terminate',
    ],
    ['of the user manager', [bash('x .claude', { pid: 50, cgroup: '0::/user.slice/user-1000.slice/user@1000.service' })], 'terminate'],
    ['a member of a service that leads no session', [rg({ pid: 50, sid: 49, cgroup: '0::/system.slice/mine.service' })], 'terminate'],
    ['the shell of a terminal', [bash('x .claude', { pid: 50, tty: 34817 })], 'login-shell'],
    ['a shell in a terminal’s session', [bash('x .claude', { pid: 50, sid: 901, tty: 34816 })], 'terminate'],
    ['a parent that is not in the table', [rg({ pid: 50, ppid: 49 })], 'unknown-parent'],
    [
      'a grandparent that is not in the table',
      [bash('x', { pid: 49, ppid: 48, ageSeconds: 90_000 }), rg({ pid: 50, ppid: 49 })],
      'unknown-parent',
    ],
    ['a parent that is not known', [rg({ pid: 50, ppid: undefined })], 'unknown-parent'],
    ['a parent outside the namespace', [rg({ pid: 50, ppid: 0 })], 'unknown-parent'],
    [
      'an interpreter whose script is not known',
      [{ pid: 49, name: 'node', args: undefined, ageSeconds: 90_000 }, rg({ pid: 50, ppid: 49 })],
      'unknown-parent',
    ],
    ['init not shown to us (hidepid)', [{ pid: 1, name: undefined, args: undefined }, rg({ pid: 50 })], 'terminate'],
  ])('%s', (_, rows, expected) => {
    expect(protectedBy(rows)).toBe(expected);
    expect(protectedBy(rows, { policy: seed })).toBe('terminate');
  });

  it('a circle of parents ends', () => {
    const rows = [bash('x', { pid: 48, ppid: 49 }), bash('x', { pid: 49, ppid: 48 }), rg({ pid: 50, ppid: 49 })];
    expect(protectedBy(rows)).toBe('unknown-parent');
  });

  it('a parent younger than its child is somebody else', () => {
    expect(protectedBy([bash('x', { pid: 49, ageSeconds: 10 }), rg({ pid: 50, ppid: 49 })])).toBe('unknown-parent');
  });
});

it('every veto is said in words', () => {
  const verdict = classify(
    table({ pid: 49, name: 'pytest', args: ['pytest'], ageSeconds: 90_000 }, rg({ pid: 50, ppid: 49 })),
    guarded,
    FACTS,
  )[0];
  expect(verdict).toMatchObject({ action: 'spare', rule: 'ripgrep', protectedBy: 'protected:pytest' });
  expect(verdict?.evidence.at(-1)).toBe('it descends from 49 (pytest), protected by its name, pytest');
});

describe('what owner and keeper have left', () => {
  const OWNER: Row = { pid: 40, name: 'node', ageSeconds: 90_000 };
  const ticksOf = (row: Row) => Number(table(row).get(row.pid)?.startTicks);
  const treeMark = markOf({ pid: OWNER.pid, namespace: 0, ticks: ticksOf(OWNER), tree: 1 });
  const daemon: Row = { pid: 50, name: 'daemon', args: ['daemon'], treeMark };
  const keeper: Row = { pid: 48, name: 'corral-keeper', args: ['corral-keeper', 'x'], ageSeconds: 90_000 };
  const shell: Row = { pid: 49, name: 'bash', args: ['bash'], tty: 34817, ageSeconds: 89_000 };

  it.each<[string, Row[], string | undefined]>([
    ['nobody left: ended, environment or not', [daemon], 'terminate'],
    ['with the mark in its environment as well', [{ ...daemon, env: { CORRAL_TREE: 'x.1' } }], 'terminate'],
    ["a stranger under the owner's number", [{ ...OWNER, ageSeconds: 80_000.5 }, daemon], 'terminate'],
    ['only the zombie of the owner', [{ ...OWNER, state: 'Z' }, daemon], 'terminate'],
    ['the owner alive', [OWNER, daemon], undefined],
    ['the keeper alive', [keeper, { ...daemon, ppid: 48 }], 'corral'],
    ['at a terminal', [{ ...daemon, tty: 34817 }], 'terminal'],
    ['whether it has a terminal is not known', [{ ...daemon, tty: undefined }], 'terminal'],
    [
      'below a shell at a terminal',
      [
        { ...shell, treeMark },
        { ...daemon, ppid: 49 },
      ],
      'terminal',
    ],
    ['above a process at a terminal (an emulator)', [daemon, { ...shell, pid: 60, ppid: 50, sid: 60 }], 'terminal'],
    ['its owner not shown (hidepid=1)', [{ ...OWNER, state: undefined }, daemon], undefined],
    ['of another user', [{ ...daemon, uid: OTHER }], 'other-user'],
    ['younger than the least age', [{ ...daemon, ageSeconds: 59 }], 'min-age'],
    ['protected by name', [{ ...daemon, name: 'pytest' }], 'protected:pytest'],
    ['in the kernel, as whoever starts a program', [{ ...daemon, state: 'D' }], 'terminate'],
    ['without a mark', [{ ...daemon, treeMark: undefined }], undefined],
  ])('%s', (_, rows, expected) => expect(protectedBy(rows)).toBe(expected));

  it('speaks for an old rg whose owner lives, and not for one whose owner is gone', () => {
    expect(protectedBy([OWNER, rg({ pid: 50, treeMark })])).toBe('corral');
    expect(protectedBy([rg({ pid: 50, treeMark })])).toBe('terminate');
  });

  it('is no rule of the seed policy', () => expect(protectedBy([daemon], { policy: seed })).toBeUndefined());

  it('says what it rests on', () => {
    const [verdict] = classify(table(daemon), guarded, FACTS);
    expect(verdict).toMatchObject({ rule: 'abandoned', type: 'corral', reason: 'owner_and_keeper_gone' });
    expect(verdict?.evidence).toContain('mark of corral: started for process 40, which is gone');
  });
});
