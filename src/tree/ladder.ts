/**
 * The escalation: freeze, ask, wait, freeze, kill, prove. Pure: no clock, no system call, no timer. The driver (terminate.ts) tells
 * what happened and when, and does what the answer says.
 *
 *   freezing  SIGSTOP to every member, then look again, until a look finds nobody new and everybody standing still: what stands
 *             still does not fork. Without it the child would be lost of a process that forks between the look and its death:
 *             its parent gone, nothing tells that it belongs here. Comes before asking and again before killing.
 *   asking    killSignal to every member once, while it stands still, then SIGCONT to all; members that turn up later are asked when
 *             they are found. Until nobody is left, or the grace period is over.
 *   killing   SIGKILL to every member, children before parents; newcomers go through freezing again, a few times.
 *   judging   the time for that is over too: one more look, for the reasons.
 *   settled   nobody is left: two complete looks in a row found nobody, since one look is not one instant and may miss
 *             a child with a low number. Or somebody is, and it is said who and why.
 */

/** Any string that names one process for ever. */
export type Key = string;

export interface LadderSettings {
  killSignal: number;
  /** From killSignal to SIGKILL; null = never SIGKILL. */
  graceMs: number | null;
  /**
   * From the last SIGKILL until those left count as survivors; with `graceMs` null, from killSignal. Three times as long after the first
   * SIGKILL it is over even if newcomers were killed since. A freeze takes no longer either, but for one that is hurried: twice as long.
   */
  killWaitMs: number;
  /** Then it is over in any case; what is killed gets killWaitMs before that, if there is as much time. */
  endMs: number;
}

/** What a look says of a member: the letter of its state, where known. */
export interface Sighting {
  key: Key;
  state?: string | undefined;
}

export type LadderEvent =
  /** A look is complete: these live. */
  | { type: 'looked'; members: readonly Sighting[] }
  /** A look was not possible. */
  | { type: 'blind' }
  /** These have ended. */
  | { type: 'gone'; keys: readonly Key[] }
  /** The kernel did not let us signal it. */
  | { type: 'refused'; key: Key; reason: Refusal }
  /** The time that was last waited for has come. */
  | { type: 'time' }
  /** The caller has no patience left: SIGKILL now (or, if that is never to be sent, say now who is left). */
  | { type: 'hurry' };

export type Refusal = 'eperm' | 'unknown';
export type SurvivorReason = 'eperm' | 'uninterruptible' | 'not-forced' | 'unknown';

export type LadderAction =
  | { do: 'look' }
  /** To these, in this order; each gets all of the signals. */
  | { do: 'signal'; keys: readonly Key[]; signals: readonly number[] }
  /** Replaces the time waited for. */
  | { do: 'wait'; untilMs: number }
  | { do: 'settle'; survivors: ReadonlyArray<{ key: Key; reason: SurvivorReason }>; blind: boolean };

interface Member {
  /** The strongest that was sent to it. */
  readonly sent: 'nothing' | 'ask' | 'stop' | 'kill';
  readonly refused?: Refusal;
  readonly state?: string | undefined;
}

export interface LadderState {
  readonly phase: 'asking' | 'freezing' | 'killing' | 'judging' | 'settled';
  readonly settings: LadderSettings;
  /** Live members, in the order in which they were found: parents before children. */
  readonly members: ReadonlyMap<Key, Member>;
  /** A look is under way; `stale` when something was done since it began, so that its silence proves nothing. */
  readonly look: 'none' | 'fresh' | 'stale';
  /** Complete looks in a row that found nobody we could do anything about. */
  readonly quietLooks: number;
  /** The last look was not possible. */
  readonly blind: boolean;
  /** How often freezing was begun; the looks since, and until when newcomers are stopped however many looks that takes. */
  readonly freezes: number;
  readonly freezeLooks: number;
  readonly freezeUntilMs: number;
  /** What comes after freezing. */
  readonly afterFreezing: 'ask' | 'kill';
  readonly judgements: number;
  /** End of the phase, and of all. */
  readonly deadlineMs: number;
  readonly endMs: number;
  readonly escalated: boolean;
}

export interface LadderStep {
  state: LadderState;
  actions: LadderAction[];
}

