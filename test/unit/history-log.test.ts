import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { appendRun, localTimestamp, type RunRecord, readRuns } from '../../src/history/log.js';
import { logPlace, stateDirectory, stateLogPath } from '../../src/history/paths.js';
import { native } from '../../src/native.js';
import { tempDirectory } from '../helpers/temp.js';

function run(number: number, cleaned = 0): RunRecord {
  const details = Array.from({ length: cleaned }, (_, index) => ({
    pid: 100 + index,
    type: 'ripgrep',
    reason: 'long_running',
    running_time: 301.25,
    name: 'rg',
  }));
  return {
    timestamp: `2026-01-01T00:00:00.${String(number).padStart(6, '0')}`,
    stats: { ripgrep_cleaned: cleaned, bash_cleaned: 0, total_cleaned: cleaned, failed: 0, details },
  };
}

function project({ moai = true } = {}) {
  const base = tempDirectory();
  const root = path.join(base, 'project');
  mkdirSync(moai ? path.join(root, '.moai') : root, { recursive: true });
  const env = { HOME: base, XDG_STATE_HOME: path.join(base, 'state') };
  const log = path.join(root, '.moai', 'cache', 'process_cleanup_log.json');
  return { base, root, env, log, append: (record: RunRecord, keep?: number) => appendRun(record, { projectRoot: root, env, keep }) };
}
const numbers = (file: string) => readRuns(file).runs.map(({ timestamp }) => Number(timestamp.slice(-6)));
/** What is left beside the log: no lock, no draft. */
const besides = (file: string) => readdirSync(path.dirname(file)).filter((name) => name !== path.basename(file));

describe('the place of the log', () => {
  it('is .moai/cache when the project has .moai', () => {
    const { root, env, log } = project();
    expect(logPlace(root, env)).toEqual({ path: log, within: root, warnings: [] });
  });

  it('is the state directory otherwise, by project', () => {
    const { root, env } = project({ moai: false });
    const { path: file } = logPlace(root, env);
    expect(file).toMatch(/\/state\/corral\/[0-9a-f]{16}\/process_cleanup_log\.json$/);
    expect(logPlace(path.join(root, '.'), env).path).toBe(file);
    expect(logPlace(`${root}2`, env).path).not.toBe(file);
  });

  it('is the same for a project reached by a link', () => {
    const { base, root, env } = project({ moai: false });
    symlinkSync(root, path.join(base, 'link'));
    expect(stateLogPath(path.join(base, 'link'), env)).toBe(stateLogPath(root, env));
  });

  it('is what the user says', () => expect(logPlace('/p', {}, '/x/log.json')).toEqual({ path: '/x/log.json', warnings: [] }));

  it('lies below XDG_STATE_HOME', () => {
    expect(stateDirectory({ XDG_STATE_HOME: '/s', HOME: '/h' })).toBe('/s/corral');
    expect(stateDirectory({ XDG_STATE_HOME: 's', HOME: '/h' })).toBe('/h/.local/state/corral');
    expect(stateDirectory({ HOME: '/h' })).toBe('/h/.local/state/corral');
  });
});

