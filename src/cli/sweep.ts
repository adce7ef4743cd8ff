/** `corral sweep`: finds what was left behind, says why, ends it, records it. */
import { Command } from 'commander';
import { classify, explain as explainVerdict } from '../orphans/classify.js';
import { type CleanupConfig, loadConfig } from '../orphans/config.js';
import { look, type Scene } from '../orphans/scene.js';
import { loadScene, saveScene } from '../orphans/snapshot-file.js';
import { sweep } from '../orphans/sweep.js';
import type { SweepReport } from '../types.js';
import { type Act, exitOnSignal, explain, parser, pidArgument, print, stdoutTerminal, UsageError, warn, withJson } from './command.js';
import { formatMs } from './duration.js';
import { printable, toJson } from './format.js';
import { actualOutcome, explanation, plannedOutcome, summary, verdictTable } from './verdicts.js';

interface SweepOptions {
  dryRun?: boolean;
  explain?: number;
  save?: string;
  replay?: string;
  maxKills?: number;
  json?: boolean;
}

const countArgument = parser('a whole number, 0 or more', (text) => (/^\d{1,9}$/.test(text) ? Number(text) : undefined));

export function sweepCommand(act: Act): Command {
  return withJson(new Command('sweep'))
    .summary('end what agents and other tools left behind')
    .description(
      'Looks for stuck ripgreps, agent shells and zombie shells that outlived their purpose, ends them (SIGTERM, then SIGKILL) and ' +
        'records the run. Spares what is young, protected, or below a live agent; `corral doctor` shows the rules in force.',
    )
    .option('--dry-run', 'judge and show; end and record nothing')
    .option('--explain <pid>', 'everything that speaks for and against one process; ends nothing', pidArgument)
    .option('--save <file>', 'save what the sweep sees, to be judged again; secrets in command lines are blotted out')
    .option('--replay <file>', 'judge a saved snapshot by the rules in force here; ends nothing')
    .option('--max-kills <n>', 'end at most so many (default: max_kills of the configuration, else 20)', countArgument)
    .addHelpText(
      'after',
      `
Exit status: 0; 1 when something could not be ended, or there is no such process to explain; 2 called wrongly.

Examples:
  corral sweep --dry-run
  corral sweep --explain 4711
  corral sweep --max-kills 5 --json
  corral sweep --dry-run --save before.json && corral sweep --replay before.json`,
    )
    .action(act((options: SweepOptions) => runSweep(options)));
}

async function runSweep(options: SweepOptions): Promise<number> {
  checkCombination(options);
  const config = loadConfig({ flags: { dryRun: options.dryRun, maxKills: options.maxKills } });
  if (options.explain !== undefined) return explainOne(options.explain, await sceneOf(options, config), options, config);
  if (options.replay !== undefined) return showJudgement(await sceneOf(options, config), options, config);
  // A snapshot that can not be saved is an error before anything is ended.
  if (options.save !== undefined) save(await sceneOf(options, config), options.save);
  exitOnSignal();
  const report = await sweep({ config });
  if (options.json) print(toJson(report));
  else showReport(report, config);
  return report.success ? 0 : 1;
}

/** Of two options that exclude each other neither is quietly ignored. */
function checkCombination(options: SweepOptions): void {
  const exclude = (first: keyof SweepOptions, second: keyof SweepOptions, flags: string) => {
    if (options[first] !== undefined && options[second] !== undefined)
      throw new UsageError(`sweep: expected one of ${flags}, received both`);
  };
  exclude('save', 'replay', '--save and --replay');
  exclude('replay', 'maxKills', '--replay and --max-kills');
  exclude('explain', 'maxKills', '--explain and --max-kills');
}

async function sceneOf(options: SweepOptions, config: CleanupConfig): Promise<Scene> {
  if (options.replay === undefined) return look(config.policy, { minAgeSeconds: config.minAgeSeconds, pid: options.explain });
  try {
    const { facts, ...scene } = loadScene(options.replay);
    return { ...scene, facts: { ...facts, minAgeSeconds: config.minAgeSeconds } };
  } catch (error) {
    throw new UsageError(
      `sweep: --replay: expected a snapshot that \`sweep --save\` wrote, received ${JSON.stringify(options.replay)}: ${explain(error)}`,
    );
  }
}

function save(scene: Scene, file: string): void {
  try {
    saveScene(scene, file);
  } catch (error) {
    throw new UsageError(`sweep: --save: expected a file that can be written, received ${JSON.stringify(file)}: ${explain(error)}`);
  }
}

function explainOne(pid: number, scene: Scene, options: SweepOptions, config: CleanupConfig): number {
  const verdict = explainVerdict(scene.table, pid, config.policy, scene.facts);
  if (options.save !== undefined) save(scene, options.save);
  if (verdict === undefined) {
    warn(`sweep: no process ${pid}`);
    return 1;
  }
  print(options.json ? toJson(verdict) : printLines(explanation(verdict)));
  return 0;
}

function showJudgement(scene: Scene, options: SweepOptions, config: CleanupConfig): number {
  const verdicts = classify(scene.table, config.policy, scene.facts);
  if (options.json) {
    print(toJson({ verdicts }));
    return 0;
  }
  if (verdicts.length > 0) print(verdictTable(verdicts, plannedOutcome, stdoutTerminal()));
  print(summary({ verdicts, cleaned: [], failed: 0, deferred: 0, dryRun: true, reportOnly: false }));
  return 0;
}

function showReport(report: SweepReport, config: CleanupConfig): void {
  for (const warning of report.warnings) warn(printable(warning));
  if (report.skipped === 'locked') {
    print('Another sweep is under way; this one did nothing.');
    return;
  }
  if (report.verdicts.length > 0) print(verdictTable(report.verdicts, actualOutcome(report), stdoutTerminal()));
  print(`${summary(report)} (${formatMs(report.durationMs)})`);
  for (const { pid, name, reason } of report.failures) warn(printable(`${pid} ${name}: ${reason}`));
  if (report.totalCleaned > config.notifyThreshold) {
    print(`That is more than ${config.notifyThreshold} in one run: please check the workflow that leaves them behind.`);
  }
  if (report.logPath !== undefined) print(`Recorded in ${printable(report.logPath)}`);
}

/** The text has line breaks of ours; everything else in it may come from a stranger. */
function printLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}
