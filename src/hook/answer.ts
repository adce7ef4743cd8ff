/**
 * The one answer of a hook. Whoever comes first gives it, JavaScript or the native watchdog, and the other stays silent:
 * two JSON documents are worse for a host than none.
 */
import { writeSync } from 'node:fs';
import type { NativeAddon } from '../native.js';

/** How long the exit itself may take once the answer is out. */
const EXIT_GRACE_MS = 500;

export class Answer {
  #given = false;
  #addon: NativeAddon | undefined;

  constructor(private readonly fd: number) {}

  /**
   * From now on `fallback` is given at the deadline, whatever JavaScript or /proc is doing. Called again it replaces both.
   * @param remainingMs from now; a deadline that has passed is kept at once.
   */
  promise(addon: NativeAddon, remainingMs: number, fallback: string, exitCode: number): void {
    if (this.#given) return;
    this.#addon = addon;
    addon.watchdogArm(Math.max(1, Math.round(remainingMs)), this.fd, fallback, exitCode);
  }

  /** Gives the answer, unless one was given. Returns when it is written. */
  give(text: string, exitCode: number): void {
    if (this.#given) return;
    this.#given = true;
    // False = too late: the watchdog is writing its own answer and ends the process. There is nothing left to do here.
    if (this.#addon !== undefined && !this.#addon.watchdogDisarm()) pause(EXIT_GRACE_MS);
    else {
      // A reader that does not read, or a thread stuck in /proc that the exit waits for, must not hold the host up either.
      this.#addon?.watchdogArm(EXIT_GRACE_MS, this.fd, '', exitCode);
      writeAll(this.fd, text);
    }
  }
}

/** Writes everything, also to a pipe that somebody set non-blocking. A reader that has gone is no error of ours. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      pause(5);
    }
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
