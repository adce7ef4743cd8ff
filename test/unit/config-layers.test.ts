import { describe, expect, it } from 'vitest';
import { type CleanupConfig, environmentLayer, flagsLayer, type Layer, mergeLayers } from '../../src/orphans/config-layers.js';
import { BoundedPattern } from '../../src/orphans/pattern.js';
import { DEFAULT_PROTECTIONS, defaultPolicy, SEED_PROTECTIONS } from '../../src/orphans/policy.js';

const layer = (kind: Layer['kind'], value: unknown): Layer => ({ kind, origin: `${kind}.json`, value });
const user = (value: unknown) => mergeLayers([layer('user', value)], '/p');
const project = (value: unknown, userValue: unknown = {}) => mergeLayers([layer('project', value), layer('user', userValue)], '/p');
const ageOf = (config: CleanupConfig, id: string) => config.policy.rules.find((rule) => rule.id === id)?.olderThanSeconds;

describe('defaults', () => {
  it('are those of the documentation', () => {
    expect(mergeLayers([], '/p')).toEqual({
      projectRoot: '/p',
      policy: defaultPolicy('guarded'),
      minAgeSeconds: 60,
      maxKills: 20,
      termGraceMs: 3000,
      killWaitMs: 1000,
      notifyThreshold: 10,
      hooks: { timeoutMs: 5000, gracefulDegradation: true },
      log: { path: null, keep: 30 },
      dryRun: false,
      reportOnly: false,
      warnings: [],
      sources: [],
    });
  });

  it('have the four rules with their thresholds, in order, and what corral itself has lost', () => {
    const rules = (mode?: 'seed') => defaultPolicy(mode).rules.map((rule) => [rule.id, rule.type, rule.reason, rule.olderThanSeconds]);
    expect(rules()).toEqual([...rules('seed'), ['abandoned', 'corral', 'owner_and_keeper_gone', 0]]);
    expect(rules('seed')).toEqual([
      ['ripgrep', 'ripgrep', 'long_running', 300],
      ['ripgrep_tag', 'ripgrep', 'tag_analysis_stuck', 180],
      ['shell_zombie', 'bash', 'zombie_status', 0],
      ['shell_agent', 'bash', 'long_running_claude_related', 600],
    ]);
  });

  it('protect pytest, alembic and docker-compose first', () => {
    expect(DEFAULT_PROTECTIONS[0]?.names).toEqual(expect.arrayContaining(['pytest', 'alembic', 'docker-compose']));
    expect(DEFAULT_PROTECTIONS[0]?.scope).toBe('tree');
  });
});

describe('the user may', () => {
  it.each<[string, unknown, (config: CleanupConfig) => unknown, unknown]>([
    ['choose the seed policy', { policy: 'seed' }, (config) => config.policy, defaultPolicy('seed')],
    ['ask for a dry run', { dry_run: true }, (config) => config.dryRun, true],
    ['limit the kills', { max_kills: 5 }, (config) => config.maxKills, 5],
    ['forbid kills', { max_kills: 0 }, (config) => config.maxKills, 0],
    ['set the grace', { term_grace_ms: 100 }, (config) => config.termGraceMs, 100],
    ['set the wait after SIGKILL', { kill_wait_ms: 100 }, (config) => config.killWaitMs, 100],
    ['lower the least age', { min_age_seconds: 0 }, (config) => config.minAgeSeconds, 0],
    ['lower a threshold', { classes: { ripgrep: { max_age_seconds: 0 } } }, (config) => ageOf(config, 'ripgrep'), 0],
    ['disable a class', { classes: { shell_agent: { enabled: false } } }, (config) => ageOf(config, 'shell_agent'), undefined],
    ['only report a class', { classes: { ripgrep: { action: 'report' } } }, (config) => config.policy.rules[0]?.action, 'report'],
    ['set the notice', { notify_threshold: 3 }, (config) => config.notifyThreshold, 3],
    ['set the deadline', { hooks: { timeout_ms: 2000 } }, (config) => config.hooks.timeoutMs, 2000],
    ['want failures to fail', { hooks: { graceful_degradation: false } }, (config) => config.hooks.gracefulDegradation, false],
    ['name the log', { log: { path: '/var/log/c.json' } }, (config) => config.log.path, '/var/log/c.json'],
    ['keep more of it', { log: { keep: 100 } }, (config) => config.log.keep, 100],
  ])('%s', (_, value, read, expected) => {
    const config = user(value);
    expect(read(config)).toEqual(expected);
    expect(config.warnings).toEqual([]);
    expect(config.reportOnly).toBe(false);
  });

  it('protect by name, command line, directory and pid', () => {
    const config = user({
      protect: [{ name: 'mine' }, { cmdline: 'al+embic', scope: 'self' }, { cwd: '/srv/', scope: 'self' }, { pid: 1234, scope: 'tree' }],
    });
    expect(config.policy.protect.slice(DEFAULT_PROTECTIONS.length)).toEqual([
      { names: ['mine'], scope: 'tree' },
      { match: expect.any(BoundedPattern), scope: 'self' },
      { cwd: '/srv', scope: 'self' },
      { pid: 1234, scope: 'tree' },
    ]);
  });

  it('protect in the seed policy as well', () => {
    const { protect } = user({ policy: 'seed', protect: [{ name: 'mine' }] }).policy;
    expect(protect).toEqual([...SEED_PROTECTIONS, { names: ['mine'], scope: 'tree' }]);
  });

  it('define a class', () => {
    const config = user({
      classes: { my_tool: { names: ['mytool'], cmdline: 'serve', max_age_seconds: 900, require: ['orphan'], action: 'terminate' } },
    });
    expect(config.warnings).toEqual([]);
    expect(config.policy.rules.at(-1)).toEqual({
      id: 'my_tool',
      type: 'my_tool',
      reason: 'long_running',
      names: ['mytool'],
      match: expect.any(BoundedPattern),
      olderThanSeconds: 900,
      require: ['orphan'],
      action: 'terminate',
    });
  });

  it('give a $schema', () => expect(user({ $schema: 'x' }).warnings).toEqual([]));
});

