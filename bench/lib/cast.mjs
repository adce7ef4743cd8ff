/**
 * Who takes part: from the id of a contestant to its label and the command line that measures it. What a peer lacks on this machine
 * becomes its reason to be missing.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const WORKERS = fileURLToPath(new URL('../workers', import.meta.url));

const LABELS = {
  node: 'Node child_process',
  bun: 'Bun',
  python: 'Python subprocess',
  psutil: 'psutil',
  execa: 'execa',
  tinyexec: 'tinyexec',
  'nano-spawn': 'nano-spawn',
  zx: 'zx',
  'tree-kill': 'tree-kill',
  pidtree: 'pidtree',
  fkill: 'fkill',
  ps: 'ps',
  'ps-list': 'ps-list',
  'find-process': 'find-process',
  systeminformation: 'systeminformation',
  pidusage: 'pidusage',
  pgrep: 'pgrep -g',
  'plain-js': 'plain JavaScript, synchronous',
  'corral-group': 'corral, group',
  'corral-tree': 'corral, tree',
  'corral-stop': 'corral stop()',
  'corral-killTree': 'corral killTree()',
  'corral-snapshot': 'corral snapshot()',
  'corral-listProcesses': 'corral listProcesses()',
  'corral-members': 'corral members()',
};

const PYTHON = new Set(['python', 'psutil']);
const NEEDS_NOTHING = new Set(['node', 'plain-js']);

export function makeCast(tools) {
  function missing(id) {
    if (NEEDS_NOTHING.has(id)) return undefined;
    if (id.startsWith('corral')) return tools.missing.corral;
    return tools.missing[id] ?? (['bun', 'ps', 'pgrep', ...PYTHON].includes(id) ? undefined : tools.missing.peers);
  }

  /** The command that hands `task` to the worker of a suite. */
  function command(suite, id, task, nodeFlags) {
    const json = JSON.stringify({ suite, method: id, dist: tools.dist, load: tools.load, ...tools.limit, ...task });
    if (PYTHON.has(id)) return [tools.python, path.join(WORKERS, 'worker.py'), json];
    const runtime = id === 'bun' ? [tools.bun] : [process.execPath, ...nodeFlags];
    return [...runtime, path.join(WORKERS, `${suite}.mjs`), json];
  }

  return {
    tools,
    label: (id) => LABELS[id] ?? id,
    /** A contestant that runs in a worker. */
    worker(suite, id, task, { label = LABELS[id], nodeFlags = [], isolate = false } = {}) {
      const reason = missing(id);
      return { id, label, isolate, missing: reason, command: reason ? undefined : command(suite, id, task, nodeFlags) };
    },
    /** A limit program. */
    limit(id, label, program, args, { isolate = false } = {}) {
      return { id, label: `limit: ${label}`, isolate, command: [tools.limit[program], ...args.map(String)] };
    },
  };
}
