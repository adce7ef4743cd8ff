/**
 * Claude Code: events as described in its hook reference (common fields session_id, cwd, hook_event_name). It takes any
 * object, shows `systemMessage` to the user and must never see two documents or a line of plain text (which would go
 * into the model's context).
 */
import { summaryFor } from '../report.js';
import type { HookHost } from './host.js';

export const claude: HookHost = {
  id: 'claude',
  recognises: (input) => typeof input.hook_event_name === 'string',
  event: (input) => ({
    name: text(input.hook_event_name),
    cause: text(input.source) ?? text(input.reason),
    sessionId: text(input.session_id),
    cwd: text(input.cwd),
  }),
  render: (answer) => {
    const systemMessage = summaryFor(answer);
    return `${JSON.stringify(systemMessage === undefined ? answer : { ...answer, systemMessage })}\n`;
  },
};

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