const SIGKILL = 9;
const SIGCONT = 18;
const SIGSTOP = 19;
const QUIET_LOOKS = 2;
/**
 * When newcomers turn up in every look: so many looks, and as many as this time has room for. Members of another user go on forking
 * whatever we do: for them it is the looks alone.
 */
const FREEZE_LOOKS = 16;
const FREEZE_MS = 1000;
/** After so many, newcomers are killed without being stopped first. */
const FREEZES = 8;
/** In times of killWaitMs: from the first SIGKILL until it is over. */
const KILL_WAITS = 3;
/** States in which a process forks nothing: stopped, traced, dead, waiting in the kernel (for a vfork child, for a device). */
const STANDING = new Set(['T', 't', 'Z', 'X', 'D']);
/** Between looks that only wait for somebody to stand still. */
const STANDSTILL_MS = 5;
/** Before a look that was not possible is tried again. */
const RETRY_MS = 50;

export function beginLadder(settings: LadderSettings, nowMs: number): LadderStep {
  const forced = settings.killSignal === SIGKILL || settings.graceMs === 0;
  const state: LadderState = {
    phase: 'freezing',
    settings,
    members: new Map(),
    look: 'fresh',
    quietLooks: 0,
    blind: false,
    freezes: 1,
    freezeLooks: 0,
    freezeUntilMs: nowMs + FREEZE_MS,
    afterFreezing: forced ? 'kill' : 'ask',
    judgements: 0,
    deadlineMs: Math.min(nowMs + settings.killWaitMs, settings.endMs - settings.killWaitMs),
    endMs: settings.endMs,
    escalated: false,
  };
  return { state, actions: [{ do: 'look' }, { do: 'wait', untilMs: state.deadlineMs }] };
}

export function stepLadder(state: LadderState, event: LadderEvent, nowMs: number): LadderStep {
  if (state.phase === 'settled') return { state, actions: [] };
  const step = new Step(state, nowMs);
  switch (event.type) {
    case 'looked':
      step.looked(event.members);
      break;
    case 'blind':
      step.wentBlind();
      break;
    case 'gone':
      step.gone(event.keys);
      break;
    case 'refused':
      step.refused(event.key, event.reason);
      break;
    case 'time':
      step.time();
      break;
    case 'hurry':
      step.hurry();
      break;
  }
  return { state: step.state, actions: step.actions };
}

/** The working copy of one step. */
class Step {
  readonly actions: LadderAction[] = [];
  state: LadderState & { members: Map<Key, Member> };

  constructor(
    state: LadderState,
    private readonly nowMs: number,
  ) {
    this.state = { ...state, members: new Map(state.members) };
  }

  looked(sightings: readonly Sighting[]): void {
    const { members } = this.state;
    const complete = this.state.look === 'fresh';
    let newcomers = 0;
    for (const { key, state } of sightings) {
      const member = members.get(key);
      if (member === undefined) newcomers++;
      members.set(key, { sent: 'nothing', ...member, state });
    }
    this.set({
      look: 'none',
      blind: false,
      quietLooks: complete && newcomers === 0 && this.onlyRefusedLeft() ? this.state.quietLooks + 1 : 0,
    });

    switch (this.state.phase) {
      case 'asking':
        this.ask();
        break;
      case 'freezing':
        this.set({ freezeLooks: this.state.freezeLooks + 1 });
        if (newcomers > 0 || !complete) {
          const isTime = this.nowMs < this.state.freezeUntilMs && !this.anyRefused();
          if (this.state.freezeLooks < FREEZE_LOOKS || isTime) this.freeze();
          else this.endFreezing();
        } else if (this.allStanding()) {
          this.endFreezing();
        } else if (this.state.freezeLooks < FREEZE_LOOKS) {
          this.freeze();
        } else {
          // The signal that was sent has not yet stopped a process in the middle of a fork, which on a busy machine takes longer than all
          // these looks. To go on now would be to lose the child. Or somebody has sent SIGCONT since: then it has to be stopped again.
          this.signal('stop', [SIGSTOP], (member) => member.sent === 'stop' && !isStanding(member));
          this.wait(Math.min(this.nowMs + STANDSTILL_MS, this.state.deadlineMs));
        }
        break;
      case 'killing':
        if (newcomers > 0 && this.state.freezes < FREEZES) {
          this.beginFreezing();
          break;
        }
        if (newcomers > 0) {
          // Enough was tried to let nobody fork any more. Better that a child is lost than that a member is left.
          this.killAll(({ sent }) => sent === 'nothing');
          this.extend();
        }
        if (this.onlyRefusedLeft()) this.lookAgainOrSettle();
        break;
      case 'judging':
        this.set({ judgements: this.state.judgements + 1 });
        if (this.state.judgements < QUIET_LOOKS && !this.isCertain(sightings.length)) this.look();
        else this.settle();
        break;
    }
  }

