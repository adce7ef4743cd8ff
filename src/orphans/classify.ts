/**
 * The judgement: which processes of a table are left behind, by which rule, and what speaks against ending them. Pure; clock and
 * facts are arguments.
 *
 * A process's name is the kernel's (comm): what the rules always meant, there without opening another file, and
 * hard to get by accident. argv[0] alone condemns nobody, since anyone may call himself anything. It does speak for a
 * process: where program, script and executable are known and none of them bears the name, the name was put on (prctl,
 * process.title) and no rule fires, except in mode `seed`.
 *
 * A rule that needs a fact which is not known does not fire. A zombie is named, never ended.
 */
import type { ProcessRow } from '../tree/row.js';
import type { OrphanPolicy, OrphanRule, ProcessInfo, ProcessTable, Verdict } from '../types.js';
import { runsCommand } from './command-word.js';
import {
  ageSeconds,
  basename,
  circumstances,
  commandLine,
  describeAge,
  describeProcess,
  exeName,
  isNamed,
  isZombie,
  programName,
  requirementHolds,
  scriptOperand,
} from './evidence.js';
import { patternFits } from './pattern.js';
import { type Facts, Protection } from './protect.js';

export type { Facts } from './protect.js';

/**
 * A verdict for every process that a rule fits: `terminate`, `report`, or `spare` when it is protected or too young. In the order of
 * the table; the others are not mentioned.
 */
export function classify(table: ProcessTable, policy: OrphanPolicy, facts: Facts): Verdict[] {
  const judge = new Judge(table, policy, facts);
  const verdicts: Verdict[] = [];
  for (const process of candidates(table, policy)) {
    const verdict = judge.verdictOn(process);
    if (verdict !== undefined) verdicts.push(verdict);
  }
  return verdicts;
}

/** Those that a rule fits fully, before anybody asks what speaks for them; zombies aside. */
export function suspects(table: ProcessTable, policy: OrphanPolicy, facts: Facts): ProcessInfo[] {
  const judge = new Judge(table, policy, facts);
  return [...candidates(table, policy)].filter((process) => judge.isSuspect(process));
}

/** The verdict on one process, whatever it is; undefined: there is no such process. */
export function explain(table: ProcessTable, pid: number, policy: OrphanPolicy, facts: Facts): Verdict | undefined {
  const process = table.get(pid);
  return process && new Judge(table, policy, facts).explanationOf(process);
}

/** The verdict on a row that may be newer than the table: asked directly before a signal. */
export function judgeAgain(table: ProcessTable, process: ProcessInfo, policy: OrphanPolicy, facts: Facts): Verdict | undefined {
  return new Judge(table, policy, facts).verdictOn(process);
}

/**
 * Those whose name a rule knows, those that carry the mark of a tree, and everybody when there is any other rule without names. A table over the columns of a scan finds them
 * (`named`) without making objects of the others.
 */
export function candidates(table: ProcessTable & Partial<NamedRows>, policy: OrphanPolicy): Iterable<ProcessInfo> {
  if (policy.rules.some((rule) => rule.names === undefined && !rule.require?.includes('abandoned'))) return table;
  const names = new Set(policy.rules.flatMap((rule) => rule.names ?? []).map((name) => name.slice(0, 15)));
  if (table.named === undefined) return rowsNamed(table, names);
  const named = table.named(names);
  const marked = table.marked?.() ?? [];
  return marked.length === 0 ? named : new Map([...named, ...marked].map((row) => [row.pid, row])).values();
}

export interface NamedRows {
  /** Rows that bear one of these names, in ascending order of pid. */
  named(names: ReadonlySet<string>): Iterable<ProcessInfo>;
  /** Rows that carry the mark of a tree. */
  marked?(): ProcessInfo[];
}

function* rowsNamed(table: ProcessTable, names: ReadonlySet<string>): Generator<ProcessInfo> {
  for (const process of table) {
    if ((process.name !== undefined && names.has(process.name)) || (process as ProcessRow).treeMark !== undefined) yield process;
  }
}

/** How far a rule fits: not at all; in everything but age; fully. With what it saw. */
interface Fit {
  rule: OrphanRule;
  isOldEnough: boolean;
  evidence: string[];
}

class Judge {
  private known: Protection | undefined;

  constructor(
    private readonly table: ProcessTable,
    private readonly policy: OrphanPolicy,
    private readonly facts: Facts,
  ) {}

  /** Made when there is somebody to protect: most looks find nobody. */
  private get protection(): Protection {
    this.known ??= new Protection(this.table, this.policy, this.facts);
    return this.known;
  }

  verdictOn(process: ProcessInfo): Verdict | undefined {
    const fit = this.fitOf(process);
    if (fit === undefined) return undefined;
    const { rule, isOldEnough } = fit;
    const evidence = [...fit.evidence, ...circumstances(process, this.table)];
    const verdict = { process, rule: rule.id, type: rule.type, reason: rule.reason };

    if (!isOldEnough) return { ...verdict, action: 'spare', evidence };
    if (isZombie(process)) {
      const veto = this.protection.userVeto(process);
      if (veto !== undefined) return { ...verdict, action: 'spare', evidence: [...evidence, veto.evidence], protectedBy: veto.by };
      const parent = process.ppid === undefined ? 'its parent' : describeProcess(this.table.get(process.ppid), process.ppid);
      return { ...verdict, action: 'report', evidence: [...evidence, `zombie: it has ended; ${parent} has not waited for it`] };
    }
    const veto = this.protection.vetoOf(process);
    if (veto !== undefined)
      return { ...verdict, action: veto.report ? 'report' : 'spare', evidence: [...evidence, veto.evidence], protectedBy: veto.by };
    return { ...verdict, action: rule.action ?? 'terminate', evidence };
  }

