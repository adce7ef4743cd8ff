import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fake } from '../fixtures/process-fake-addon.js';

vi.mock('../../src/native.js', async (original) => ({
  ...(await original<object>()),
  ...(await import('../fixtures/process-fake-addon.js')).replaced,
}));

const { environmentOf, newTree, treeIdOf } = await import('../../src/process/environment.js');

const realEnv = process.env;

/** What the child would see when `environ` is `base`: the addon's part, written down once more. */
function childEnv(result: { env: string; inheritEnv: boolean }, base: Record<string, string>): Record<string, string> {
  const variables = new Map(result.inheritEnv ? Object.entries(base) : []);
  for (const entry of result.env.split('\0').slice(0, -1)) {
    const equals = entry.indexOf('=');
    if (equals < 0) variables.delete(entry);
    else variables.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return Object.fromEntries(variables);
}

beforeEach(() => {
  fake.reset();
  process.env = { HOME: '/h', PATH: '/bin' };
});
afterEach(() => {
  process.env = realEnv;
});

describe.each([
  ['environ is behind process.env', true],
  ['process.env is an object of its own (worker, Bun, test framework)', false],
])('where %s', (_, shares) => {
  const make = (env: unknown, inheritEnv = true) => {
    fake.sharesEnviron = shares;
    return environmentOf(env, inheritEnv);
  };

  it.each([
    [undefined, true, { HOME: '/h', PATH: '/bin' }],
    [{ A: '1' }, true, { HOME: '/h', PATH: '/bin', A: '1' }],
    [{ PATH: '/usr/bin', HOME: undefined }, true, { PATH: '/usr/bin' }],
    [{ A: '' }, true, { HOME: '/h', PATH: '/bin', A: '' }],
    [{ A: 'x=y' }, true, { HOME: '/h', PATH: '/bin', A: 'x=y' }],
    [{ A: '1', B: undefined }, false, { A: '1' }],
    [undefined, false, {}],
    [{ CORRAL_TREE: 'mine', CORRAL_TREE_PARENTS: 'mine' }, true, { HOME: '/h', PATH: '/bin' }],
    [{ CORRAL_TREE: undefined }, false, {}],
  ])('env %o, inheritEnv %s', (env, inheritEnv, expected) => {
    expect(childEnv(make(env, inheritEnv), process.env as Record<string, string>)).toEqual(expected);
  });

  it('copies nothing when process.env itself is given', () => {
    const result = make(process.env, false);
    expect(childEnv(result, process.env as Record<string, string>)).toEqual({ HOME: '/h', PATH: '/bin' });
    if (shares) expect(result).toEqual({ env: '', inheritEnv: true });
  });

  it('names no tree, which is for the addon to do', () => {
    process.env.CORRAL_TREE = 'outer.2';
    process.env.CORRAL_TREE_PARENTS = 'outermost.7';
    for (const inheritEnv of [true, false]) expect(make({ CORRAL_TREE: 'mine' }, inheritEnv).env).not.toContain('CORRAL');
  });

  it('leaves nothing behind in process.env', () => {
    make({ A: '1' });
    expect(process.env).toEqual({ HOME: '/h', PATH: '/bin' });
  });
});

it('leaves reading to the addon only where environ is behind process.env, and asks again when process.env was replaced', () => {
  expect(environmentOf({ A: '1' }, true)).toEqual({ env: 'A=1\0', inheritEnv: true });
  fake.sharesEnviron = false;
  process.env = { HOME: '/other' };
  expect(environmentOf({ A: '1' }, true)).toEqual({ env: 'HOME=/other\0A=1\0', inheritEnv: false });
});

it.each([
  ['a proxy', () => new Proxy({ HOME: '/h' }, {})],
  ['frozen', () => Object.freeze({ HOME: '/h' })],
])('reads process.env itself when it is %s', (_, make) => {
  process.env = make();
  expect(environmentOf(undefined, true)).toEqual({ env: 'HOME=/h\0', inheritEnv: false });
});

it('gives every tree an id of its own, without a colon, that another process can not guess', () => {
  const [first, second] = [treeIdOf(newTree()), treeIdOf(newTree())];
  expect(first).toMatch(/^[0-9a-f]{32}\.\d+$/);
  expect(second).not.toBe(first);
  expect(second.split('.')[0]).toBe(first.split('.')[0]);
});