  wentBlind(): void {
    this.set({ look: 'none', blind: true, quietLooks: 0 });
    if (this.state.phase === 'judging') this.settle();
    else if (this.state.phase === 'freezing') this.endFreezing();
    else this.wait(Math.min(this.nowMs + RETRY_MS, this.state.deadlineMs));
  }

  gone(keys: readonly Key[]): void {
    for (const key of keys) this.state.members.delete(key);
    const { phase, members, look } = this.state;
    if (look !== 'none' || this.state.blind) return;
    if (phase === 'killing' ? this.onlyRefusedLeft() : members.size === 0) this.look();
  }

  refused(key: Key, reason: Refusal): void {
    const member = this.state.members.get(key);
    if (member === undefined) return;
    this.state.members.set(key, { ...member, refused: reason });
    if (this.state.phase === 'killing' && this.state.look === 'none' && this.onlyRefusedLeft()) this.look();
  }

  time(): void {
    if (this.nowMs < this.state.deadlineMs) {
      const isLate = this.state.blind || this.state.phase === 'freezing';
      if (isLate && this.state.look === 'none') this.look();
      this.wait(this.state.deadlineMs);
      return;
    }
    if (this.nowMs >= this.state.endMs) {
      if (this.state.phase === 'judging') return;
      // Whoever is due for SIGKILL gets it, and nobody is left who was only stopped for it.
      const { graceMs, killSignal } = this.state.settings;
      if (graceMs !== null || killSignal === SIGKILL) this.killAll(({ sent }) => sent !== 'kill');
      this.judge();
      return;
    }
    switch (this.state.phase) {
      case 'asking':
        this.leaveAsking();
        break;
      case 'freezing':
        this.endFreezing();
        break;
      case 'killing':
        this.judge();
        break;
    }
  }

  hurry(): void {
    const { phase, afterFreezing, settings } = this.state;
    if (phase === 'freezing' && afterFreezing === 'ask' && settings.graceMs !== null) {
      // Whoever ran on now could fork once more before it is stopped again.
      this.set({ afterFreezing: 'kill' });
      this.extend();
      if (this.state.look === 'none') this.look(); // it was waiting for somebody to stand still
      return;
    }
    if (phase === 'freezing' && afterFreezing === 'ask') this.endFreezing(); // nobody is left standing
    if (this.state.phase === 'asking') this.leaveAsking();
  }

  leaveAsking(): void {
    if (this.state.settings.graceMs === null) this.judge();
    else {
      this.extend();
      this.beginFreezing();
    }
  }

  /**
   * All have the signal before the first of them runs on, so nobody sees another's end before its own turn has come. Then children run
   * before parents, see `signal`.
   */
  private ask(): void {
    const { killSignal } = this.state.settings;
    const isDue = (member: Member) => member.sent === 'nothing' || member.sent === 'stop';
    const due = [...this.state.members].filter(([, member]) => isDue(member)).map(([key]) => key);
    if (killSignal !== SIGCONT && due.length > 0) this.actions.push({ do: 'signal', keys: due, signals: [killSignal] });
    this.signal('ask', [SIGCONT], isDue);
    // A member that refuses may still end by itself (its parent does, its input ends), so the grace period is waited for.
    if (this.state.members.size === 0 && this.state.look === 'none') this.lookAgainOrSettle();
  }

  private beginFreezing(): void {
    const freezeUntilMs = this.nowMs + FREEZE_MS;
    this.set({ phase: 'freezing', freezes: this.state.freezes + 1, freezeLooks: 0, freezeUntilMs, afterFreezing: 'kill' });
    this.freeze();
  }