  isSuspect(process: ProcessInfo): boolean {
    return !isZombie(process) && this.fitOf(process, { evenYoung: false }) !== undefined;
  }

  explanationOf(process: ProcessInfo): Verdict {
    const verdict = this.verdictOn(process);
    if (verdict !== undefined) return verdict;
    const evidence = this.policy.rules.map((rule) => `${rule.id}: ${this.whyNot(rule, process)}`);
    const veto = isZombie(process) ? undefined : this.protection.vetoOf(process);
    if (veto !== undefined) evidence.push(veto.evidence);
    return {
      process,
      action: 'spare',
      evidence: [...evidence, ...circumstances(process, this.table)],
      ...(veto && { protectedBy: veto.by }),
    };
  }

  /** The first rule that fits fully; else (`evenYoung`) the first that age alone keeps from fitting. */
  private fitOf(process: ProcessInfo, { evenYoung = true } = {}): Fit | undefined {
    let young: Fit | undefined;
    for (const rule of this.policy.rules) {
      if (rule.names !== undefined && !isNamed(process, rule.names)) continue;
      if (!evenYoung && !this.isOldEnough(rule, process)) continue;
      const fit = this.fit(rule, process);
      if (typeof fit === 'string') continue;
      if (fit.isOldEnough) return fit;
      young ??= fit;
    }
    return young;
  }

  private whyNot(rule: OrphanRule, process: ProcessInfo): string {
    if (rule.names !== undefined && !isNamed(process, rule.names)) {
      return `its name, ${process.name ?? 'not known'}, is not ${rule.names.join(' or ')}`;
    }
    const fit = this.fit(rule, process);
    return typeof fit === 'string' ? fit : fit.evidence.join('; ');
  }

  /** The name is right. What about the rest? A string says what does not fit. */
  private fit(rule: OrphanRule, process: ProcessInfo): Fit | string {
    const isDead = isZombie(process);
    if (rule.state === 'Z' && !isDead) return 'it is no zombie';
    const age = ageSeconds(process, this.facts.now);
    if (age === undefined) return 'its age is not known';
    const evidence = [`name: ${process.name}`];
    if (rule.match !== undefined || rule.commands !== undefined) {
      const found = this.commandLineFit(rule, process);
      if (found === undefined) return process.args === undefined ? 'its command line is not known' : 'its command line has nothing of it';
      evidence.push(`command line: ${found}`);
    }
    // After the command line, of which most shells have nothing: to tell a program from its name takes longer.
    if (this.policy.mode === 'guarded' && !isDead && rule.names !== undefined) {
      const programs = [programName(process), exeName(process), scriptOperand(process)].filter((name) => name !== undefined);
      if (programs.length > 0 && !programs.some((program) => rule.names?.includes(basename(program)))) {
        return `it is called ${process.name}, but its program is ${programs.join(', ')}`;
      }
    }
    for (const requirement of rule.require ?? []) {
      const holds = requirementHolds(requirement, process, this.table);
      if (!holds) return `${requirement}: ${holds === undefined ? 'not known' : 'no'}`;
      evidence.push(`${requirement}: yes`);
    }
    const isOldEnough = this.isOldEnough(rule, process);
    if (!isAtOnce(rule)) {
      evidence.push(`age: ${describeAge(age)}, ${isOldEnough ? '' : 'not '}more than ${describeAge(rule.olderThanSeconds)}`);
    }
    return { rule, isOldEnough, evidence };
  }

  private isOldEnough(rule: OrphanRule, process: ProcessInfo): boolean {
    const age = ageSeconds(process, this.facts.now);
    return age !== undefined && (age > rule.olderThanSeconds || isAtOnce(rule));
  }

  private commandLineFit({ match, commands }: OrphanRule, process: ProcessInfo): string | undefined {
    const text = commandLine(process);
    if (text === undefined) return undefined;
    if (match !== undefined && patternFits(match, text)) {
      match.lastIndex = 0;
      return `has ${(match.exec(text)?.[0] ?? match.source).slice(0, 80)}`;
    }
    // Spelled as it is called: `r\g` is left alone, and no other text has to be taken apart.
    const isMentioned = commands?.some((command) => text.includes(command));
    return isMentioned && runsCommand(process.args ?? [], new Set(commands)) ? `runs ${commands?.join(' or ')}` : undefined;
  }
}

/** A zombie is past its end at any age, and so is what has neither owner nor keeper. */
function isAtOnce({ olderThanSeconds, state, require }: OrphanRule): boolean {
  return olderThanSeconds === 0 && (state === 'Z' || require?.includes('abandoned') === true);
}