describe('a run is appended', () => {
  it('newest last, also when nothing was cleaned; mode 0600; nothing left beside it', async () => {
    const { log, append } = project();
    expect(await append(run(1, 2))).toEqual({ path: log, warnings: [] });
    await append(run(2));
    expect(JSON.parse(readFileSync(log, 'utf8'))).toEqual([run(1, 2), run(2)]);
    expect(statSync(log).mode & 0o777).toBe(0o600);
    expect(besides(log)).toEqual([]);
  });

  it('and the last 30 are kept, or as many as the user wants', async () => {
    const { log, append } = project();
    for (let number = 1; number <= 33; number++) await append(run(number));
    expect(numbers(log)).toEqual(Array.from({ length: 30 }, (_, index) => index + 4));
    await append(run(34), 3);
    expect(numbers(log)).toEqual([32, 33, 34]);
  });

  it('with the established keys of a detail first', async () => {
    const { log, append } = project();
    await append(run(1, 1));
    const [{ stats }] = JSON.parse(readFileSync(log, 'utf8'));
    expect(Object.keys(stats)).toEqual(['ripgrep_cleaned', 'bash_cleaned', 'total_cleaned', 'failed', 'details']);
    expect(Object.keys(stats.details[0]).slice(0, 4)).toEqual(['pid', 'type', 'reason', 'running_time']);
  });

  it('so that the two queries of the documentation work', async () => {
    const { log, append } = project();
    for (let number = 1; number <= 4; number++) await append(run(number, number));
    const runs = JSON.parse(readFileSync(log, 'utf8')) as RunRecord[];
    expect(runs.at(-1)).toEqual(run(4, 4)); // jq '.[-1]'
    // jq '[.[] | .stats.total_cleaned] | add'
    expect(runs.map(({ stats }) => stats.total_cleaned).reduce((sum, one) => sum + one)).toBe(10);
  });

  it('by many at once in one program, none lost', async () => {
    const { log, append } = project();
    await Promise.all(Array.from({ length: 20 }, (_, index) => append(run(index))));
    expect(numbers(log).sort((left, right) => left - right)).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect(besides(log)).toEqual([]);
  });
});

describe('what is there but no log', () => {
  it.each([
    ['text', 'hello'],
    ['half of it', '[{"timestamp": "2026'],
    ['an object', '{"a": 1}'],
    ['null', 'null'],
  ])('is moved aside and never lost: %s', async (_, content) => {
    const { log, append } = project();
    mkdirSync(path.dirname(log));
    writeFileSync(log, content);
    const { warnings } = await append(run(1));
    expect(numbers(log)).toEqual([1]);
    const [aside, ...others] = besides(log);
    expect(others).toEqual([]);
    expect(aside).toMatch(/^process_cleanup_log\.json\.corrupt-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{6}$/);
    expect(readFileSync(path.join(path.dirname(log), aside as string), 'utf8')).toBe(content);
    expect(warnings).toEqual([expect.stringContaining(`it was moved to ${aside}`)]);
  });

  it('some entries: the others are kept', async () => {
    const { log, append } = project();
    mkdirSync(path.dirname(log));
    writeFileSync(log, JSON.stringify([run(1), 5, null, { timestamp: 'x' }, { timestamp: 'x', stats: {} }, run(2)]));
    expect((await append(run(3))).warnings).toEqual([expect.stringContaining('4 of its entries are no runs')]);
    expect(numbers(log)).toEqual([1, 2, 3]);
    expect(besides(log)).toHaveLength(1);
  });

  it('twice: both are kept', async () => {
    const { log, append } = project();
    mkdirSync(path.dirname(log));
    for (let time = 0; time < 2; time++) {
      writeFileSync(log, 'x');
      await append(run(1));
    }
    expect(besides(log)).toHaveLength(2);
  });

  it.each(['', ' \n'])('an empty file (%j) is a fresh one', async (content) => {
    const { log, append } = project();
    mkdirSync(path.dirname(log));
    writeFileSync(log, content);
    expect((await append(run(1))).warnings).toEqual([]);
    expect(besides(log)).toEqual([]);
  });

  it('a directory: moved aside as well', async () => {
    const { log, append } = project();
    mkdirSync(log, { recursive: true });
    expect((await append(run(1))).warnings).toEqual([expect.stringContaining('expected a file')]);
    expect(numbers(log)).toEqual([1]);
  });

  it('an enormous file: not read', async () => {
    const { log, append } = project();
    mkdirSync(path.dirname(log));
    writeFileSync(log, ' '.repeat(9 * 1024 * 1024));
    expect((await append(run(1))).warnings).toEqual([expect.stringContaining('expected at most 8388608 bytes')]);
  });
});

