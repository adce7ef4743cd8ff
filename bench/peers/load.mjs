// Imports a peer from the directory this file was copied to, so that bare names resolve in the peers' own node_modules.
export const load = (name) => import(name);
