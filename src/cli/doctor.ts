/** `corral doctor`: what this machine offers, what configuration was read from where, what will be used. */
import { Command } from 'commander';
import { type CleanupConfig, loadConfig } from '../orphans/config.js';
import { type Act, print, stdoutTerminal, withJson } from './command.js';
import { type Finding, findings } from './doctor-checks.js';
import { type Column, type Style, table, toJson } from './format.js';
import { readMachine } from './machine.js';

const STYLES: Record<Finding['state'], Style | undefined> = { ok: 'green', limited: 'yellow', missing: 'red', info: undefined };

export function doctorCommand(act: Act): Command {
  return withJson(new Command('doctor'))
    .summary('what this machine offers, and what corral will use')
    .description('Looks at kernel, /proc, PID 1, cgroups (it makes one and removes it), namespaces and the configuration. Changes nothing.')
    .addHelpText(
      'after',
      `
Exit status: 0; 1 when something corral needs is missing.

Examples:
  corral doctor
  corral doctor --json | jq '.findings[] | select(.state == "missing")'`,
    )
    .action(act((options: { json?: boolean }) => doctor(options)));
}

async function doctor(options: { json?: boolean }): Promise<number> {
  const found = findings(await readMachine());
  const config = loadConfig();
  const status = found.some((finding) => finding.state === 'missing') ? 1 : 0;
  if (options.json) {
    print(toJson({ findings: found, configuration: summary(config) }));
    return status;
  }
  const to = stdoutTerminal();
  const columns: Column<Finding>[] = [
    { title: 'CHECK', value: (finding) => finding.subject },
    { title: '', value: (finding) => finding.state, style: (finding) => STYLES[finding.state] },
    { title: 'FOUND', value: (finding) => (finding.hint === undefined ? finding.found : `${finding.found}: ${finding.hint}`) },
  ];
  const sources: Column<CleanupConfig['sources'][number]>[] = [
    { title: 'CONFIGURATION', value: (source) => source.kind },
    { title: '', value: (source) => source.state, style: (source) => (source.state === 'broken' ? 'red' : undefined) },
    { title: 'FROM', value: (source) => source.origin },
  ];
  print(table(found, columns, to));
  // There are no flags here that set anything.
  print(
    `\n${table(
      config.sources.filter((source) => source.kind !== 'flags'),
      sources,
      to,
    )}`,
  );
  for (const warning of config.warnings) print(`warning: ${warning}`);
  print(`\n${used(config).join('\n')}`);
  return status;
}

/** What a sweep would go by now, in sentences. */
function used(config: CleanupConfig): string[] {
  const { policy, hooks } = config;
  const rules = policy.rules.map((rule) => `${rule.id} > ${rule.olderThanSeconds} s${rule.action === 'report' ? ' (report only)' : ''}`);
  return [
    `Project: ${config.projectRoot}`,
    `Policy: ${policy.mode}; ${rules.join(', ') || 'no rule is enabled'}; nothing younger than ${config.minAgeSeconds} s; ${policy.protect.length} protections`,
    `Ending: SIGTERM, SIGKILL after ${config.termGraceMs} ms, at most ${config.maxKills} in one run${modeNote(config)}`,
    `Hook: answers within ${hooks.timeoutMs} ms; graceful degradation ${hooks.gracefulDegradation ? 'on' : 'off'}`,
  ];
}

function modeNote(config: CleanupConfig): string {
  if (config.reportOnly) return '; now report-only, as the configuration is broken';
  return config.dryRun ? '; now dry_run: nothing is ended' : '';
}

function summary(config: CleanupConfig): object {
  const { policy, sources, warnings, ...rest } = config;
  return { ...rest, policy: policy.mode, rules: policy.rules.map(({ match: _, ...rule }) => rule), sources, warnings };
}
