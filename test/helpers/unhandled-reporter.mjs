/**
 * A reporter of vitest that writes errors outside of tests (a worker that crashed, a rejection that nobody handled) to the file
 * CORRAL_TEST_NOTES: they fail the run, and the report in JSON has no place for them.
 */
import { appendFileSync } from 'node:fs';

export default class UnhandledReporter {
  onTestRunEnd(_modules, errors) {
    const file = process.env.CORRAL_TEST_NOTES;
    if (!file) return;
    for (const { name, message, stack = '' } of errors) {
      const frames = stack.match(/^\s+at .*$/gm) ?? [];
      // Not one of Node's own, if there is another: whose call it was is the question.
      const place = (frames.find((frame) => !frame.includes('node:')) ?? frames[0] ?? '').trim();
      appendFileSync(file, `outside of a test: ${name}: ${message} ${place}\n`);
    }
  }
}
