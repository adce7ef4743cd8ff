/** What a child's environment is made of, as the child itself sees it. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { run } from '../../src/process/run.js';
import type { SpawnOptions } from '../../src/types.js';

async function environment(options: SpawnOptions): Promise<Map<string, string>> {
  const { stdout } = await run('/usr/bin/env', ['-0'], options);
  return new Map(
    stdout
      .split('\0')
      .filter(Boolean)
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  );
}

afterEach(() => vi.unstubAllEnvs());

describe.each(['group', 'tree'] as const)('containment %s', (containment) => {
  it('is ours, with what was changed a moment ago', async () => {
    vi.stubEnv('CORRAL_TEST_NEW', 'ä\nb');
    const seen = await environment({ containment });
    const own = new Map(Object.entries(process.env as Record<string, string>));
    own.delete('_'); // set by shells for the program they start
    seen.delete('_');
    const mark = seen.get('CORRAL_TREE');
    seen.delete('CORRAL_TREE');
    expect(seen).toEqual(own);
    expect(seen.get('CORRAL_TEST_NEW')).toBe('ä\nb');
    expect(mark).toMatch(/^[0-9a-f]{32}\.\d+$/);
    delete process.env.CORRAL_TEST_NEW;
    expect((await environment({ containment })).has('CORRAL_TEST_NEW')).toBe(false);
  });

  it('has what env lays over it, and not what env removes', async () => {
    vi.stubEnv('CORRAL_TEST_A', 'ours');
    vi.stubEnv('CORRAL_TEST_B', 'ours');
    const seen = await environment({ containment, env: { CORRAL_TEST_A: 'theirs', CORRAL_TEST_B: undefined, CORRAL_TEST_C: '' } });
    expect([seen.get('CORRAL_TEST_A'), seen.has('CORRAL_TEST_B'), seen.get('CORRAL_TEST_C')]).toEqual(['theirs', false, '']);
    expect(seen.get('PATH')).toBe(process.env.PATH);
  });

  it('is clean but for the mark when nothing is inherited', async () => {
    const seen = await environment({ containment, inheritEnv: false, env: { ONLY: 'this' } });
    seen.delete('PWD');
    expect([...seen.keys()].sort()).toEqual(['CORRAL_TREE', 'ONLY']);
  });

  it('keeps the marks of the trees around it', async () => {
    const script = `
      const { run } = await import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)});
      await run('true');
      process.env.CORRAL_TREE = 'too late';
      console.log((await run('/usr/bin/env', [], { containment: '${containment}', env: { CORRAL_TREE: 'forged' } })).stdout);`;
    const node = (env: Record<string, string>) => run(process.execPath, ['--input-type=module', '-e', script], { env });
    const outer = /^CORRAL_TREE=(.+)$/m;
    const parents = /^CORRAL_TREE_PARENTS=(.+)$/m;
    // The node in between is in a tree of ours, whatever it was told.
    const { stdout } = await node({ CORRAL_TREE: 'forged', CORRAL_TREE_PARENTS: 'forged' });
    expect(outer.exec(stdout)?.[1]).toMatch(/^[0-9a-f]{32}\./);
    expect(parents.exec(stdout)?.[1]).toMatch(/^[0-9a-f]{32}\.\d+(:|$)/);
    expect(stdout).not.toMatch(/forged|too late/);
    // Three deep: innermost first.
    const nested = `
      const { run } = await import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)});
      console.log((await run(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(script)}])).stdout);`;
    const deep = await run(process.execPath, ['--input-type=module', '-e', nested]);
    expect(parents.exec(deep.stdout)?.[1]?.split(':').length).toBe((parents.exec(stdout)?.[1]?.split(':').length ?? 0) + 1);
  });

  it('differs from tree to tree', async () => {
    const [one, two] = await Promise.all([environment({ containment }), environment({ containment })]);
    expect(one.get('CORRAL_TREE')).not.toBe(two.get('CORRAL_TREE'));
  });
});
