/**
 * What is never ended, whatever a rule says of it: the vetoes, in the order in which they are asked. Pure.
 *
 * Unknown counts as protected: whose user, whose ancestors or whose program we can not see is not ours to end. Mode `seed`
 * keeps the vetoes of identity (ourselves, ancestors, other users, what corral holds, agent CLIs themselves, what is configured)
 * and drops those of judgement (age, descendants of live agents, services, unknown parents).
 */

import { KEEPER_NAME } from '../tree/mark.js';
import type { ProcessRow } from '../tree/table.js';
import type { OrphanPolicy, ProcessInfo, ProcessTable, ProtectRule } from '../types.js';
import {
  ageSeconds,
  commandLine,
  describeAge,
  describeProcess,
  isAbandoned,
  isInKernel,
  isLeaderDead,
  isReparented,
  isUnknownProgram,
  isZombie,
  namesOf,
  scriptOperand,
} from './evidence.js';
import { patternFits } from './pattern.js';
import { AGENT_NAMES, AGENT_PATH, DEFAULT_MIN_AGE_SECONDS } from './policy.js';

/** What judging needs to know besides the table. */
export interface Facts {
  /** Wall clock, milliseconds; used only for rows that carry a start time instead of an age. */
  now: number;
  /** Who judges: it, its ancestors and its process group are spared. */
  self: number;
  /** Whose processes may be ended. Default: the user of the row of `self`; if that is not known either, nobody's. */
  uid?: number | undefined;
  /** Ancestors of `self`, in addition to those the table shows. */
  ancestors?: Iterable<number> | undefined;
  /** Instead of the policy's. */
  minAgeSeconds?: number | undefined;
  /** Processes known to be live agent CLIs, whatever they are called (CLAUDE_PID). */
  agents?: Iterable<number> | undefined;
  /** Only what this session of an agent started is ended: its id, as CLAUDE_CODE_SESSION_ID of the processes has it. */
  session?: string | undefined;
}

export interface Veto {
  /** Short name of the veto, for Verdict.protectedBy. */
  by: string;
  evidence: string;
  /** It may not be ended, but the user should hear of it. */
  report?: true;
}

/** What one process is to those below it, found out once. */
interface Standing {
  isKeeper: boolean;
  isAgent: boolean;
  /** The configured protection it has itself. */
  protection: { rule: ProtectRule; by: string; text: string } | undefined;
}

/** Ends a circle, which numbers used again could close. */
const LONGEST_LINE = 1000;
const SHELL_NAME = /^(?:ba|da|z|k|fi)?sh$/;

/** Asks the vetoes of one table. Remembers what it found out about ancestors, which many candidates share. */
export class Protection {
  private readonly ancestorsOfSelf: Set<number>;
  private readonly agents: Set<number>;
  private readonly own: ProcessInfo | undefined;
  private readonly uid: number | undefined;
  private readonly minAgeSeconds: number;
  private readonly isGuarded: boolean;
  private readonly byName = new Map<string, ProtectRule>();
  private readonly otherRules: ProtectRule[];
  private readonly standings = new Map<number, Standing>();

  constructor(
    private readonly table: ProcessTable,
    policy: OrphanPolicy,
    private readonly facts: Facts,
  ) {
    this.own = table.get(facts.self);
    this.uid = facts.uid ?? this.own?.uid;
    this.minAgeSeconds = facts.minAgeSeconds ?? policy.minAgeSeconds ?? DEFAULT_MIN_AGE_SECONDS;
    this.isGuarded = policy.mode === 'guarded';
    this.agents = new Set(facts.agents);
    for (const rule of policy.protect) {
      for (const name of rule.names ?? []) if (this.byName.get(name)?.scope !== 'tree') this.byName.set(name, rule);
    }
    this.otherRules = policy.protect.filter(({ match, cwd, pid }) => match !== undefined || cwd !== undefined || pid !== undefined);
    this.ancestorsOfSelf = new Set(facts.ancestors);
    if (this.own !== undefined) for (const ancestor of this.lineOf(this.own).slice(1)) this.ancestorsOfSelf.add(ancestor.pid);
  }

  /** The first veto that holds; undefined: none does. */
  vetoOf(process: ProcessInfo): Veto | undefined {
    const line = this.lineOf(process);
    return (
      this.identityVeto(process) ??
      this.heldByCorral(process, line) ??
      this.userVeto(process) ??
      this.stateVeto(process) ??
      this.sessionVeto(process) ??
      this.agentVeto(process, line) ??
      this.configuredVeto(process, line) ??
      (this.isGuarded ? (this.serviceVeto(process) ?? this.ancestryVeto(line)) : undefined)
    );
  }

  /** A zombie is never signalled, only named; that of another user is not our business. */
  userVeto({ uid }: ProcessInfo): Veto | undefined {
    if (uid === undefined || this.uid === undefined) return { by: 'unknown-user', evidence: 'whose process it is could not be seen' };
    return uid === this.uid ? undefined : { by: 'other-user', evidence: `it belongs to user ${uid}, not to ${this.uid}` };
  }

