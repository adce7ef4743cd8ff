/** No host: somebody runs the hook by hand, or from a script. The report itself, for reading. */
import { commonEvent, type HookHost } from './host.js';

export const manual: HookHost = {
  id: 'none',
  recognises: () => true,
  // Somebody may well pass an event on: what it allows counts here, too.
  event: commonEvent,
  render: (answer) => `${JSON.stringify(answer, null, 2)}\n`,
};
