/** What a user gets: the packed tarball, installed without scripts and without a compiler, by import, by require and on the command line. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Consumer, filesBelow, makeConsumer, projectRoot } from './consumer.js';

const version = (JSON.parse(readFileSync(path.join(projectRoot, 'package.json'), 'utf8')) as { version: string }).version;

let consumer: Consumer;
beforeAll(() => {
  consumer = makeConsumer({ ignoreScripts: true });
});
afterAll(() => consumer.remove());

const command = (...args: string[]) => consumer.node(path.join(consumer.directory, 'node_modules/.bin/corral'), ...args);

describe('the tarball', () => {
  it('holds what was built, the sources of the addon, and the papers', () => {
    const single = ['CHANGELOG.md', 'LICENSE', 'README.md', 'binding.gyp', 'package.json', 'prebuilds/manifest.json'];
    const below = (directory: string, keep: RegExp) =>
      filesBelow(path.join(projectRoot, directory))
        .filter((file) => keep.test(file))
        .map((file) => `${directory}/${file}`);
    const expected = [...single, ...below('dist', /\.(c?js|d\.c?ts)$/), ...below('native', /./), ...below('prebuilds', /\.node$/)];
    expect(consumer.files).toEqual(expected.sort());
  });

  it('has everything the addon is compiled from', () => {
    const gyp = readFileSync(path.join(consumer.installed, 'binding.gyp'), 'utf8');
    const named = [...gyp.matchAll(/"((?:native|scripts)\/[\w./-]+\.\w+)"/g)].map((match) => match[1] as string);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((file) => !existsSync(path.join(consumer.installed, file)))).toEqual([]);
  });

  it('has no install script', () => {
    const { scripts = {}, gypfile } = JSON.parse(readFileSync(path.join(consumer.installed, 'package.json'), 'utf8'));
    expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([]);
    expect(gypfile).toBe(false);
  });
});

describe('the installation', () => {
  it('loads the prebuilt binary', () => {
    expect(existsSync(path.join(consumer.installed, 'build'))).toBe(false);
    const loaded = consumer.node('-p', `require('node-gyp-build').path(${JSON.stringify(consumer.installed)})`).trim();
    expect(loaded).toBe(path.join(consumer.installed, `prebuilds/linux-${process.arch}/corral.glibc.node`));
  });

  it.each(['embed.mjs', 'embed.cjs'])('runs examples/%s', (name) => {
    cpSync(path.join(projectRoot, 'examples', name), path.join(consumer.directory, name));
    expect(consumer.node(name).trim().split('\n')).toEqual([
      '3 members',
      '3 ended, 0 left, proof: echild',
      '2 ended, others live on',
      'stopped',
    ]);
  });

  it('gives import and require the same module', () => {
    const script =
      "import('corral').then((m) => console.log(m.spawn === require('corral').spawn, m.ProcessManager === require('corral').ProcessManager))";
    expect(consumer.node('-e', script).trim()).toBe('true true');
  });

  it('answers corral --version', () => {
    expect(command('--version').trim()).toBe(version);
  });

  it('answers corral doctor --json', () => {
    const report = JSON.parse(command('doctor', '--json'));
    expect(report).toBeTypeOf('object');
  });

  it('answers the hook', () => {
    const answer = execFileSync(
      path.join(consumer.env.PATH as string, 'node'),
      [path.join(consumer.installed, 'dist/corral.cjs'), 'hook', '--dry-run'],
      {
        cwd: consumer.directory,
        env: consumer.env,
        input: JSON.stringify({ hook_event_name: 'SessionStart', session_id: 's', cwd: consumer.directory, source: 'startup' }),
        encoding: 'utf8',
      },
    );
    expect(JSON.parse(answer)).toBeTypeOf('object');
  });

  it('compiles nothing when scripts are allowed, either', () => {
    const other = makeConsumer({ ignoreScripts: false });
    try {
      expect(existsSync(path.join(other.installed, 'build'))).toBe(false);
      expect(other.node('-p', "typeof require('corral').spawn").trim()).toBe('function');
    } finally {
      other.remove();
    }
  });
});
