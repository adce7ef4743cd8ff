/**
 * The cgroup of a tree at level `cgroup` (its leaf), in words: what it is called, and why there is none. Pure. Native code
 * makes, uses and removes it; who is in it says tree/members.ts.
 */
import { getSystemErrorMap } from 'node:util';
import type { LeafReport } from '../native.js';

/** Nobody can guess the id of a tree, so a cgroup of this name is the leaf of that tree wherever it is. */
export function leafName(treeId: string): string {
  return `corral-${treeId}`;
}

/** Why there is no leaf; null when there is one. Stages: enum LeafStage of native/sys/cgroup_parse.h. */
export function leafProblem({ flags, stage, errno, directory }: LeafReport): string | null {
  if (flags !== 0) return null;
  const [code, meaning] = getSystemErrorMap().get(errno) ?? [`errno ${-errno}`, 'unknown error'];
  return `${problemOf(stage, directory, code, meaning)}; the keeper alone holds the tree`;
}

function problemOf(stage: number, directory: string, code: string, meaning: string): string {
  switch (stage) {
    case 1:
      return 'no cgroup v2 hierarchy is mounted here';
    case 2:
      return `the mounted cgroup v2 hierarchy does not show the cgroup this program is in${directory && ` (${directory})`}`;
    case 3:
      return `no cgroup can be made in ${directory}: ${code}, ${meaning}${HINTS[code] ?? ''}`;
    case 4:
      return `${directory} is threaded: a cgroup made there can not hold processes`;
    case 5:
      return `the command could not be put into a cgroup in ${directory}: ${code}, ${meaning}`;
    default:
      return 'no cgroup was made';
  }
}

/** What is behind a refused mkdir(2) there, and what to do about it. */
const HINTS: Readonly<Record<string, string>> = {
  EACCES: ' (it is not delegated to this user; systemd-run --user --scope makes one that is)',
  EPERM: ' (it is not delegated to this user; systemd-run --user --scope makes one that is)',
  EROFS: ' (the mount is read-only)',
  EAGAIN: ' (cgroup.max.descendants or cgroup.max.depth is reached)',
};