describe('the project may', () => {
  it.each<[string, unknown, unknown, (config: CleanupConfig) => unknown, unknown]>([
    ['raise a threshold', { classes: { ripgrep: { max_age_seconds: 900 } } }, {}, (config) => ageOf(config, 'ripgrep'), 900],
    [
      'raise one the user lowered',
      { classes: { ripgrep: { max_age_seconds: 200 } } },
      { classes: { ripgrep: { max_age_seconds: 100 } } },
      (config) => ageOf(config, 'ripgrep'),
      200,
    ],
    ['raise the least age', { min_age_seconds: 120 }, {}, (config) => config.minAgeSeconds, 120],
    ['disable a class', { classes: { shell_agent: { enabled: false } } }, {}, (config) => ageOf(config, 'shell_agent'), undefined],
    [
      "disable a class of the user's",
      { classes: { mine: { enabled: false } } },
      { classes: { mine: { names: ['x'], max_age_seconds: 1 } } },
      (config) => ageOf(config, 'mine'),
      undefined,
    ],
    ['protect', { protect: [{ name: 'mine' }] }, {}, (config) => config.policy.protect.at(-1), { names: ['mine'], scope: 'tree' }],
    ['set dry_run', { dry_run: true }, { dry_run: false }, (config) => config.dryRun, true],
  ])('%s', (_, value, userValue, read, expected) => {
    const config = project(value, userValue);
    expect(read(config)).toEqual(expected);
    expect(config.warnings).toEqual([]);
    expect(config.reportOnly).toBe(false);
  });
});

describe('the project may not', () => {
  const userValue = { dry_run: true, min_age_seconds: 90, classes: { ripgrep: { max_age_seconds: 400, enabled: false } } };
  it.each<[string, unknown]>([
    ['policy', { policy: 'seed' }],
    ['dry_run', { dry_run: false }],
    ['max_kills', { max_kills: 500 }],
    ['term_grace_ms', { term_grace_ms: 0 }],
    ['kill_wait_ms', { kill_wait_ms: 0 }],
    ['min_age_seconds', { min_age_seconds: 0 }],
    ['min_age_seconds', { min_age_seconds: 89 }],
    ['thresholds', { thresholds: 'static' }],
    ['classes.ripgrep.max_age_seconds', { classes: { ripgrep: { max_age_seconds: 399 } } }],
    ['classes.ripgrep_tag.max_age_seconds', { classes: { ripgrep_tag: { max_age_seconds: 0 } } }],
    ['classes.ripgrep.enabled', { classes: { ripgrep: { enabled: true } } }],
    ['classes.ripgrep.action', { classes: { ripgrep: { action: 'terminate' } } }],
    ['classes.all', { classes: { all: { names: ['node'], max_age_seconds: 0 } } }],
    ['notify_threshold', { notify_threshold: 100 }],
    ['hooks', { hooks: { timeout_ms: 60000 } }],
    ['log', { log: { path: '/etc/passwd' } }],
  ])('%s %j', (key, value) => {
    const { warnings, sources: _, ...config } = project(value, userValue);
    const { warnings: __, sources: ___, ...expected } = user(userValue);
    expect(config).toEqual(expected);
    expect(warnings).toEqual([expect.stringContaining(`project.json: ${key}: a project may only make the cleanup stricter`)]);
  });
});

