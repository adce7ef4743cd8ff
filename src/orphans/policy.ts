/**
 * What counts as left behind and what is never touched, as data: the four rules, the names of agent CLIs and
 * editors, the default protections. Decides nothing; classify.ts and protect.ts do.
 */
import type { OrphanPolicy, OrphanRule, ProtectRule } from '../types.js';

export type Mode = OrphanPolicy['mode'];

/** What may be named in the configuration as `classes.<id>`; each is one rule. */
export const CLASS_IDS = ['ripgrep', 'ripgrep_tag', 'shell_zombie', 'shell_agent', 'abandoned'] as const;

/** Names that are taken: a configuration can not define a class of its own under them. */
export const RESERVED_CLASS_IDS: ReadonlySet<string> = new Set([
  'search',
  'shell',
  'busy_loop',
  'tool_child',
  'test_worker',
  'mcp_server',
  'browser',
  'dev_server',
  'lsp',
  'agent_cli',
  'deleted_cwd',
]);

/** What OrphanRule.require may name, each computed from the table (evidence.ts). A rule that requires anything else never fires. */
export const REQUIREMENTS = ['orphan', 'reparented', 'leader_dead', 'abandoned'] as const;

/**
 * What corral itself started for a program that is gone, its keeper too: SIGKILL or lack of memory took both. Only what carries the mark is
 * looked at. Not in mode `seed`, which has the four rules and nothing else.
 */
export const ABANDONED: OrphanRule = {
  id: 'abandoned',
  type: 'corral',
  reason: 'owner_and_keeper_gone',
  olderThanSeconds: 0,
  require: ['abandoned'],
};

export const DEFAULT_MIN_AGE_SECONDS = 60;

/**
 * The rules, first match wins: a ripgrep older than 300 s is `long_running` whatever it searches for. Thresholds are
 * strictly greater-than. Mode `seed` looks for the bare letters "rg" in a shell's command line, which also hits cargo,
 * merge and target; `guarded` wants rg in the place of a command.
 */
export function defaultRules(mode: Mode): OrphanRule[] {
  const ripgrep = ['rg', 'ripgrep'];
  const shell = ['bash', 'sh'];
  return [
    { id: 'ripgrep', type: 'ripgrep', reason: 'long_running', names: ripgrep, olderThanSeconds: 300 },
    {
      id: 'ripgrep_tag',
      type: 'ripgrep',
      reason: 'tag_analysis_stuck',
      names: ripgrep,
      match: /@(?:CODE:|SPEC:|TEST:|DOC:|TAG)/,
      olderThanSeconds: 180,
    },
    { id: 'shell_zombie', type: 'bash', reason: 'zombie_status', names: shell, state: 'Z', olderThanSeconds: 0 },
    {
      id: 'shell_agent',
      type: 'bash',
      reason: 'long_running_claude_related',
      names: shell,
      olderThanSeconds: 600,
      ...(mode === 'seed' ? { match: /\.claude|rg/ } : { match: /\.claude/, commands: ['rg'] }),
    },
    ...(mode === 'seed' ? [] : [ABANDONED]),
  ];
}

/**
 * Coding-agent CLIs, by the basename of program or script, or by the npm package the script lies in. A live one and
 * (guarded) all its descendants are in use.
 */
export const AGENT_NAMES: ReadonlySet<string> = new Set([
  'aider',
  'amp',
  'antigravity',
  'auggie',
  'claude',
  'cline',
  'codex',
  'copilot',
  'crush',
  'cursor-agent',
  'droid',
  'gemini',
  'goose',
  'kilocode',
  'kimi',
  'kiro-cli',
  'opencode',
  'openhands',
  'pi',
  'plandex',
  'qwen',
  'rovodev',
  '@anthropic-ai/claude-code',
  '@augmentcode/auggie',
  '@github/copilot',
  '@google/gemini-cli',
  '@kilocode/cli',
  '@openai/codex',
  '@qwen-code/qwen-code',
  '@sourcegraph/amp',
  'opencode-ai',
]);

/** Where an agent's own binary lies when neither its name nor its package says so (the file is named after the version). */
export const AGENT_PATH = /\/claude\/versions\/[^/]+$/;

