/** What a host is to the hook: how its event is read and how it wants to be answered. One file per host beside this one. */
import type { HookEvent } from '../events.js';
import type { HookFailure, HookReport } from '../report.js';

export interface HookHost {
  readonly id: string;
  /** Whether a JSON object on stdin is an event of this host. */
  recognises(input: Record<string, unknown>): boolean;
  event(input: Record<string, unknown>): HookEvent;
  /** Exactly one JSON object, ended by a newline. */
  render(answer: HookReport | HookFailure): string;
}

/**
 * The fields of an event that several hosts call by the same names. What is missing or of a wrong type is left out: an event that is half
 * understood is still answered.
 */
export function commonEvent(input: Record<string, unknown>): HookEvent {
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
  return {
    name: text(input.hook_event_name),
    cause: text(input.source) ?? text(input.reason),
    sessionId: text(input.session_id),
    cwd: text(input.cwd),
  };
}
