/** Running tools from scripts: quiet when they succeed, everything they said when they do not. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot = fileURLToPath(new URL('../..', import.meta.url));

/** The command line of a tool that an npm package brings, run by this very Node. */
export function tool(script, ...args) {
  return [process.execPath, path.join(projectRoot, 'node_modules', script), ...args];
}

/** The command line of one of our own scripts. */
export function script(name, ...args) {
  return [process.execPath, path.join(projectRoot, 'scripts', name), ...args];
}

/**
 * Runs a command in the project's root and resolves with { ok, code, output }. With `show` the output goes to the terminal instead. Signals
 * that end us meanwhile are passed on, and the caller goes on when the command has ended.
 */
export function run(argv, { env = {}, show = false, cwd = projectRoot } = {}) {
  return new Promise((resolve) => {
    const stdio = ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'];
    const child = spawn(argv[0], argv.slice(1), { cwd, stdio, env: { ...process.env, ...env } });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    const forward = (signal) => child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward);
    const settle = (result) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, forward);
      resolve(result);
    };
    child.on('error', (error) => settle({ ok: false, code: null, output: `${argv[0]}: ${error.message}\n` }));
    child.on('close', (code) => settle({ ok: code === 0, code, output }));
  });
}

/** Runs a command; prints what it said and throws when it fails. */
export async function must(argv, options) {
  const { ok, output } = await run(argv, options);
  if (ok) return output;
  process.stderr.write(output);
  throw new Error(`failed: ${argv.join(' ')}`);
}
