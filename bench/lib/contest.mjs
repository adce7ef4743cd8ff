/**
 * Lets contestants take turns and sums up what they say; knows nothing about what is measured.
 *
 * Every contestant runs in a process of its own, once a round; the order rotates, so that a slow minute of the machine hits all alike.
 * A figure is the median over rounds of each round's median, with the lowest and the highest round.
 */
import { spawn } from 'node:child_process';
import { namespaceCommand } from '../../scripts/contained.mjs';

/** A shell that waits for its child also reaps every orphan, as a real init does; peers that wait for that are not held up. */
const INIT = ['sh', '-c', 'ulimit -n "$(ulimit -Hn)"; "$@"; exit $?', 'bench-init'];
let namespace;

function isolated(command) {
  namespace ??= namespaceCommand();
  if (namespace === undefined) throw new Error('pid namespaces are not allowed here');
  return [...namespace, '--', ...INIT, ...command];
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Without what the user has set for Node: what slows every start of it (certificates, preloaded modules) hides what somebody adds to one. */
const PLAIN_ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NODE_')));

/** Runs a command to its end; what it printed, or why there is nothing. */
function execute({ command, env, isolate }, deadlineMs) {
  const [file, ...args] = isolate ? isolated(command) : command;
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...PLAIN_ENVIRONMENT, ...env }, detached: true });
    let stdout = '';
    let stderr = '';
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      // Of an isolated command this is unshare, and with it goes everything inside.
      process.kill(-child.pid, 'SIGKILL');
    }, deadlineMs);
    child.stdout.on('data', (data) => (stdout += data));
    child.stderr.on('data', (data) => (stderr += data));
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve({ failed: error.message });
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (late) return resolve({ late: deadlineMs });
      if (code !== 0) return resolve({ failed: `${signal ?? `exit code ${code}`}: ${lastLine(stderr)}` });
      try {
        resolve({ samples: JSON.parse(stdout) });
      } catch {
        resolve({ failed: `no JSON: ${lastLine(stdout)}` });
      }
    });
  });
}

function lastLine(text) {
  const lines = text.trim().split('\n');
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1);
}

function summarize(rounds) {
  return { value: median(rounds), low: Math.min(...rounds), high: Math.max(...rounds), rounds };
}

/**
 * @param {{ id: string, label: string, command: string[], env?: object, isolate?: boolean, missing?: string }[]} entries
 *   A command prints one JSON object: arrays of samples (or single numbers) by metric.
 * @param {{ rounds: number, budgetMs?: number, deadlineMs?: number }} options No round begins that would end after the budget, going by
 *   those before; but there are always two (or `rounds`, if that is one). A contestant that misses the deadline does not run again.
 * @returns {Promise<Map<string, { label: string, metrics: Record<string, { value, low, high, rounds }>, missing?, late?, failed? }>>}
 */
export async function contest(entries, { rounds, budgetMs = Number.POSITIVE_INFINITY, deadlineMs = 30_000 }) {
  const results = new Map(entries.map(({ id, label, missing }) => [id, { label, missing, byMetric: {} }]));
  const from = performance.now();
  for (let round = 0; round < rounds; round++) {
    if (round >= 2 && ((performance.now() - from) * (round + 1)) / round > budgetMs) break;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[(i + round) % entries.length];
      const result = results.get(entry.id);
      if (result.missing || result.late || result.failed) continue;
      const { samples, late, failed } = await execute(entry, deadlineMs);
      if (late || failed) Object.assign(result, { late, failed });
      for (const [metric, values] of Object.entries(samples ?? {})) {
        const figure = Array.isArray(values) ? (values.length > 0 ? median(values) : undefined) : values;
        if (figure === undefined) continue;
        result.byMetric[metric] ??= [];
        result.byMetric[metric].push(figure);
      }
    }
  }
  for (const result of results.values()) {
    result.metrics = Object.fromEntries(Object.entries(result.byMetric).map(([metric, figures]) => [metric, summarize(figures)]));
    delete result.byMetric;
  }
  return results;
}
