/** A hook with nothing to do: the whole process, from exec to exit, and its memory; 80 other processes on the machine. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { contest } from '../lib/contest.mjs';
import { withHerd } from '../lib/herd.mjs';
import { makeRow } from '../lib/rows.mjs';

const OTHERS = 80;
const LIBRARIES = { 'node-execa': ['execa'], 'node-libraries': ['execa', 'pino', 'zod', 'commander'] };
const PSUTIL_SCRIPT =
  'import psutil, sys; sys.stdin.read(0); [p.info for p in psutil.process_iter(["pid", "ppid", "name", "cmdline", "create_time"])]; print("{}")';

export async function run({ cast, quick, say }) {
  say('hook cold start');
  const { tools } = cast;
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-bench-hook-'));
  const project = path.join(directory, 'project');
  mkdirSync(path.join(project, '.claude'), { recursive: true });
  const file = (name, text) => {
    writeFileSync(path.join(directory, name), text);
    return path.join(directory, name);
  };
  const input = file(
    'session-start.json',
    JSON.stringify({ session_id: 'bench', hook_event_name: 'SessionStart', source: 'startup', cwd: project }),
  );
  const empty = file('empty.cjs', '');
  const env = { CLAUDE_PROJECT_DIR: project };
  // A pipe that somebody has open for writing, and nobody writes to: as long as this descriptor is open, which is both.
  const silence = path.join(directory, 'silence');
  execFileSync('mkfifo', [silence]);
  const writer = openSync(silence, 'r+');
  const timed = (id, label, command, missing, stdin = input) => ({
    id,
    label,
    missing,
    env,
    command: [tools.limit.whole, '8', stdin, ...command],
  });
  const importing = (id) => {
    const imports = LIBRARIES[id].map((name) => `import '${name}';`).join('\n');
    const script = tools.peers && path.join(tools.peers, `${id}.mjs`);
    if (script) writeFileSync(script, imports);
    return timed(id, `node, loading ${LIBRARIES[id].join(', ')}`, [process.execPath, script], tools.missing.peers);
  };
  const hook = [process.execPath, tools.cli, 'hook'];
  const results = await withHerd(tools, OTHERS, () =>
    contest(
      [
        timed('limit-node', 'limit: node empty.cjs', [process.execPath, empty]),
        timed('corral-hook', 'corral hook', hook, tools.missing.corral),
        timed('corral-open', 'corral hook, stdin silent and never closed', hook, tools.missing.corral, silence),
        timed('psutil', 'Python script with psutil', [tools.python, '-c', PSUTIL_SCRIPT], tools.missing.psutil),
        ...Object.keys(LIBRARIES).map(importing),
        timed('reference-bun', 'bun empty.cjs', [tools.bun, empty], tools.missing.bun),
      ],
      { rounds: quick ? 2 : 24, budgetMs: quick ? 25_000 : 150_000 },
    ),
  );
  closeSync(writer);
  rmSync(directory, { recursive: true, force: true });
  const ids = ['limit-node', 'corral-hook', 'corral-open', 'psutil', ...Object.keys(LIBRARIES), 'reference-bun'];
  const row = (spec) => makeRow({ suite: 'hook', results, ids, divide: 1000, ...spec });
  return [
    row({
      id: 'hook',
      title: 'hook cold start, nothing to do: whole process',
      unit: 'ms',
      metric: 'wallUs',
      goals: [{ text: '≤ 1.25 × node alone', subjects: ['corral-hook'], of: 'limit-node', atMost: 1.25 }],
    }),
    row({ id: 'hook-rss', title: 'hook: peak memory', unit: 'MB', metric: 'rssKb' }),
  ];
}
