/**
 * Claude Code: events as described in its hook reference (common fields session_id, cwd, hook_event_name). It takes any
 * object, shows `systemMessage` to the user and must never see two documents or a line of plain text (which would go
 * into the model's context).
 */
import { summaryFor } from '../report.js';
import { commonEvent, type HookHost } from './host.js';

export const claude: HookHost = {
  id: 'claude',
  recognises: (input) => typeof input.hook_event_name === 'string',
  event: commonEvent,
  render: (answer) => {
    const systemMessage = summaryFor(answer);
    return `${JSON.stringify(systemMessage === undefined ? answer : { ...answer, systemMessage })}\n`;
  },
};
