/** The flags of `corral hook`. Pure. Never throws: a hook that is called wrongly still has to answer its host in JSON. */

export const HOSTS = ['auto', 'claude', 'none'] as const;
export type HostName = (typeof HOSTS)[number];

export interface HookOptions {
  host: HostName;
  /** Overrides the configuration and the limits per event. */
  timeoutMs?: number;
  dryRun: boolean;
  help: boolean;
}

export const HOOK_HELP = `Usage: corral hook [--host ${HOSTS.join('|')}] [--timeout-ms N] [--dry-run]

Run by a coding agent at session start: ends what earlier sessions left behind. Reads the host's event as JSON
from stdin (optional, never waited for), prints exactly one JSON object, answers before its deadline.

  --host NAME       whom to answer; auto looks at the event (default: auto)
  --timeout-ms N    own deadline in milliseconds, 100 to 60000 (default: hooks.timeout_ms, else 5000)
  --dry-run         report only, end nothing

Exit status: 0; 1 only if the run failed and hooks.graceful_degradation is false. Never 2, which would block the host.

In Claude Code's settings.json:
  "SessionStart": [{ "matcher": "startup|resume",
    "hooks": [{ "type": "command", "command": "corral hook --host claude", "timeout": 8 }] }]

Try it:
  corral hook --dry-run
  echo '{"hook_event_name":"SessionStart","source":"startup"}' | corral hook --host claude --dry-run
`;

/** The options, or a sentence that names the option, what was expected and what came. */
export function parseHookOptions(args: readonly string[]): HookOptions | string {
  const options: HookOptions = { host: 'auto', dryRun: false, help: false };
  for (let at = 0; at < args.length; at++) {
    const [flag, inline] = splitAtEquals(args[at] as string);
    const value = () => inline ?? args[++at];
    if (flag === '--host') {
      const host = value();
      if (!isHost(host)) return `--host: expected one of ${HOSTS.join(', ')}, received ${show(host)}`;
      options.host = host;
    } else if (flag === '--timeout-ms') {
      const text = value();
      const number = Number(text);
      if (text === undefined || text.trim() === '' || !Number.isFinite(number) || number <= 0) {
        return `--timeout-ms: expected a positive number of milliseconds, received ${show(text)}`;
      }
      options.timeoutMs = Math.min(60000, Math.max(100, number));
    } else if (flag === '--dry-run' && inline === undefined) {
      options.dryRun = true;
    } else if (flag === '--json' && inline === undefined) {
      // As with every command; the answer is JSON anyway.
    } else if ((flag === '--help' || flag === '-h') && inline === undefined) {
      options.help = true;
    } else {
      return `expected --host, --timeout-ms, --dry-run or --help, received ${show(args[at])}`;
    }
  }
  return options;
}

function splitAtEquals(arg: string): [string, string | undefined] {
  const equals = arg.startsWith('--') ? arg.indexOf('=') : -1;
  return equals < 0 ? [arg, undefined] : [arg.slice(0, equals), arg.slice(equals + 1)];
}

function isHost(value: string | undefined): value is HostName {
  return (HOSTS as readonly (string | undefined)[]).includes(value);
}

function show(value: string | undefined): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