  private identityVeto(process: ProcessInfo): Veto | undefined {
    const { pid, pgid } = process;
    if (pid === this.facts.self) return { by: 'self', evidence: 'it is this very process' };
    if (this.ancestorsOfSelf.has(pid)) return { by: 'ancestor', evidence: `process ${this.facts.self}, which looks, descends from it` };
    if (pgid !== undefined && pgid > 0 && pgid === this.own?.pgid)
      return { by: 'own-group', evidence: `it is in our process group, ${pgid}` };
    if (pid === 1) return { by: 'init', evidence: 'PID 1 is init' };
    return (process as ProcessRow).kernelThread ? { by: 'kernel-thread', evidence: 'it is a thread of the kernel' } : undefined;
  }

  /** What corral itself holds will be ended by corral: a leftover has neither keeper nor owner. */
  private heldByCorral(process: ProcessInfo, line: readonly ProcessInfo[]): Veto | undefined {
    const keeper = line.find((member) => this.standingOf(member).isKeeper);
    if (keeper !== undefined) return { by: 'corral', evidence: `the keeper ${keeper.pid} holds it` };
    if ((process as ProcessRow).unread?.includes('env'))
      return { by: 'unknown-environment', evidence: 'its environment could not be read' };
    if ((process as ProcessRow).treeMark !== undefined) {
      if (isAbandoned(process, this.table)) return this.abandonedVeto(process, line);
      return { by: 'corral', evidence: 'the program that started it with corral is alive, or could not be seen' };
    }
    if (!process.env?.CORRAL_TREE) return undefined;
    // Without a mark of its owner: that is gone when nobody is left above it.
    const isLeft = isReparented(process, this.table) && isLeaderDead(process, this.table);
    return isLeft ? undefined : { by: 'corral', evidence: `corral started it (CORRAL_TREE=${process.env.CORRAL_TREE})` };
  }

  /**
   * Marks are inherited, by terminals and services too that somebody has started from within a tree and uses ever since: at a terminal,
   * or below a service, nothing is abandoned.
   */
  private abandonedVeto(process: ProcessInfo, line: readonly ProcessInfo[]): Veto | undefined {
    if ([process, ...line.filter(({ pid }) => pid !== 1), ...this.table.descendants(process.pid)].some(({ tty }) => tty !== 0))
      return { by: 'terminal', evidence: 'it, or a process above or below it, has a terminal: somebody may sit before it' };
    for (const member of line) {
      const veto = member.pid === 1 ? undefined : this.serviceVeto(member);
      if (veto !== undefined) return veto;
    }
    return undefined;
  }

  private stateVeto(process: ProcessInfo): Veto | undefined {
    if (isInKernel(process))
      return { by: 'uninterruptible', evidence: 'state D: it waits in the kernel, where no signal may reach it', report: true };
    if (!this.isGuarded) return undefined;
    const age = ageSeconds(process, this.facts.now);
    if (age === undefined) return { by: 'unknown-age', evidence: 'its age could not be seen' };
    if (age >= this.minAgeSeconds) return undefined;
    return { by: 'min-age', evidence: `age: ${describeAge(age)}, nothing younger than ${describeAge(this.minAgeSeconds)} is ended` };
  }

  private sessionVeto({ env }: ProcessInfo): Veto | undefined {
    const { session } = this.facts;
    if (session === undefined || env?.CLAUDE_CODE_SESSION_ID === session) return undefined;
    return { by: 'other-session', evidence: `it does not belong to session ${session}` };
  }

  private agentVeto(process: ProcessInfo, line: readonly ProcessInfo[]): Veto | undefined {
    if (this.standingOf(process).isAgent) return { by: 'agent', evidence: `it is a coding agent: ${[...namesOf(process)].join(', ')}` };
    if (!this.isGuarded) return undefined;
    const agent = line.find((member) => this.standingOf(member).isAgent);
    if (agent !== undefined)
      return { by: 'agent-tree', evidence: `the coding agent ${describeProcess(agent, agent.pid)} is alive above it` };

    // Put into the background and taken in by init, but its session is alive: it was left running on purpose.
    const owner = this.table.get(Number(process.env?.CLAUDE_PID));
    const endsNow = this.facts.session !== undefined && owner !== undefined && this.ancestorsOfSelf.has(owner.pid);
    if (owner === undefined || owner.startTicks > process.startTicks || endsNow || !this.standingOf(owner).isAgent) return undefined;
    return { by: 'agent-session', evidence: `the coding agent ${describeProcess(owner, owner.pid)} that started it is alive (CLAUDE_PID)` };
  }

  private configuredVeto(process: ProcessInfo, line: readonly ProcessInfo[]): Veto | undefined {
    for (const member of line) {
      const { protection } = this.standingOf(member);
      if (protection === undefined || (member !== process && protection.rule.scope !== 'tree')) continue;
      const where = member === process ? 'it is' : `it descends from ${describeProcess(member, member.pid)},`;
      return { by: `protected:${protection.by}`, evidence: `${where} protected by ${protection.text}` };
    }
    return undefined;
  }

