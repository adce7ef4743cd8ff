import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { findProjectRoot, loadConfig, userConfigPath } from '../../src/orphans/config.js';
import { tempDirectory } from '../helpers/temp.js';

function write(file: string, content: unknown): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
}

function setup() {
  const home = tempDirectory();
  const root = path.join(home, 'project');
  mkdirSync(path.join(root, 'a', 'b'), { recursive: true });
  const env = { HOME: home };
  return { home, root, env, load: (cwd = root) => loadConfig({ cwd, env }) };
}

describe('project root', () => {
  it.each(['.corral.json', '.moai', '.claude', '.git'])('is the nearest ancestor with %s', (mark) => {
    const { root, env } = setup();
    if (mark.endsWith('.json')) write(path.join(root, mark), {});
    else mkdirSync(path.join(root, mark));
    expect(findProjectRoot(path.join(root, 'a', 'b'), env)).toBe(root);
  });

  it('is CLAUDE_PROJECT_DIR when that is a directory', () => {
    const { root, home } = setup();
    expect(findProjectRoot('/', { CLAUDE_PROJECT_DIR: root })).toBe(root);
    mkdirSync(path.join(home, '.git'));
    for (const named of ['', 'relative', path.join(root, 'gone')]) expect(findProjectRoot(root, { CLAUDE_PROJECT_DIR: named })).toBe(home);
  });

  it('is the directory itself when nothing says otherwise, also one that is gone', () => {
    expect(findProjectRoot('/nonexistent/corral/x', {})).toBe('/nonexistent/corral/x');
  });
});

describe('files', () => {
  it('lie where the XDG specification says', () => {
    expect(userConfigPath({ XDG_CONFIG_HOME: '/x', HOME: '/h' })).toBe('/x/corral/config.json');
    expect(userConfigPath({ XDG_CONFIG_HOME: 'x', HOME: '/h' })).toBe('/h/.config/corral/config.json');
    expect(userConfigPath({ HOME: '/h' })).toBe('/h/.config/corral/config.json');
  });

  it('are all optional', () => {
    const { load, root } = setup();
    const config = load();
    expect(config.warnings).toEqual([]);
    expect(config.projectRoot).toBe(root);
    expect(config.sources.map(({ kind, state }) => [kind, state])).toEqual([
      ['moai', 'absent'],
      ['user', 'absent'],
      ['project', 'absent'],
      ['environment', 'absent'],
      ['flags', 'absent'],
    ]);
  });

  it('are merged', () => {
    const { home, root, load } = setup();
    write(path.join(root, '.moai', 'config.json'), { hooks: { timeout_ms: 2000 } });
    write(path.join(root, '.corral.json'), `\uFEFF${JSON.stringify({ protect: [{ name: 'mine' }] })}`);
    write(path.join(home, '.config', 'corral', 'config.json'), { max_kills: 3 });
    const config = load(path.join(root, 'a'));
    expect(config).toMatchObject({ hooks: { timeoutMs: 2000 }, maxKills: 3, warnings: [], reportOnly: false });
    expect(config.policy.protect.at(-1)).toEqual({ names: ['mine'], scope: 'tree' });
  });

  it.each([
    ['text', 'max_kills = 3', 'expected JSON'],
    ['comments', '{ // none\n}', 'expected JSON'],
    ['nothing', '', 'expected JSON'],
    ['an array', '[]', 'expected an object'],
    ['a huge file', `{"x": "${'y'.repeat(1024 * 1024)}"}`, 'expected at most'],
  ])('broken by %s: report only', (_, content, problem) => {
    const { home, load } = setup();
    const file = path.join(home, '.config', 'corral', 'config.json');
    write(file, content);
    const config = load();
    expect(config.reportOnly).toBe(true);
    expect(config.warnings).toEqual([expect.stringContaining(`${file}: ${problem}`)]);
  });

  it('that are no files, or link nowhere, do no harm', () => {
    const { root, load } = setup();
    mkdirSync(path.join(root, '.corral.json'));
    mkdirSync(path.join(root, '.moai'));
    symlinkSync('/nonexistent', path.join(root, '.moai', 'config.json'));
    const config = load();
    expect(config.reportOnly).toBe(true);
    expect(config.warnings).toEqual([expect.stringContaining('.corral.json: expected a file')]);
  });
});
