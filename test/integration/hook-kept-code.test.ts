/** The compiled code of the hook, kept from run to run: used, and only when nobody but us and exactly this bundle can have made it. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Script } from 'node:vm';
import { expect, it } from 'vitest';
import { corralCommand, hookCommand, runCorral } from '../helpers/command.js';
import { eagerProject } from '../helpers/leftovers.js';
import { tempDirectory } from '../helpers/temp.js';

const ID_LENGTH = 64;
const POISON = 'POISON';
const name = `hook-${process.version}-${process.arch}.code`;

/** A user with a cache directory of his own; `run` is one hook that finds nothing to do. */
function user(env: Record<string, string | undefined> = {}) {
  const project = eagerProject();
  const cache = tempDirectory();
  const file = path.join(cache, 'corral', name);
  const run = async () => {
    const result = await runCorral(['hook', '--dry-run'], {
      stdin: '{"hook_event_name":"SessionStart"}',
      env: { ...project.env, XDG_CACHE_HOME: cache, NODE_DISABLE_COMPILE_CACHE: undefined, ...env },
      cwd: project.directory,
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    return result.stdout;
  };
  return { home: project.env.HOME as string, cache, file, run };
}

const isReport = (stdout: string) => (JSON.parse(stdout) as { hook: string; success: boolean }).success;
const inode = (file: string) => lstatSync(file, { bigint: true }).ino;

/** The identity of the bundle, as the launcher has it. */
const bundleId = () => /'([0-9a-f]{64})'/.exec(readFileSync(corralCommand()[1], 'utf8'))?.[1] as string;

/** Code that says POISON instead of sweeping, in a file that is right in every respect: V8 compares nothing but the length of the source. */
function poison(file: string): void {
  const bundle = readFileSync(hookCommand()[1], 'latin1');
  const program = `(function () { process.stdout.write('${POISON}'); process.exit(0); })`;
  const source = program + ' '.repeat(bundle.length - program.length);
  const code = new Script(source, { filename: hookCommand()[1] }).createCachedData();
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, Buffer.concat([Buffer.from(bundleId()), code, code]), { mode: 0o600 });
}

it('is kept by the first run, for its user alone, and left alone by the next', async () => {
  const { file, run } = user();
  expect(isReport(await run())).toBe(true);
  expect(lstatSync(file).mode & 0o777).toBe(0o600);
  expect(lstatSync(path.dirname(file)).mode & 0o777).toBe(0o700);
  expect(readdirSync(path.dirname(file))).toEqual([name]);
  const first = inode(file);
  expect(isReport(await run())).toBe(true);
  expect(inode(file)).toBe(first);
});

it('is what runs (or none of the following would show anything)', async () => {
  const { file, run } = user();
  poison(file);
  expect(await run()).toBe(POISON);
});

const isRoot = process.getuid?.() === 0;
const untrusted: Array<{ title: string; spoil: (file: string) => void; skip?: boolean }> = [
  { title: 'one that others may write', spoil: (file) => chmodSync(file, 0o602) },
  { title: 'one that others may read', spoil: (file) => chmodSync(file, 0o604) },
  { title: 'one that the group may write', spoil: (file) => chmodSync(file, 0o620) },
  { title: 'one of another user', spoil: (file) => chownSync(file, 65534, 65534), skip: !isRoot },
  {
    title: 'a link',
    spoil: (file) => {
      const target = path.join(tempDirectory(), name);
      poison(target);
      rmSync(file);
      symlinkSync(target, file);
    },
  },
  {
    title: 'a named pipe',
    spoil: (file) => {
      rmSync(file);
      execFileSync('mkfifo', ['-m', '600', file]);
    },
  },
  { title: 'nothing at all', spoil: (file) => writeFileSync(file, '') },
  { title: 'one that was cut off', spoil: (file) => writeFileSync(file, readFileSync(file).subarray(0, -2)) },
  { title: 'one of another bundle', spoil: (file) => flip(file, 0) },
  { title: 'one with a wrong bit in its first copy', spoil: (file) => flip(file, ID_LENGTH + 200) },
  { title: 'one with a wrong bit at its end', spoil: (file) => flip(file, readFileSync(file).length - 1) },
  {
    title: 'one of another version of V8',
    spoil: (file) => {
      const half = (readFileSync(file).length - ID_LENGTH) / 2;
      for (const copy of [0, half]) flip(file, ID_LENGTH + copy + 4); // the hash of the version
    },
  },
];

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(file, bytes);
}

for (const { title, spoil, skip } of untrusted) {
  it.skipIf(skip)(`${title} is not run but replaced`, async () => {
    const { file, run } = user();
    poison(file);
    spoil(file);
    expect(isReport(await run())).toBe(true);
    const status = lstatSync(file);
    expect({ isFile: status.isFile(), mode: status.mode & 0o777, uid: status.uid }).toEqual({
      isFile: true,
      mode: 0o600,
      uid: process.getuid?.(),
    });
    const replaced = inode(file);
    expect(isReport(await run())).toBe(true);
    expect(inode(file)).toBe(replaced);
  });
}

it('can not be kept: the answer is the same', async () => {
  const blocked = path.join(tempDirectory(), 'file');
  writeFileSync(blocked, 'in the way');
  const { run } = user({ XDG_CACHE_HOME: blocked });
  expect(isReport(await run())).toBe(true);
  expect(readFileSync(blocked, 'utf8')).toBe('in the way');
});

it('is kept below ~/.cache where XDG_CACHE_HOME is missing or relative', async () => {
  for (const XDG_CACHE_HOME of [undefined, 'relative']) {
    const { home, run } = user({ XDG_CACHE_HOME });
    expect(isReport(await run())).toBe(true);
    expect(readdirSync(path.join(home, '.cache/corral'))).toEqual([name]);
  }
});

it('is not kept where the user wants none', async () => {
  const { cache, run } = user({ NODE_DISABLE_COMPILE_CACHE: '1' });
  expect(isReport(await run())).toBe(true);
  expect(readdirSync(cache)).toEqual([]);
});