/** Editors run ripgrep for their search views, for as long as they please. */
const EDITORS = [
  'code',
  'code-insiders',
  'code-oss',
  'code-server',
  'code-tunnel',
  'codium',
  'cursor',
  'emacs',
  'emacsclient',
  'fleet',
  'helix',
  'hx',
  'idea',
  'nvim',
  'openvscode-server',
  'subl',
  'sublime_text',
  'vim',
  'windsurf',
  'zed',
  'zed-editor',
];
/** The remote halves of editors: node programs below a directory of their own. */
const EDITOR_SERVER = /\/\.(?:vscode|vscodium|cursor|windsurf|zed)[a-z-]*server[a-z-]*\//;

/** The first three are the protections every mode has. */
export const SEED_PROTECTIONS: readonly ProtectRule[] = [{ names: ['pytest', 'py.test', 'alembic', 'docker-compose'], scope: 'tree' }];

export const DEFAULT_PROTECTIONS: readonly ProtectRule[] = [
  ...SEED_PROTECTIONS,
  { names: EDITORS, scope: 'tree' },
  { match: EDITOR_SERVER, scope: 'tree' },
  // Containers and infrastructure: their children are somebody else's business.
  {
    names: [
      'docker',
      'dockerd',
      'docker-init',
      'containerd',
      'containerd-shim',
      'containerd-shim-runc-v2',
      'conmon',
      'crun',
      'runc',
      'podman',
      'buildah',
      'nerdctl',
      'kubectl',
      'kubelet',
      'helm',
      'terraform',
      'tofu',
      'ansible-playbook',
      'vagrant',
      'qemu-system-x86_64',
      'lxc-start',
    ],
    scope: 'tree',
  },
  // Changes of a database that must not stop half-way.
  { names: ['flyway', 'liquibase', 'prisma', 'rails', 'rake', 'manage.py', 'pg_dump', 'pg_restore', 'mysqldump'], scope: 'tree' },
  // Version control, packages, builds: a shell or rg below one is a step of it.
  {
    names: [
      'git',
      'git-lfs',
      'hg',
      'jj',
      'svn',
      'apt',
      'apt-get',
      'dpkg',
      'rpm',
      'dnf',
      'yum',
      'apk',
      'pacman',
      'brew',
      'nix',
      'npm',
      'pnpm',
      'yarn',
      'pip',
      'pip3',
      'uv',
      'poetry',
      'cargo',
      'make',
      'gmake',
      'cmake',
      'ninja',
      'bazel',
      'gradle',
      'gradlew',
      'mvn',
      'ccache',
      'sccache',
    ],
    scope: 'tree',
  },
  { names: ['rsync', 'scp', 'sftp', 'borg', 'restic', 'duplicity', 'rclone'], scope: 'tree' },
  // CI runners and process managers: they end what they start.
  {
    names: [
      'Runner.Listener',
      'Runner.Worker',
      'gitlab-runner',
      'buildkite-agent',
      'jenkins',
      'act_runner',
      'pm2',
      'forever',
      'supervisord',
      'nodemon',
      'cron',
      'crond',
      'atd',
      'anacron',
    ],
    scope: 'tree',
  },
  // These are never ended themselves; what a terminal or a session runs is judged on its own.
  {
    names: [
      'tmux',
      'tmux: server',
      'tmux: client',
      'screen',
      'SCREEN',
      'zellij',
      'mosh-server',
      'sshd',
      'ssh',
      'ssh-agent',
      'gpg-agent',
      'systemd',
      '(sd-pam)',
      'dbus-daemon',
      'dbus-broker',
      'dbus-launch',
      'login',
      'su',
      'sudo',
      'postgres',
      'mysqld',
      'mariadbd',
      'mongod',
      'redis-server',
      'sqlite3',
    ],
    scope: 'self',
  },
];

/** The policy without any configuration. */
export function defaultPolicy(mode: Mode = 'guarded'): OrphanPolicy {
  return {
    mode,
    rules: defaultRules(mode),
    protect: [...(mode === 'seed' ? SEED_PROTECTIONS : DEFAULT_PROTECTIONS)],
    minAgeSeconds: DEFAULT_MIN_AGE_SECONDS,
  };
}
