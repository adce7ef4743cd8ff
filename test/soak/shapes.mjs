/**
 * Shapes of trees, made of the artist of test/fixtures/c. A tree of a shape ends by itself after half a minute.
 * `needsKeeper`: parts of it can not be found from outside, since they left their session and lost their parent.
 */
const SHAPES = [
  { name: 'one', script: 'exec "$1" wait' },
  { name: 'stubborn', script: 'exec "$1" ignore' },
  { name: 'exits on the signal', script: 'exec "$1" status 3' },
  { name: 'a member that ignores it when the leader has gone', script: '"$1" ignore & exec "$1" status 3' },
  { name: 'herd', script: 'exec "$1" herd 20' },
  { name: 'stopped', script: '"$1" stop & exec "$1" wait' },
  { name: 'other group', script: 'set -m; "$1" ignore & "$1" wait & wait' },
  { name: 'other session', script: 'setsid "$1" ignore & exec "$1" wait', leaves: true },
  { name: 'headless', script: 'setsid "$1" headless & exec "$1" wait', leaves: true },
  { name: 'thread', script: 'exec "$1" thread "$1" chain 3', leaves: true },
  { name: 'flock', script: 'exec "$1" flock 20', leaves: true },
  { name: 'chain', script: 'exec "$1" chain 10', leaves: true },
  { name: 'daemon', script: '"$1" daemon ignore; exec "$1" wait', needsKeeper: true },
  { name: 'daemon without an environment', script: 'env -i "$1" daemon ignore; exec "$1" wait', needsKeeper: true },
  { name: 'hop', script: 'exec "$1" hop 2', needsKeeper: true },
  { name: 'storm', script: 'exec "$1" storm 2', needsKeeper: true },
  { name: 'hydra', script: 'exec "$1" hydra 3', needsKeeper: true },
  { name: 'exits at once', script: '"$1" daemon wait & exit 0', needsKeeper: true },
];

/** Which may be ended how: `tree` by a keeper, `group` by the watch thread and a scan of the session, `found` by killTree. */
export const shapesFor = {
  tree: SHAPES,
  group: SHAPES.filter(({ leaves, needsKeeper }) => !leaves && !needsKeeper),
  found: SHAPES.filter(({ needsKeeper }) => !needsKeeper),
};
