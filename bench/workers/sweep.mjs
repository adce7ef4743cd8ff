/**
 * classify: judgeUs, judging a table of `processes` made up here, from columns as a native scan gives them to verdicts.
 * look: cpuUs, processor time of one whole dry run of the sweep, all threads.
 */
import { answer, corral, monotonicNs, sleep, task } from './harness.mjs';

const internal = (file) => import(new URL(file, task.dist));

/** Programs by their share of a thousand; what a rule fits is among them, and a protected tree. */
const PROGRAMS = [
  { share: 50, name: 'bash', args: ['/bin/bash', '-c', 'source /home/u/.claude/shell-snapshots/snapshot.sh && npm test'] },
  { share: 10, name: 'rg', args: ['rg', '--json', 'TODO'] },
  { share: 5, name: 'sh', args: [], state: 'Z' },
  { share: 5, name: 'pytest', args: ['/usr/bin/python3', '/usr/bin/pytest', '-x'] },
  { share: 430, name: 'node', args: ['node', '/srv/app/server.js', '--port', '3000'] },
  { share: 500, name: 'postgres', args: ['postgres: worker process', ''] },
];
const BRANCHES = 10;

/** Parents are rows before their children, ten to each; ages up to a day. */
function columns(count) {
  const nowTicks = 100_000_000n;
  const table = { count, nowTicks, nowMs: Date.now(), startTicks: new BigUint64Array(count), state: new Uint8Array(count) };
  for (const name of ['pid', 'ppid', 'pgid', 'sid', 'tty', 'threads']) table[name] = new Int32Array(count);
  for (const name of ['cpuTicks', 'childCpuTicks', 'rssPages']) table[name] = new Float64Array(count);
  for (const name of ['flags', 'uid']) table[name] = new Uint32Array(count);
  table.name = new Uint32Array(count + 1);
  table.args = new Uint32Array(count + 1);
  table.unread = new Uint8Array(count);
  const programs = PROGRAMS.flatMap((program) => new Array(program.share).fill(program));
  const programOf = (i) => programs[(i * 613) % programs.length]; // 613: a generator of all shares, far apart
  const texts = [];
  let length = 0;
  for (const [column, textOf] of [
    ['name', (program) => program.name],
    ['args', (program) => program.args.map((arg) => `${arg}\0`).join('')],
  ]) {
    for (let i = 0; i < count; i++) {
      table[column][i] = length;
      const text = Buffer.from(textOf(programOf(i)));
      texts.push(text);
      length += text.length;
    }
    table[column][count] = length;
  }
  for (let i = 0; i < count; i++) {
    table.pid[i] = i + 1;
    table.ppid[i] = i === 0 ? 0 : Math.floor((i - 1) / BRANCHES) + 1;
    table.pgid[i] = table.sid[i] = i + 1;
    table.startTicks[i] = nowTicks - BigInt((i * 7919) % 8_640_000);
    table.state[i] = (programOf(i).state ?? 'S').charCodeAt(0);
    table.uid[i] = process.getuid();
  }
  return { ...table, text: Buffer.concat(texts) };
}

const methods = {
  async classify() {
    const { classify } = await corral();
    const [{ ProcessTable }, { defaultPolicy }] = await Promise.all([internal('tree/table.js'), internal('orphans/policy.js')]);
    const scanned = columns(task.processes);
    const fields = ['name', 'ppid', 'pgid', 'sid', 'state', 'tty', 'startTime', 'uid', 'args'];
    const judgeUs = [];
    for (let i = -3; i < task.count; i++) {
      const from = monotonicNs();
      const verdicts = classify(ProcessTable.fromColumns(scanned, fields), defaultPolicy(), { now: scanned.nowMs, self: task.processes });
      if (i >= 0) judgeUs.push((monotonicNs() - from) / 1e3);
      if (verdicts.length < task.processes / 1000) throw new Error(`only ${verdicts.length} verdicts`);
    }
    return { judgeUs };
  },
  async look() {
    const { sweep } = await corral();
    const cpuUs = [];
    for (let i = -2; i < task.count; i++) {
      await sleep(20);
      const before = process.cpuUsage();
      await sweep({ dryRun: true });
      const { user, system } = process.cpuUsage(before);
      if (i >= 0) cpuUs.push(user + system);
    }
    return { cpuUs };
  },
};

answer(await methods[task.method]());
