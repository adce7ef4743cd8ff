/** Listing all processes with their arguments, the event loop meanwhile, and the members of one group. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { contest } from '../lib/contest.mjs';
import { withHerd } from '../lib/herd.mjs';
import { makeRow } from '../lib/rows.mjs';

const PEERS = ['plain-js', 'pidusage', 'ps', 'psutil', 'ps-list', 'find-process', 'systeminformation'];
const CORRAL = ['corral-snapshot', 'corral-listProcesses'];
const FEWER_FIELDS = {
  pidusage: 'pidusage (stat only)',
  psutil: 'psutil (no group, no session)',
  'ps-list': 'ps-list (no group, no session)',
};
const GAP_MS = 20;
/** It answers from a cache for half a second. */
const SYSTEMINFORMATION_GAP_MS = 600;
const BUDGET_MS = 1500;
const GROUP = 100;

export async function run({ cast, quick, say }) {
  const rows = [];
  for (const processes of quick ? [200, 1000] : [200, 1000, 5000]) {
    say(`scan, ${processes} processes`);
    const task = { processes, count: quick ? 5 : 10, gapMs: GAP_MS, budgetMs: BUDGET_MS };
    rows.push(...(await withHerd(cast.tools, processes, () => scanRows({ cast, task, rounds: quick ? 2 : 5 }))));
  }
  say('members of a group');
  rows.push(await withHerd(cast.tools, 1000, () => membersRow({ cast, quick })));
  return rows;
}

async function scanRows({ cast, task, rounds }) {
  const { processes } = task;
  const results = await contest(
    [
      cast.limit('limit', 'C, one thread, stat + cmdline', 'scan', ['args', 1, task.count]),
      cast.limit('limit-two', 'C, two threads', 'scan', ['args', 2, task.count]),
      ...[...CORRAL, ...PEERS].map((id) =>
        cast.worker('scan', id, id === 'systeminformation' ? { ...task, gapMs: SYSTEMINFORMATION_GAP_MS } : task, {
          label: FEWER_FIELDS[id] ?? cast.label(id),
        }),
      ),
    ],
    { rounds, budgetMs: 25_000, deadlineMs: 25_000 },
  );
  // An idle loop is as late as its least disturbed contestant says.
  const idle = [...results.values()].map(({ metrics }) => metrics.idleMs).filter(Boolean);
  results.set('limit-idle', { label: 'idle loop', metrics: { delayMs: idle.sort((a, b) => a.value - b.value)[0] } });
  return [
    makeRow({
      id: `scan-${processes}`,
      suite: 'scan',
      title: `scan ${processes} processes: pid, ppid, pgid, sid, state, start, name, args`,
      unit: 'ms',
      results,
      ids: ['limit', 'limit-two', ...CORRAL, ...PEERS],
      metric: 'wallUs',
      divide: 1000,
      goals: processes === 1000 ? [{ text: '≤ 1.15 × one-thread limit', subjects: CORRAL, of: 'limit', atMost: 1.15 }] : [],
    }),
    makeRow({
      id: `scan-delay-${processes}`,
      suite: 'scan',
      title: `scan ${processes} processes: longest delay of the event loop`,
      unit: 'ms',
      results,
      ids: ['limit-idle', ...CORRAL, ...PEERS.filter((id) => id !== 'psutil')],
      metric: 'delayMs',
      goals: processes === 1000 ? [{ text: '≤ idle + 2 ms', subjects: CORRAL, of: 'limit-idle', atMost: 1, plus: 2 }] : [],
    }),
  ];
}

async function membersRow({ cast, quick }) {
  const directory = mkdtempSync(path.join(tmpdir(), 'corral-bench-members-'));
  // The first few calls of a program take half as long again: V8 has not compiled what makes a hundred objects yet.
  const count = quick ? 10 : 40;
  const task = { members: GROUP, count, gapMs: GAP_MS, directory };
  const fresh = (entry) => ({
    ...entry,
    command: entry.command && ['sh', '-c', 'rm -f "$0/ready" && exec "$@"', directory, ...entry.command],
  });
  const peers = ['pgrep', 'pidtree'];
  const corral = ['corral-members', 'corral-snapshot'];
  const results = await contest(
    [
      cast.limit('limit', 'C, getpgid for every pid', 'members', [cast.tools.limit.herd, GROUP, count, path.join(directory, 'ready')]),
      ...[...corral, ...peers].map((id) => cast.worker('members', id, task)),
    ].map(fresh),
    { rounds: quick ? 2 : 5, budgetMs: 10_000 },
  );
  rmSync(directory, { recursive: true, force: true });
  return makeRow({
    id: 'members',
    suite: 'scan',
    title: `members of a group of ${GROUP}, among 1000 other processes`,
    unit: 'ms',
    results,
    ids: ['limit', ...corral, ...peers],
    metric: 'wallUs',
    divide: 1000,
    goals: [{ text: '≤ 2 × limit', subjects: ['corral-members'], of: 'limit', atMost: 2 }],
  });
}
