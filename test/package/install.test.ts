/** What a user gets: the packed tarball, installed without scripts and without a compiler, by import, by require and on the command line. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile } from '../../scripts/lib/node-gyp.mjs';
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
    const below = (directory: string, keep = /./) =>
      filesBelow(path.join(projectRoot, directory))
        .filter((file) => keep.test(file))
        .map((file) => `${directory}/${file}`);
    const papers = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
    const sources = [...below('native'), 'binding.gyp', 'scripts/embed-keeper.mjs'];
    const built = [...below('dist', /\.(c?js|d\.c?ts)$/), ...below('prebuilds', /\.node$/), 'prebuilds/manifest.json'];
    const expected = [...papers, ...sources, ...built];
    expect(consumer.files).toEqual(expected.sort());
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

  it('can be compiled where it is, by those who have a compiler', async () => {
    const other = makeConsumer({ ignoreScripts: true });
    try {
      rmSync(path.join(other.installed, 'prebuilds'), { recursive: true });
      expect(await compile(other.installed)).toBe(path.join(other.installed, 'build/Release/corral.node'));
      expect(
        other.node('-p', "require('corral').listProcesses({ pids: [process.pid] }).then((list) => console.log(list.length)), ''").trim(),
      ).toBe('1');
    } finally {
      other.remove();
    }
  }, 600_000);
});