describe('what is not understood', () => {
  it.each<[string, unknown, string]>([
    ['policy', { policy: 'soft' }, 'user.json: policy: expected "guarded" or "seed", received "soft"'],
    ['dry_run', { dry_run: 'yes' }, 'user.json: dry_run: expected true or false, received "yes"'],
    ['max_kills', { max_kills: '5' }, 'user.json: max_kills: expected a number from 0 to 1000, received "5"'],
    ['min_age_seconds', { min_age_seconds: null }, 'user.json: min_age_seconds: expected a number'],
    ['classes', { classes: [] }, 'user.json: classes: expected an object'],
    ['a class', { classes: { ripgrep: 900 } }, 'user.json: classes.ripgrep: expected an object, received number 900'],
    [
      'an age',
      { classes: { ripgrep: { max_age_seconds: '900' } } },
      'classes.ripgrep.max_age_seconds: expected a number of seconds, 0 or more, received "900"',
    ],
    ['a negative age', { classes: { ripgrep: { max_age_seconds: -1 } } }, 'classes.ripgrep.max_age_seconds: expected a number of seconds'],
    ['enabled', { classes: { ripgrep: { enabled: 0 } } }, 'classes.ripgrep.enabled: expected true or false, received number 0'],
    [
      'an action',
      { classes: { ripgrep: { action: 'kill' } } },
      'classes.ripgrep.action: expected "terminate" or "report", received "kill"',
    ],
    ['a class about nothing', { classes: { mine: { max_age_seconds: 1 } } }, 'classes.mine: expected names or cmdline'],
    ['a class without an age', { classes: { mine: { names: ['x'] } } }, 'classes.mine: expected max_age_seconds'],
    [
      'a requirement',
      { classes: { mine: { names: ['x'], max_age_seconds: 1, require: ['hot'] } } },
      'classes.mine.require: expected "orphan" or',
    ],
    ['a pattern', { classes: { mine: { cmdline: '(', max_age_seconds: 1 } } }, 'classes.mine.cmdline: expected a regular expression'],
    [
      'a long pattern',
      { protect: [{ cmdline: 'x'.repeat(257) }] },
      'protect[0].cmdline: expected a regular expression (it is longer than 256',
    ],
    ['protect', { protect: { name: 'x' } }, 'user.json: protect: expected an array'],
    ['a protection', { protect: ['pytest'] }, 'user.json: protect[0]: expected an object, received "pytest"'],
    ['an empty protection', { protect: [{ scope: 'tree' }] }, 'user.json: protect[0]: expected name, cmdline, cwd or pid'],
    [
      'a misspelled protection',
      { protect: [{ names: 'pytest' }] },
      'user.json: protect[0].names: expected name, cmdline, cwd, pid or scope',
    ],
    ['a scope', { protect: [{ name: 'x', scope: 'all' }] }, 'user.json: protect[0].scope: expected "self" or "tree", received "all"'],
    ['a relative directory', { protect: [{ cwd: 'src' }] }, 'user.json: protect[0].cwd: expected an absolute path, received "src"'],
    ['a pid', { protect: [{ pid: '12' }] }, 'user.json: protect[0].pid: expected a process id, received "12"'],
  ])('and could protect means report only: %s', (_, value, warning) => {
    const config = user(value);
    expect(config.warnings).toEqual([expect.stringContaining(warning)]);
    expect(config.warnings[0]).toContain('nothing is ended until it is mended');
    expect(config.reportOnly).toBe(true);
    expect(config.policy.protect).toEqual(expect.arrayContaining([...DEFAULT_PROTECTIONS]));
  });

  it.each<[string, unknown, string]>([
    ['an unknown key', { max_kill: 5 }, 'user.json: max_kill: unknown key, ignored'],
    ['an unknown key of a class', { classes: { ripgrep: { names: ['x'] } } }, 'user.json: classes.ripgrep.names: unknown key, ignored'],
    ['a class to come', { classes: { search: { max_age_seconds: 5 } } }, 'user.json: classes.search: this version has no such class'],
    ['thresholds to come', { thresholds: 'dynamic' }, 'user.json: thresholds: this version has "static" only'],
    ['term_grace_ms', { term_grace_ms: 'long' }, 'user.json: term_grace_ms: expected a number from 0 to 60000, received "long"; ignored'],
    ['hooks', { hooks: 5 }, 'user.json: hooks: expected an object, received number 5; ignored'],
    ['a log path', { log: { path: 'log.json' } }, 'user.json: log.path: expected an absolute path or null, received "log.json"; ignored'],
    ['a key of log', { log: { file: '/x' } }, 'user.json: log.file: unknown key, ignored'],
  ])('but protects nothing is ignored with a warning: %s', (_, value, warning) => {
    const { warnings, sources: __, ...config } = user(value);
    const { warnings: ___, sources: ____, ...defaults } = mergeLayers([], '/p');
    expect(warnings).toEqual([expect.stringContaining(warning)]);
    expect(config).toEqual(defaults);
  });

  it('does not hide the rest of the file', () => {
    const config = user({
      classes: { ripgrep: { max_age_seconds: 'x' }, shell_agent: { max_age_seconds: 900 } },
      protect: [1, { name: 'mine' }],
    });
    expect(ageOf(config, 'shell_agent')).toBe(900);
    expect(config.policy.protect.at(-1)).toEqual({ names: ['mine'], scope: 'tree' });
    expect(config.warnings).toHaveLength(2);
  });

  it.each(['moai', 'project', 'user'] as const)('a broken %s file: report only, said', (kind) => {
    for (const broken of [
      { kind, origin: 'f.json', problem: 'expected JSON: x' },
      layer(kind, []),
      layer(kind, null),
      layer(kind, 'text'),
    ]) {
      const config = mergeLayers([broken], '/p');
      expect(config.reportOnly).toBe(true);
      expect(config.warnings).toEqual([expect.stringContaining(broken.origin)]);
      expect(config.sources).toEqual([{ kind, origin: broken.origin, state: 'broken' }]);
    }
  });

  it('no name of an object prototype is a key', () => {
    expect(user(JSON.parse('{"__proto__": {"a": 1}, "constructor": 1, "toString": 1}')).warnings).toHaveLength(3);
    expect(environmentLayer({})).toEqual({ kind: 'environment', origin: 'environment (CORRAL_*)' });
  });
});

