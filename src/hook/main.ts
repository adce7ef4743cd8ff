/**
 * `corral hook`, bundled into dist/hook.cjs: reads an event, sweeps, prints exactly one JSON object, exits 0 (1 only when it failed
 * and graceful_degradation is off; never 2, which would block the host). Loads nothing that a run in which nothing is ended
 * does not need, starts no process, keeps stderr empty.
 */

import { localTimestamp } from '../history/log.js';
import { native } from '../native.js';
import { loadConfig } from '../orphans/config.js';
import { sweep } from '../orphans/sweep.js';
import { Answer } from './answer.js';
import { type HookEvent, planFor } from './events.js';
import { claude } from './hosts/claude.js';
import type { HookHost } from './hosts/host.js';
import { manual } from './hosts/manual.js';
import { HOOK_HELP, parseHookOptions } from './options.js';
import { type AnswerFacts, hookFailure, hookReport } from './report.js';
import { readHookInput } from './stdin.js';

const STDIN = 0;
const STDOUT = 1;
const DEFAULT_TIMEOUT_MS = 5000;
/** An event is written before or right after a hook is started; whoever has written nothing by then writes nothing. */
const INPUT_WAIT_MS = 200;
const INPUT_MAX_BYTES = 1024 * 1024;
/** Between our last possible word and the deadline, so that the host's own timer of the same length does not win. */
const MARGIN_MS = 100;

/** What is known so far, so that a failure at any moment is answered in the right form. */
const run: { host: HookHost; event: HookEvent; graceful: boolean; timeoutMs: number; doing: string } = {
  host: manual,
  event: {},
  graceful: true,
  timeoutMs: DEFAULT_TIMEOUT_MS,
  doing: 'starting',
};
const answer = new Answer(STDOUT);

/** Given by the launcher (corral.cts) when it has no compiled code of this bundle yet; undefined when the bundle is run without it. */
declare const keepCode: (() => void) | undefined;

async function main(args: readonly string[]): Promise<void> {
  const options = parseHookOptions(args);
  if (typeof options === 'string') {
    run.graceful = loadConfig().hooks.gracefulDegradation;
    return fail(`called wrongly: ${options}`);
  }
  if (options.help) return answer.give(HOOK_HELP, 0);
  if (options.host === 'claude') run.host = claude;
  if (options.timeoutMs !== undefined) run.timeoutMs = options.timeoutMs;

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => fail(`${signal} came while ${run.doing}`));
  // By the defaults at first: reading the configuration may hang as well.
  now('reading the event');
  const input = await readHookInput(STDIN, INPUT_WAIT_MS, INPUT_MAX_BYTES);
  if (input.kind === 'json') {
    if (options.host === 'auto' && claude.recognises(input.value)) run.host = claude;
    run.event = run.host.event(input.value);
  }
  const plan = planFor(run.event);

  now('reading the configuration');
  const config = loadConfig({ cwd: run.event.cwd, flags: { dryRun: options.dryRun || undefined } });
  run.graceful = config.hooks.gracefulDegradation;
  run.timeoutMs = options.timeoutMs ?? Math.min(config.hooks.timeoutMs, plan.limitMs ?? Number.POSITIVE_INFINITY);

  now('sweeping');
  const reportOnly = input.kind === 'garbage' ? 'the event on stdin could not be read' : plan.reportOnly;
  const report = await sweep({
    config,
    dryRun: config.dryRun || reportOnly !== undefined,
    deadline: remainingMs(),
    session: plan.session,
    event: run.event.name,
  });

  const facts = {
    ...moment(),
    reportOnly,
    notifyThreshold: config.notifyThreshold,
    warnings: input.kind === 'garbage' ? [`stdin: ${input.problem}`] : [],
  };
  const afterwards = typeof keepCode === 'function' ? keepCode : undefined;
  answer.give(run.host.render(hookReport(report, facts)), exitCode(report.success), afterwards);
}

/** Names what comes next, and has the watchdog say so if it never ends. */
function now(doing: string): void {
  const addon = native();
  run.doing = doing;
  const failure = hookFailure(`no answer within ${run.timeoutMs} ms, while ${doing}`, run.graceful, {
    ...moment(),
    elapsedMs: run.timeoutMs,
  });
  answer.promise(addon, remainingMs(), run.host.render(failure), exitCode(false));
}

function fail(problem: string): void {
  answer.give(run.host.render(hookFailure(problem, run.graceful, moment())), exitCode(false));
}

function exitCode(success: boolean): number {
  return success || run.graceful ? 0 : 1;
}

function moment(): AnswerFacts {
  return { event: run.event.name, elapsedMs: process.uptime() * 1000, timestamp: localTimestamp(new Date()) };
}

/** Until our last word, counted from the start of the process. */
function remainingMs(): number {
  return run.timeoutMs - Math.min(MARGIN_MS, run.timeoutMs / 10) - process.uptime() * 1000;
}

process.on('uncaughtException', (error) => fail(explain(error)));
main(process.argv[2] === 'hook' ? process.argv.slice(3) : process.argv.slice(2)).catch((error) => {
  // Without the addon nothing could be read either; whether that is an error is still the configuration's to say.
  if (run.doing === 'starting') run.graceful = loadConfig().hooks.gracefulDegradation;
  fail(explain(error));
});

function explain(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return `${error instanceof Error ? error.message : String(error)}${cause}`;
}