describe('links', () => {
  it('for a log are replaced, their target untouched', async () => {
    const { base, log, append } = project();
    const victim = path.join(base, 'victim');
    writeFileSync(victim, JSON.stringify([run(7)]));
    mkdirSync(path.dirname(log));
    symlinkSync(victim, log);
    expect((await append(run(1))).warnings).toEqual([expect.stringContaining('it is a symbolic link')]);
    expect(lstatSync(log).isFile()).toBe(true);
    expect(numbers(log)).toEqual([1]);
    expect(JSON.parse(readFileSync(victim, 'utf8'))).toEqual([run(7)]);
  });

  it.each(['.moai', '.moai/cache'])('that lead out of the project are not followed: %s', async (name) => {
    const { base, root, env, append } = project({ moai: name !== '.moai' });
    const outside = path.join(base, 'outside');
    mkdirSync(outside);
    symlinkSync(outside, path.join(root, name));
    const { path: file, warnings } = await append(run(1));
    expect(file).toBe(stateLogPath(root, env));
    expect(warnings).toEqual([expect.stringContaining('leads out of the project')]);
    expect(readdirSync(outside)).toEqual([]);
  });

  it('that lead nowhere are not followed', async () => {
    const { base, root, env, append } = project();
    symlinkSync(path.join(base, 'nowhere'), path.join(root, '.moai', 'cache'));
    expect((await append(run(1))).path).toBe(stateLogPath(root, env));
    expect(readdirSync(base).sort()).toEqual(['project', 'state']);
  });

  it('within the project are', async () => {
    const { root, append } = project();
    mkdirSync(path.join(root, 'elsewhere'));
    symlinkSync('../elsewhere', path.join(root, '.moai', 'cache'));
    expect((await append(run(1))).warnings).toEqual([]);
    expect(readdirSync(path.join(root, 'elsewhere'))).toEqual(['process_cleanup_log.json']);
  });
});

describe('a place that can not be written', () => {
  it('.moai is a file: as if there were none', async () => {
    const { root, env, append } = project({ moai: false });
    writeFileSync(path.join(root, '.moai'), '');
    expect(await append(run(1))).toEqual({ path: stateLogPath(root, env), warnings: [] });
  });

  it('.moai/cache is a file: the state directory, and said', async () => {
    const { root, env, append } = project();
    writeFileSync(path.join(root, '.moai', 'cache'), '');
    const { path: file, warnings } = await append(run(1));
    expect(file).toBe(stateLogPath(root, env));
    expect(warnings).toEqual([expect.stringContaining('could not be recorded')]);
  });

  it('nowhere at all: said, not thrown', async () => {
    const { base, root } = project();
    writeFileSync(path.join(base, 'file'), '');
    writeFileSync(path.join(root, '.moai', 'cache'), '');
    const { path: file, warnings } = await appendRun(run(1), { projectRoot: root, env: { XDG_STATE_HOME: path.join(base, 'file') } });
    expect(file).toBeUndefined();
    expect(warnings).toHaveLength(2);
  });

  it('the user’s own: said, and no other is chosen', async () => {
    const { base, root, env } = project();
    writeFileSync(path.join(base, 'file'), '');
    const result = await appendRun(run(1), { projectRoot: root, env, configuredPath: path.join(base, 'file', 'log.json') });
    expect(result).toEqual({ warnings: [expect.stringContaining('could not be recorded')] });
  });

  it('the state directory is for the user alone', async () => {
    const { root, env } = project({ moai: false });
    chmodSync(path.dirname(root), 0o755);
    await appendRun(run(1), { projectRoot: root, env });
    expect(statSync(stateDirectory(env)).mode & 0o777).toBe(0o700);
  });
});

describe('time', () => {
  it('is local and has six digits, as Python’s isoformat', () => {
    expect(localTimestamp(new Date(2026, 1, 3, 4, 5, 6, 7))).toBe('2026-02-03T04:05:06.007000');
    expect(localTimestamp(new Date(2026, 11, 31, 23, 59, 59, 999))).toBe('2026-12-31T23:59:59.999000');
    expect(localTimestamp(new Date(1969, 6, 20, 20, 17, 40, 5))).toBe('1969-07-20T20:17:40.005000');
  });

  it('is the same without the addon', async () => {
    native();
    vi.resetModules();
    const fresh = await import('../../src/history/log.js');
    const { loadedNative } = await import('../../src/native.js');
    expect(loadedNative()).toBeUndefined();
    const dates = [new Date(0), new Date(2026, 2, 29, 2, 30), new Date(2026, 6, 1, 12, 0, 0, 1)];
    expect(dates.map(fresh.localTimestamp)).toEqual(dates.map(localTimestamp));
  });
});
