/**
 * A project of somebody else that has corral installed: the packed tarball, its dependencies packed from node_modules (so that no
 * registry is asked), and a PATH on which there is nothing but node and a shell.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot = fileURLToPath(new URL('../..', import.meta.url));
const projectPackage = readPackage(projectRoot);

interface PackageJson {
  name: string;
  version: string;
  dependencies?: Record<string, string>;
}

function readPackage(directory: string): PackageJson {
  return JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as PackageJson;
}

/** Names of all packages that an installation of corral brings, itself excluded. */
function productionDependencies(): string[] {
  const found = new Set<string>();
  const add = (name: string) => {
    if (found.has(name)) return;
    found.add(name);
    for (const next of Object.keys(readPackage(path.join(projectRoot, 'node_modules', name)).dependencies ?? {})) add(next);
  };
  for (const name of Object.keys(projectPackage.dependencies ?? {})) add(name);
  return [...found].sort();
}

/** npm itself, found through PATH before that is taken away. */
function npmScript(): string {
  return realpathSync(execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim());
}

export interface Consumer {
  directory: string;
  tarball: string;
  /** Paths inside the tarball, sorted. */
  files: string[];
  /** Where corral is installed. */
  installed: string;
  /** Environment with the bare PATH. */
  env: Record<string, string>;
  /** Runs node in the project and answers with stdout; throws with stderr when it fails. */
  node(...args: string[]): string;
  remove(): void;
}

export function makeConsumer(options: { ignoreScripts: boolean }): Consumer {
  const root = mkdtempSync(path.join(tmpdir(), 'corral-consumer-'));
  const directory = path.join(root, 'project');
  const bin = path.join(root, 'bin');
  mkdirSync(directory);
  mkdirSync(bin);
  symlinkSync(process.execPath, path.join(bin, 'node'));
  for (const name of ['sh', 'sleep', 'setsid']) symlinkSync(`/usr/bin/${name}`, path.join(bin, name));

  const npm = npmScript();
  const offline = ['--offline', '--no-audit', '--no-fund', '--no-update-notifier', `--cache=${path.join(root, 'npm-cache')}`];
  const pack = (folders: string[]) => {
    const args = [npm, 'pack', '--json', '--ignore-scripts', `--pack-destination=${root}`, ...offline, ...folders];
    return JSON.parse(execFileSync(process.execPath, args, { cwd: projectRoot, encoding: 'utf8' })) as Array<{
      filename: string;
      files: Array<{ path: string }>;
    }>;
  };
  const [self] = pack(['.']);
  if (self === undefined) throw new Error('npm pack made nothing');
  const others = pack(productionDependencies().map((name) => `./node_modules/${name}`));

  writeFileSync(path.join(directory, 'package.json'), JSON.stringify({ name: 'consumer', version: '1.0.0', private: true }));
  const env = { PATH: bin, HOME: root, TMPDIR: tmpdir() };
  const tarballs = [...others, self].map(({ filename }) => path.join(root, path.basename(filename)));
  const scripts = options.ignoreScripts ? ['--ignore-scripts'] : [];
  execFileSync(process.execPath, [npm, 'install', ...scripts, ...offline, ...tarballs], {
    cwd: directory,
    env,
    encoding: 'utf8',
    stdio: 'pipe',
  });

  return {
    directory,
    tarball: path.join(root, path.basename(self.filename)),
    files: self.files.map((file) => file.path).sort(),
    installed: path.join(directory, 'node_modules', projectPackage.name),
    env,
    node: (...args) =>
      execFileSync(path.join(bin, 'node'), args, { cwd: directory, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** All files below a directory, relative to it. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort();
}
