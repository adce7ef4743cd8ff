/**
 * The cgroup of a tree at level `cgroup` (its leaf), in words: what it is called, and why there is none. Pure. Native code
 * makes, uses and removes it; who is in it says tree/members.ts.
 */
import { getSystemErrorMap } from 'node:util';

/** Fields of the `started` event. */
export interface LeafEvent {
  leaf: number;
  leafStage: number;
  leafErrno: number;
  leafDirectory: string;
}

/** Nobody can guess the id of a tree, so a cgroup of this name is the leaf of that tree wherever it is. */
export function leafName(treeId: string): string {
  return `corral-${treeId}`;
}

/** Index = enum LeafStage of native/sys/cgroup.h. */
const PROBLEMS: ReadonlyArray<(where: string, why: string) => string> = [
  () => 'no cgroup was made',
  () => 'no cgroup v2 hierarchy is mounted here',
  (where) => `the mounted cgroup v2 hierarchy does not show the cgroup this program is in${where && ` (${where})`}`,
  (where, why) => `no cgroup can be made in ${where}: ${why}`,
  (where) => `${where} is threaded: a cgroup made there can not hold processes`,
  (where, why) => `the command could not be put into a cgroup in ${where}: ${why}`,
];

/** Why there is no leaf; null when there is one. */
export function leafProblem({ leaf, leafStage, leafErrno, leafDirectory }: LeafEvent): string | null {
  if (leaf !== 0) return null;
  const [code, meaning] = getSystemErrorMap().get(leafErrno) ?? [`errno ${-leafErrno}`, 'unknown error'];
  const problem = PROBLEMS[leafStage] ?? PROBLEMS[0];
  return `${problem?.(leafDirectory, `${code}, ${meaning}`)}${leafHint(leafStage, code)}; the keeper alone holds the tree`;
}

function leafHint(stage: number, code: string): string {
  if (stage === 3 && (code === 'EACCES' || code === 'EPERM'))
    return ' (it is not delegated to this user; systemd-run --user --scope makes one that is)';
  if (stage === 3 && code === 'EROFS') return ' (the mount is read-only)';
  if (stage === 3 && code === 'EAGAIN') return ' (cgroup.max.descendants or cgroup.max.depth is reached)';
  return '';
}