describe('numbers out of range are clamped, and said', () => {
  it.each<[unknown, (config: CleanupConfig) => number, number]>([
    [{ max_kills: 100_000 }, (config) => config.maxKills, 1000],
    [{ max_kills: -1 }, (config) => config.maxKills, 0],
    [{ term_grace_ms: -1 }, (config) => config.termGraceMs, 0],
    [{ kill_wait_ms: 1e9 }, (config) => config.killWaitMs, 60_000],
    [{ min_age_seconds: -5 }, (config) => config.minAgeSeconds, 0],
    [{ hooks: { timeout_ms: 1 } }, (config) => config.hooks.timeoutMs, 100],
    [{ hooks: { timeout_ms: 1e9 } }, (config) => config.hooks.timeoutMs, 60_000],
    [{ log: { keep: 0 } }, (config) => config.log.keep, 1],
  ])('%j', (value, read, expected) => {
    const config = user(value);
    expect(read(config)).toBe(expected);
    expect(config.warnings).toEqual([expect.stringContaining(`; ${expected} is used`)]);
  });
});

describe('.moai/config.json', () => {
  const moai = (value: unknown) => mergeLayers([layer('moai', value)], '/p');

  it('is honoured as it is, and nobody else’s keys are complained of', () => {
    const config = moai({
      hooks: { timeout_ms: 2000, graceful_degradation: false, notes: 'x' },
      auto_cleanup: { enabled: true },
      classes: 5,
      protect: 5,
    });
    expect(config.hooks).toEqual({ timeoutMs: 2000, gracefulDegradation: false });
    expect(config.warnings).toEqual([]);
    expect(config.policy).toEqual(defaultPolicy());
  });

  it.each([['2000'], [0], [-5], [Number.NaN], [null], [true], [Number.POSITIVE_INFINITY]])(
    'timeout_ms %j: the default, with a warning',
    (timeout) => {
      const config = moai({ hooks: { timeout_ms: timeout } });
      expect(config.hooks.timeoutMs).toBe(5000);
      expect(config.warnings).toEqual([expect.stringContaining('hooks.timeout_ms: expected a positive number of milliseconds')]);
      expect(config.reportOnly).toBe(false);
    },
  );

  it('without hooks says nothing', () => expect(moai({ project: {} }).warnings).toEqual([]));
});