  private standingOf(process: ProcessInfo): Standing {
    let standing = this.standings.get(process.pid);
    if (standing === undefined) {
      const names = namesOf(process);
      const isLive = !isZombie(process);
      standing = {
        isKeeper: isLive && names.has(KEEPER_NAME),
        isAgent: isLive && this.isAgent(process, names),
        protection: isLive ? this.protectionOf(process, names) : undefined,
      };
      this.standings.set(process.pid, standing);
    }
    return standing;
  }

  private isAgent(process: ProcessInfo, names: ReadonlySet<string>): boolean {
    if (this.agents.has(process.pid)) return true;
    for (const name of names) if (AGENT_NAMES.has(name)) return true;
    return [process.exe, process.args?.[0], scriptOperand(process)].some((path) => path !== undefined && AGENT_PATH.test(path));
  }

  /** Of several the one that reaches further. */
  private protectionOf(process: ProcessInfo, names: ReadonlySet<string>): Standing['protection'] {
    let found: Standing['protection'];
    for (const name of names) {
      const rule = this.byName.get(name);
      if (rule !== undefined && found?.rule.scope !== 'tree') found = { rule, by: name, text: `its name, ${name}` };
    }
    for (const rule of this.otherRules) {
      if (found?.rule.scope === 'tree') return found;
      const why = this.whyProtected(process, rule);
      if (why !== undefined) found = { rule, ...why };
    }
    return found;
  }

  private whyProtected(process: ProcessInfo, rule: ProtectRule): { by: string; text: string } | undefined {
    if (rule.pid === process.pid) return { by: `pid ${rule.pid}`, text: `its pid, ${rule.pid}` };
    if (rule.match !== undefined) {
      const { source } = rule.match;
      const fits = patternFits(rule.match, commandLine(process));
      if (fits) return { by: source, text: `its command line, which matches ${rule.match}` };
      if (fits === undefined && process.args !== undefined) {
        return { by: source, text: `${rule.match}, which could not be tried on all of its command line` };
      }
    }
    if (rule.cwd !== undefined) {
      const { cwd } = process;
      if (cwd === rule.cwd || cwd?.startsWith(rule.cwd === '/' ? '/' : `${rule.cwd}/`))
        return { by: rule.cwd, text: `its directory, ${cwd}` };
      // Nobody sees where the processes of others are; that is no reason to spare all that descends from init.
      if (cwd === undefined && process.uid === this.uid) return { by: rule.cwd, text: 'its directory, which could not be seen' };
    }
    return undefined;
  }

  /** A service manager knows what it started, and a login shell belongs to who sits before it. */
  private serviceVeto(process: ProcessInfo): Veto | undefined {
    const { pid, sid, tty, name } = process;
    if (sid !== pid) return undefined; // No leader of a session.
    if (tty !== undefined && tty !== 0 && SHELL_NAME.test(name ?? ''))
      return { by: 'login-shell', evidence: 'it is the shell of a terminal' };
    const unit = serviceOf(process.cgroup);
    if (unit !== undefined && this.table.get(process.ppid ?? 0)?.name === 'systemd')
      return { by: 'service', evidence: `systemd runs it as ${unit}` };
    return undefined;
  }

  /** What stands above it has to be known up to init: a hidden parent may be anything. */
  private ancestryVeto(line: readonly ProcessInfo[]): Veto | undefined {
    const unknown = line.slice(1).find((member) => member.pid !== 1 && isUnknownProgram(member));
    if (unknown !== undefined) {
      return { by: 'unknown-parent', evidence: `what ${describeProcess(unknown, unknown.pid)} above it runs could not be seen` };
    }
    const top = line.at(-1) as ProcessInfo;
    if (top.pid === 1 || top.ppid === 1) return undefined;
    const parent =
      top.ppid === 0 ? 'the parent, outside this pid namespace,' : `the parent${top.ppid === undefined ? '' : `, ${top.ppid},`}`;
    return { by: 'unknown-parent', evidence: `${parent} of ${describeProcess(top, top.pid)} could not be seen` };
  }

  /** The process, its parent, its parent's parent ... as far as the table knows them. */
  private lineOf(process: ProcessInfo): ProcessInfo[] {
    const line = [process];
    for (let child = process; child.ppid !== undefined && line.length < LONGEST_LINE; ) {
      const parent = this.table.get(child.ppid);
      // A parent is never younger than its child: then the number was used again while the table was made.
      if (parent === undefined || parent.startTicks > child.startTicks) break;
      line.push(parent);
      child = parent;
    }
    return line;
  }
}

/** The systemd service a control group belongs to; a session scope or the user's manager itself is none. */
function serviceOf(cgroup: string | undefined): string | undefined {
  const unit = /\/([^/\n]+\.service)(?:\n|$)/.exec(cgroup ?? '')?.[1];
  return unit === undefined || /^user@\d+\.service$/.test(unit) ? undefined : unit;
}
