/** How an owner of a cell blocks its JavaScript; for owner.mjs, and for the owners of other tools (bench/containment/peer.mjs). */
import { readSync } from 'node:fs';

/** Nothing of Node's runs until the byte comes: timers, promises and events wait. */
export function block() {
  const byte = Buffer.alloc(1);
  for (;;) {
    try {
      if (readSync(0, byte) === 1) return;
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}