describe('precedence', () => {
  const timeout = (value: number) => ({ hooks: { timeout_ms: value } });
  const all: Layer[] = [
    flagsLayer({ timeoutMs: 5001 }),
    environmentLayer({ CORRAL_TIMEOUT_MS: '4001' }),
    layer('user', timeout(3001)),
    layer('moai', timeout(1001)),
  ];
  it.each([
    [all, 5001],
    [all.slice(1), 4001],
    [all.slice(2), 3001],
    [all.slice(3), 1001],
    [[], 5000],
  ])('of timeout_ms: %#', (layers, expected) => expect(mergeLayers(layers, '/p').hooks.timeoutMs).toBe(expected));

  it('flags and environment override what the project restricted', () => {
    const restricted = layer('project', { dry_run: true });
    expect(mergeLayers([restricted, environmentLayer({ CORRAL_DRY_RUN: 'no' })], '/p').dryRun).toBe(false);
    expect(mergeLayers([restricted, flagsLayer({ dryRun: false })], '/p').dryRun).toBe(false);
    expect(mergeLayers([restricted, flagsLayer({ maxKills: 3 })], '/p').dryRun).toBe(true);
  });
});

describe('variables', () => {
  it.each<[string, string, (config: CleanupConfig) => unknown, unknown]>([
    ['CORRAL_POLICY', 'seed', (config) => config.policy.mode, 'seed'],
    ['CORRAL_DRY_RUN', '1', (config) => config.dryRun, true],
    ['CORRAL_DRY_RUN', 'true', (config) => config.dryRun, true],
    ['CORRAL_MAX_KILLS', '3', (config) => config.maxKills, 3],
    ['CORRAL_TERM_GRACE_MS', '250', (config) => config.termGraceMs, 250],
    ['CORRAL_KILL_WAIT_MS', '250', (config) => config.killWaitMs, 250],
    ['CORRAL_MIN_AGE_SECONDS', '0', (config) => config.minAgeSeconds, 0],
    ['CORRAL_NOTIFY_THRESHOLD', '1', (config) => config.notifyThreshold, 1],
    ['CORRAL_TIMEOUT_MS', '700', (config) => config.hooks.timeoutMs, 700],
    ['CORRAL_GRACEFUL_DEGRADATION', 'off', (config) => config.hooks.gracefulDegradation, false],
    ['CORRAL_LOG_PATH', '/x/log.json', (config) => config.log.path, '/x/log.json'],
    ['CORRAL_LOG_KEEP', '5', (config) => config.log.keep, 5],
  ])('%s=%s', (name, text, read, expected) => {
    const config = mergeLayers([environmentLayer({ [name]: text })], '/p');
    expect(config.warnings).toEqual([]);
    expect(read(config)).toBe(expected);
  });

  it('that are not understood are complained of like a file', () => {
    const config = mergeLayers([environmentLayer({ CORRAL_MAX_KILLS: 'many', CORRAL_DRY_RUN: 'perhaps', CORRAL_TIMEOUT_MS: 'x' })], '/p');
    expect(config.reportOnly).toBe(true);
    expect(config.warnings).toEqual([
      'environment (CORRAL_*): dry_run: expected true or false, received "perhaps"; nothing is ended until it is mended',
      'environment (CORRAL_*): max_kills: expected a number from 0 to 1000, received "many"; nothing is ended until it is mended',
      'environment (CORRAL_*): hooks.timeout_ms: expected a positive number of milliseconds, received "x"; ignored',
    ]);
  });

  it('of other meaning do not count', () =>
    expect(environmentLayer({ CORRAL_TREE: 'x', CORRAL_TEST_CONTAINED: '1', CORRAL_POLICY: '' }).value).toBeUndefined());
});
