/**
 * `corral run` as one job of a shell: who has the terminal, what Ctrl-Z and fg mean, and how to leave. Ends nothing.
 *
 *   shell (session leader) → corral (the shell's job) → keeper → command (a process group of its own, in the same session)
 *
 * The shell gives the terminal to corral's group, and corral passes it on: the command's group is the foreground group, so the keys
 * reach it and nobody else, and it is told of the window's size. When it stops, corral takes the terminal back and stops as well,
 * which is what the shell sees; when the shell continues corral, it is handed over again. When it ends, the terminal is taken back
 * before the rest of the tree is ended.
 *
 * The terminal stays with the command as long as that lives, also while it is being stopped: a program that is to put the terminal in
 * order before it ends could not do so from the background, SIGTTOU would stop it. So Ctrl-C is always the command's, as that of a
 * shell's own job, and corral's once the command has ended.
 */
import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { native, TERMINAL_BACKGROUND, TERMINAL_FOREGROUND } from '../native.js';
import type { SpawnPlan, TerminalListener } from '../process/options.js';
import { groupOf, parentOf, type Self, self } from '../tree/identity.js';
import { scan } from '../tree/scan.js';
import type { ProcessTable } from '../tree/table.js';
import type { Child, ExitStatus } from '../types.js';

const { SIGINT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU } = constants.signals;
const STDIN = 0;
/** How long a start may seem to be stuck. */
const UNSTICK_MS = 250;
/** What tells who belongs to whom. */
const LINKS = ['ppid', 'pgid', 'state'] as const;

export class Job implements TerminalListener {
  /** Our process group: the shell's job. */
  readonly #group: number;
  /** The command gets the terminal. Otherwise it has a session of its own. */
  readonly #sharesTerminal: boolean;
  readonly #onHangUp: () => void;
  #child: Child | undefined;
  #hasEnded = false;
  /** The terminal is the command's at the moment. */
  #isHanded: boolean;
  /** Modes of the terminal as the shell has set them, and as the command left them when it was stopped. */
  #shellModes: Uint8Array | null = null;
  #commandModes: Uint8Array | null = null;
  #isInterrupted = false;
  /** We were to stop before the command ran. */
  #isToPause = false;
  #unstick: NodeJS.Timeout | undefined;

  /** @param onHangUp the terminal is gone while the command had it, and the kernel has not told us */
  static async open(mayShareTerminal: boolean, onHangUp: () => void): Promise<Job> {
    native(); // where it can not be loaded there is nothing to leave
    // When /proc does not tell who else needs the terminal, it is not taken.
    return new Job(mayShareTerminal && (await isForUs().catch(() => false)), onHangUp);
  }

