/** What each event of a host asks of us: how far to go and how long to take. Pure, one table. */

export interface HookEvent {
  /** The host's name of the event; undefined = none was given (run by hand). */
  name?: string | undefined;
  /** Why the session began (`source`) or ended (`reason`). */
  cause?: string | undefined;
  sessionId?: string | undefined;
  cwd?: string | undefined;
}

export interface HookPlan {
  /** Ends nothing, and why not, for the report. */
  reportOnly?: string;
  /** Ends only what this session of the agent started. */
  session?: string;
  /** An upper limit below what the host allows this event; undefined = the configured timeout alone. */
  limitMs?: number;
}

/** Claude Code gives all hooks of a SessionEnd 1.5 s together. */
const SESSION_END_MS = 1200;
/** Before a tool runs somebody waits for every millisecond. */
const BEFORE_TOOL_MS = 300;

export function planFor(event: HookEvent): HookPlan {
  switch (event.name) {
    case undefined:
    // resume, clear, compact and fork begin inside a living session: what it owns is spared as the tree of a live agent.
    case 'SessionStart':
      return {};
    case 'SessionEnd': {
      const limitMs = SESSION_END_MS;
      // After these two the same program goes on and still owns its background work.
      if (event.cause === 'clear' || event.cause === 'resume') return { reportOnly: 'the program goes on with another session', limitMs };
      if (event.sessionId === undefined) return { reportOnly: 'the event does not say which session ends', limitMs };
      return { session: event.sessionId, limitMs };
    }
    case 'PreToolUse':
      return { reportOnly: 'a tool is about to run', limitMs: BEFORE_TOOL_MS };
    default:
      return { reportOnly: 'this event ends no processes' };
  }
}
