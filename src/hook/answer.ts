/**
 * The one answer of a hook. Whoever comes first gives it, JavaScript or the native watchdog, and the other stays silent:
 * two JSON documents are worse for a host than none.
 */
import { writeSync } from 'node:fs';
import type { NativeAddon } from '../native.js';

/** How long writing the answer may take: a reader that does not read must not hold the host up. */
const WRITE_MS = 500;
/** How long what is done after it may take, if the deadline is not before that. */
const AFTERWARDS_MS = 2000;
const RETRY_MS = 5;

export class Answer {
  #given = false;
  #addon: NativeAddon | undefined;
  #deadlineMs = 0;

  constructor(private readonly fd: number) {}

  /**
   * From now on `fallback` is given at the deadline, whatever JavaScript or /proc is doing. Called again it replaces both.
   * @param remainingMs from now; a deadline that has passed is kept at once.
   */
  promise(addon: NativeAddon, remainingMs: number, fallback: string, exitCode: number): void {
    if (this.#given) return;
    addon.watchdogArm(Math.max(1, Math.round(remainingMs)), this.fd, fallback, exitCode);
    this.#addon = addon;
    this.#deadlineMs = performance.now() + remainingMs;
  }

  /**
   * Gives the answer and ends the process.
   * @param afterwards what is left to be done when the answer is out; it is cut off when it takes too long.
   */
  give(text: string, exitCode: number, afterwards?: () => void): void {
    if (this.#given) return;
    this.#given = true;
    const addon = this.#addon;
    if (addon === undefined) {
      writeAll(this.fd, text);
      process.exit(exitCode);
    }
    // False = too late: the watchdog has the word, and ends the process.
    if (addon.watchdogDisarm()) {
      addon.watchdogArm(WRITE_MS, this.fd, '', exitCode);
      writeAll(this.fd, text);
      if (afterwards !== undefined) {
        const remainingMs = Math.round(this.#deadlineMs - performance.now());
        addon.watchdogArm(Math.max(WRITE_MS, Math.min(AFTERWARDS_MS, remainingMs)), this.fd, '', exitCode);
        afterwards();
      }
      // Not process.exit: that waits for every thread, one that sits in read(2) or in /proc included, and takes the whole heap down first.
      addon.watchdogArm(0, this.fd, '', exitCode);
    }
    pause(WRITE_MS);
  }
}

/** Writes everything, also to a pipe that somebody made non-blocking. A reader that has gone is no error of ours. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      pause(RETRY_MS);
    }
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