  private constructor(sharesTerminal: boolean, onHangUp: () => void) {
    this.#sharesTerminal = sharesTerminal;
    this.#group = ourGroup() ?? 0;
    this.#onHangUp = onHangUp;
    this.#isHanded = sharesTerminal && this.#isInForeground();
    if (this.#isHanded) this.#shellModes = native().terminalModes(STDIN);
    process.on('SIGTSTP', () => void this.#pause());
    process.on('SIGCONT', () => this.#resume());
  }

  /** Puts the command where it belongs. */
  place(plan: SpawnPlan): SpawnPlan {
    if (!this.#sharesTerminal) return plan;
    plan.request.terminal = this.#isHanded ? TERMINAL_FOREGROUND : TERMINAL_BACKGROUND;
    plan.onTerminal = this;
    if (this.#isHanded) this.#unstick = setInterval(() => this.#continueStart(), UNSTICK_MS);
    return plan;
  }

  /**
   * Ctrl-Z in the moment between taking the terminal and exec stops the new process while the keeper waits for its exec (vfork), and so
   * can not tell. It is continued; whoever typed it will type it again.
   */
  #continueStart(): void {
    const group = native().terminalGroup(STDIN);
    if (group <= 1 || group === this.#group) return;
    try {
      // A shell may have given the terminal to somebody else meanwhile. Ours is a child of a child of ours, the keeper.
      const keeper = parentOf(group) ?? 0;
      if (keeper > 1 && parentOf(keeper) === process.pid) process.kill(-group, 'SIGCONT');
    } catch {
      // It has just ended, or /proc can not be read.
    }
  }

  started(child: Child): void {
    clearInterval(this.#unstick);
    this.#child = child;
    if (this.#isToPause) void this.#pause();
  }

  /** The command has ended, or (absent) could not be started: the terminal is the shell's job's again. */
  ended(end?: Pick<ExitStatus, 'exitCode' | 'signal'>): void {
    clearInterval(this.#unstick);
    this.#hasEnded = true;
    if (!this.#isHanded) return;
    this.#isInterrupted = end?.signal === 'SIGINT';
    // Who ended by himself leaves the modes as he wants them (stty); who was killed has had no chance to put them back.
    this.#takeBack(end?.exitCode === null);
  }

  // ---- the command was stopped ------------------------------------------------------------------------------------------

  /** Ctrl-Z, or it touched the terminal from the background: then we are stopped as well, and the shell has its prompt. */
  stopped(signal: number): void {
    void this.#followStop(signal).catch(() => {}); // /proc can not be read: the command waits for who can continue it
  }

  async #followStop(signal: number): Promise<void> {
    const isOrphaned = isOrphanedGroup(this.#group, await ourSession());
    if (this.#hasEnded) return;
    if (isOrphaned) {
      this.#answerForShell(signal);
      return;
    }
    // The shell has given us the terminal without a word: fg of a job that was running.
    if ((signal === SIGTTIN || signal === SIGTTOU) && this.#isInForeground()) {
      this.#resume();
      return;
    }
    if (this.#isHanded) {
      this.#commandModes = native().terminalModes(STDIN);
      this.#takeBack(true);
    }
    native().suspend(signal === SIGTTIN || signal === SIGTTOU ? signal : SIGTSTP, true);
    // Goes on at SIGCONT.
  }

  /** No shell is there that could continue us. The kernel discards the stop signals of such a group, or hangs up on it. */
  #answerForShell(signal: number): void {
    if (signal === SIGSTOP) return; // somebody means it, and will continue it
    if (this.#isHanded || this.#isInForeground()) this.#resume();
    else this.#onHangUp();
  }

  /** Somebody stops us by a signal: corral alone, or Ctrl-Z where the command has no terminal. */
  async #pause(): Promise<void> {
    this.#isToPause = this.#child === undefined;
    if (this.#isToPause) return;
    if (this.#hasEnded) {
      native().suspend(SIGTSTP, false);
    } else if (this.#sharesTerminal) {
      this.#signal('SIGTSTP'); // and when it has stopped, so do we
    } else {
      const table = await ourSession().catch(() => undefined);
      if (table === undefined || isOrphanedGroup(this.#group, table)) return;
      this.#signal('SIGSTOP'); // it leads a session: there the kernel discards SIGTSTP
      native().suspend(SIGTSTP, false);
    }
  }

  /** SIGCONT: fg, if the terminal is ours now, else bg. */
  #resume(): void {
    if (this.#child === undefined || this.#hasEnded) return;
    if (this.#sharesTerminal) {
      const group = native().terminalGroup(STDIN);
      if (group === this.#group) this.#handOver(this.#child.pgid);
      else this.#isHanded = group === this.#child.pgid;
    }
    this.#signal('SIGCONT');
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      this.#child?.killGroup(signal);
    } catch {
      // Another user's: it can not be stopped or continued by us.
    }
  }

  // ---- the terminal -----------------------------------------------------------------------------------------------------

  hungUp(): void {
    if (this.#hasEnded || !this.#isHanded) return;
    this.#isHanded = false;
    this.#onHangUp();
  }

  #isInForeground(): boolean {
    return native().terminalGroup(STDIN) === this.#group;
  }

  #handOver(group: number): void {
    this.#shellModes = native().terminalModes(STDIN);
    // Refused when the whole group has ended meanwhile, at its timeout.
    this.#isHanded = native().setTerminalGroup(STDIN, group) === 0;
    if (this.#isHanded && this.#commandModes !== null) native().setTerminalModes(STDIN, this.#commandModes);
    this.#commandModes = null;
  }

  #takeBack(withModes: boolean): void {
    this.#isHanded = false;
    // We may have been stopped and continued unnoticed: then a shell around us has it, and has set it up for itself.
    const group = native().terminalGroup(STDIN);
    if ([...self().ancestors].some((pid) => groupOf(pid) === group && group !== this.#group)) return;
    native().setTerminalGroup(STDIN, this.#group);
    if (withModes && this.#shellModes !== null) native().setTerminalModes(STDIN, this.#shellModes);
  }

  /**
   * Ends corral, leaving the terminal alone: Node would put back the modes of its own start, whoever's the terminal is by now (`| less`,
   * a prompt), and abort when it has hung up.
   *
   * After Ctrl-C corral dies of SIGINT like the command. To a shell that is status 130 as well, but by the death it tells whether to go
   * on with a script or a loop. Whoever waits for corral in the shell's job (npx, a script) did not get the key, since the terminal was
   * the command's, and gets it now.
   * @param interruptedBy the signal that we got ourselves
   */
  leave(status: number, interruptedBy: NodeJS.Signals | undefined): never {
    const byUs = this.#isInterrupted && interruptedBy === undefined;
    const isKey = (byUs || interruptedBy === 'SIGINT') && status === 128 + SIGINT;
    // Without a shell in the session nobody draws conclusions from it, and 130 is what is documented.
    const tellsShell = isKey && !leadsSession() && [0, 1, 2].some((fd) => native().terminalGroup(fd) > 0);
    return native().leave(status, tellsShell ? SIGINT : 0, byUs);
  }
}

/**
 * Whether the command may have the terminal: it is stdin, our session's, and nobody else in the shell's job needs it. The `less` of
 * `corral … | less` would be stopped when it reads a key. So a pipe on stdout or stderr is answer enough, since its reader may not have
 * been started yet; else everyone in our group has to be waiting for us (npx, a script).
 */
async function isForUs(): Promise<boolean> {
  if (native().terminalGroup(STDIN) < 0 || isPipe(1) || isPipe(2)) return false;
  const ourselves = self();
  return isAwaited(await scan({ fields: LINKS, sid: ourselves.sid }), ourselves);
}

/** Whether everybody in our group is an ancestor of ours. Pure. */
export function isAwaited(table: ProcessTable, { pid, pgid, ancestors }: Pick<Self, 'pid' | 'pgid' | 'ancestors'>): boolean {
  return table.group(pgid).every((row) => row.pid === pid || ancestors.has(row.pid) || !table.isLive(row.pid));
}

async function ourSession(): Promise<ProcessTable> {
  return scan({ fields: LINKS, sid: self().sid });
}

/** Undefined where /proc does not show ourselves. */
function ourGroup(): number | undefined {
  try {
    return self().pgid;
  } catch {
    return undefined;
  }
}

function leadsSession(): boolean {
  try {
    return self().sid === process.pid;
  } catch {
    return true; // not known: the documented status, then
  }
}

function isPipe(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket();
  } catch {
    return false; // closed
  }
}

/** Whether nobody outside the group but in its session is the parent of a member, and so could continue it (setpgid(2)). Pure. */
export function isOrphanedGroup(pgid: number, session: ProcessTable): boolean {
  return !session.group(pgid).some((row) => {
    const parent = session.get(row.ppid ?? 0);
    return parent !== undefined && parent.pgid !== pgid;
  });
}
