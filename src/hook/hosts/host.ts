/** What a host is to the hook: how its event is read and how it wants to be answered. One file per host beside this one. */
import type { HookEvent } from '../events.js';
import type { HookFailure, HookReport } from '../report.js';

export interface HookHost {
  readonly id: string;
  /** Whether a JSON object on stdin is an event of this host. */
  recognises(input: Record<string, unknown>): boolean;
  /** Fields that are missing or of a wrong type are left out: an event that is half understood is still answered. */
  event(input: Record<string, unknown>): HookEvent;
  /** Exactly one JSON object, ended by a newline. */
  render(answer: HookReport | HookFailure): string;
}