  private endFreezing(): void {
    if (this.state.afterFreezing === 'kill') {
      this.kill();
      return;
    }
    // The grace period begins here: however long it took to stop all, nobody has less time to act on the signal.
    const { graceMs, killWaitMs } = this.state.settings;
    this.set({
      phase: 'asking',
      deadlineMs: Math.min(this.nowMs + (graceMs ?? killWaitMs), this.state.endMs - (graceMs === null ? 0 : killWaitMs)),
    });
    this.ask();
    this.wait(this.state.blind ? Math.min(this.nowMs + RETRY_MS, this.state.deadlineMs) : this.state.deadlineMs);
  }

  private freeze(): void {
    this.signal('stop', [SIGSTOP], (member) => member.sent !== 'stop' && member.sent !== 'kill');
    if (this.state.look === 'none') this.look();
  }

  private kill(): void {
    const { endMs, settings, escalated } = this.state;
    this.set({ phase: 'killing', endMs: escalated ? endMs : Math.min(endMs, this.nowMs + KILL_WAITS * settings.killWaitMs) });
    this.killAll(() => true);
    this.extend();
    if (this.state.members.size === 0 && this.state.look === 'none') this.lookAgainOrSettle(); // No end to wait for.
  }

  private killAll(test: (member: Member) => boolean): void {
    this.signal('kill', [SIGKILL], test);
    if (this.state.members.size > 0) this.set({ escalated: true });
  }

  /** The time to die begins anew. */
  private extend(): void {
    this.set({ deadlineMs: Math.min(this.nowMs + this.state.settings.killWaitMs, this.state.endMs) });
    this.wait(this.state.deadlineMs);
  }

  private judge(): void {
    this.set({ phase: 'judging' });
    if (this.state.look === 'none') this.look();
  }

  private settle(): void {
    this.set({ phase: 'settled' });
    const survivors = [...this.state.members].map(([key, member]) => ({ key, reason: this.reasonOf(member) }));
    this.actions.push({ do: 'settle', survivors, blind: this.state.blind });
  }

  private lookAgainOrSettle(): void {
    if (this.state.quietLooks >= QUIET_LOOKS) this.settle();
    else this.look();
  }

  private look(): void {
    this.set({ look: 'fresh' });
    this.actions.push({ do: 'look' });
  }

  private wait(untilMs: number): void {
    this.actions.push({ do: 'wait', untilMs });
  }

  private signal(sent: Member['sent'], signals: readonly number[], test: (member: Member) => boolean): void {
    const chosen = [...this.state.members].filter(([, member]) => test(member));
    if (chosen.length === 0) return;
    for (const [key, { refused: _, ...member }] of chosen) this.state.members.set(key, { ...member, sent });
    if (this.state.look === 'fresh') this.set({ look: 'stale' });
    const keys = chosen.map(([key]) => key);
    // What stands still runs on or dies children first. A parent's death would orphan their group, and a group that is orphaned while it is
    // stopped is sent SIGHUP and SIGCONT by the kernel (setpgid(2)) and runs on, if only for a moment.
    this.actions.push({ do: 'signal', keys: sent === 'stop' ? keys : keys.reverse(), signals });
  }

  private onlyRefusedLeft(): boolean {
    for (const member of this.state.members.values()) if (member.refused === undefined) return false;
    return true;
  }

  /** Whether a look that saw so many tells all: nobody is left, or exactly those we know. */
  private isCertain(seen: number): boolean {
    const { members, quietLooks } = this.state;
    if (members.size === 0) return quietLooks >= QUIET_LOOKS;
    // Dead for the look, but the news of its end is still on the way to us: it shall not be called a survivor.
    return seen >= members.size;
  }

  private anyRefused(): boolean {
    for (const { refused } of this.state.members.values()) if (refused !== undefined) return true;
    return false;
  }

  private allStanding(): boolean {
    for (const member of this.state.members.values()) if (!isStanding(member)) return false;
    return true;
  }

  private reasonOf(member: Member): SurvivorReason {
    if (member.refused === 'eperm') return 'eperm';
    if (member.state === 'D') return 'uninterruptible';
    if (this.state.settings.graceMs === null && this.state.settings.killSignal !== SIGKILL) return 'not-forced';
    return 'unknown';
  }

  private set(change: Partial<LadderState>): void {
    Object.assign(this.state, change);
  }
}

/** Who can not be stopped is not waited for. */
function isStanding({ refused, state }: Member): boolean {
  return refused !== undefined || state === undefined || STANDING.has(state);
}
