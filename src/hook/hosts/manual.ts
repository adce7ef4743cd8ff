/** No host: somebody runs the hook by hand, or from a script. The report itself, for reading. */
import type { HookHost } from './host.js';

export const manual: HookHost = {
  id: 'none',
  recognises: () => true,
  event: (input) => (typeof input.cwd === 'string' && input.cwd !== '' ? { cwd: input.cwd } : {}),
  render: (answer) => `${JSON.stringify(answer, null, 2)}\n`,
};
