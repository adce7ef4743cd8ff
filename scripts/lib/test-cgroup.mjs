/**
 * A cgroup v2 directory of one test run's own, where the machine lets us make one: the run is inside it, so the cgroups that tests make are
 * below it and can be counted at the end. Knows nothing of the product.
 */
import { chownSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const PREFIX = 'test-corral-';
/** What a user has to own to make cgroups in a directory and to move processes within it (cgroups(7), "Cgroups delegation"). */
const DELEGATED = ['', 'cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads'];

/** The directory of the cgroup we are in; undefined: none that we can see. */
function ownCgroup() {
  const own = /^0::(\/.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  const mount = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((line) => line.includes(' - cgroup2 '))
    ?.split(' ');
  if (own === undefined || mount === undefined) return undefined;
  const [root, point] = [mount[3] === '/' ? '' : mount[3], mount[4]];
  return own === root || own.startsWith(`${root}/`) ? path.join(point, own.slice(root.length)) : undefined;
}

/** Every cgroup below a directory, deepest first. */
export function cgroupsBelow(directory) {
  const below = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return below.flatMap(({ name }) => [...cgroupsBelow(path.join(directory, name)), path.join(directory, name)]);
}

/** Gone, or still in use: both are none of our business. */
function tryRemove(directory) {
  try {
    for (const below of cgroupsBelow(directory)) rmdirSync(below);
    rmdirSync(directory);
    return true;
  } catch {
    return false;
  }
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** @param {number} [uid] whom it is delegated to; undefined as a result: this machine has none for us. */
export function makeTestCgroup(uid) {
  try {
    const parent = ownCgroup();
    for (const name of readdirSync(parent)) {
      const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length)) : process.pid;
      if (!isRunning(pid)) tryRemove(path.join(parent, name)); // of a run that was killed
    }
    const directory = path.join(parent, `${PREFIX}${process.pid}`);
    mkdirSync(directory);
    if (uid !== undefined) for (const name of DELEGATED) chownSync(path.join(directory, name), uid, uid);
    return directory;
  } catch {
    return undefined;
  }
}

/** Puts this process, and so whatever it starts, into a cgroup; false: not allowed. */
export function enterCgroup(directory) {
  try {
    writeFileSync(path.join(directory, 'cgroup.procs'), '0');
    return true;
  } catch {
    return false;
  }
}

/** Where a run freezes a process by cgroup v1, as root; named after its directory (CORRAL_TEST_ROOT), so that out here it can be thawed. */
export const testFreezer = (root) => path.join('/sys/fs/cgroup/freezer', path.basename(root));

/** What is frozen there does not even die of SIGKILL. */
export function thawTestFreezer(root) {
  try {
    writeFileSync(path.join(testFreezer(root), 'freezer.state'), 'THAWED');
  } catch {
    // Nothing is.
  }
}

/** At the end of the run, when every process of it is dead or dying. */
export async function removeTestCgroup(directory) {
  for (let wait = 1; !tryRemove(directory) && wait < 2000; wait *= 2) await new Promise((resolve) => setTimeout(resolve, wait));
}
