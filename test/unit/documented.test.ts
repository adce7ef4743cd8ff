/** What the README promises to list is listed. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/errors.js';
import { SPAWN_OPTIONS } from '../../src/process/options.js';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

describe('README', () => {
  it.each(Object.entries(ERROR_CODES))('has %s with its advice', (code, { type, advice }) => {
    expect(readme).toContain(`| \`${code}\` | ${type} | ${advice} |`);
  });

  it.each(SPAWN_OPTIONS)('names the option %s', (option) => {
    expect(readme).toContain(`\`${option}\``);
  });
});
