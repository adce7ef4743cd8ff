/** What the facts of a machine mean for corral. Pure: facts in, a list of findings out. */
import type { KernelReport, KernelTrial } from '../native.js';

type KernelFacts = KernelReport & KernelTrial;

export interface MachineFacts {
  platform: string;
  nodeVersion: string;
  /** undefined: the addon could not be loaded, and why. */
  kernel: KernelFacts | undefined;
  addonProblem: string | undefined;
  pid: number;
  /** Who we are by the /proc that is mounted here; undefined: not in it, or none is. */
  procPid: number | undefined;
  uid: number;
  /** hidepid of the mount at /proc: '0' | '1' | '2' | 'invisible' ...; undefined: unknown. */
  hidepid: string | undefined;
  init: InitFacts;
  /** undefined: it could not be tried. */
  cgroup: CgroupFacts | undefined;
  namespaces: NamespaceFacts;
}

export interface InitFacts {
  name: string | undefined;
  /** Signal masks of /proc/1/status as bits; undefined: not readable. */
  caught: bigint | undefined;
  ignored: bigint | undefined;
  blocked: bigint | undefined;
  /** Zombies whose parent is PID 1; undefined: the scan failed. */
  zombies: number | undefined;
}

/** What came of the attempt to run something in a cgroup of its own. */
export interface CgroupFacts {
  /** Where the cgroup was made, or could not be made; '' when there is no such place. */
  directory: string;
  /** Why there was none; undefined: there was. */
  problem: string | undefined;
  /** cgroup.kill, Linux 5.14. */
  kill: boolean;
  /** cgroup.freeze, Linux 5.2. */
  freeze: boolean;
  /** CLONE_INTO_CGROUP, Linux 5.7. */
  cloned: boolean;
}

export interface NamespaceFacts {
  /** user.max_user_namespaces; 0 = forbidden. undefined: no such file. */
  maxUser: number | undefined;
  /** kernel.unprivileged_userns_clone of Debian kernels. */
  unprivilegedClone: number | undefined;
  /** kernel.apparmor_restrict_unprivileged_userns of Ubuntu kernels. */
  apparmorRestricts: number | undefined;
}

export interface Finding {
  subject: string;
  /** missing: something corral needs. limited: it works, with less. */
  state: 'ok' | 'limited' | 'missing' | 'info';
  found: string;
  /** What that means, or what to do about it. */
  hint?: string;
}

const SIGCHLD_BIT = 1n << 16n; // signal 17 of x86-64 and arm64

export function findings(facts: MachineFacts): Finding[] {
  return [
    ...platformFindings(facts),
    ...(facts.kernel === undefined ? [] : kernelFindings(facts.kernel)),
    procFinding(facts),
    hidepidFinding(facts),
    initFinding(facts.init),
    ...cgroupFindings(facts.cgroup),
    namespaceFinding(facts),
  ];
}

function platformFindings(facts: MachineFacts): Finding[] {
  const addon: Finding =
    facts.kernel === undefined
      ? { subject: 'native addon', state: 'missing', found: 'not loaded', hint: facts.addonProblem ?? 'unknown reason' }
      : { subject: 'native addon', state: 'ok', found: 'loaded' };
  return [
    { subject: 'platform', state: 'info', found: `${facts.platform}, Linux ${facts.kernel?.release ?? '?'}, Node ${facts.nodeVersion}` },
    addon,
  ];
}

function kernelFindings(kernel: KernelFacts): Finding[] {
  const needed = (subject: string, present: boolean, since: string, hint: string): Finding =>
    present ? { subject, state: 'ok', found: 'yes' } : { subject, state: 'missing', found: `no (Linux ${since})`, hint };
  const useful = (subject: string, present: boolean, since: string, hint: string): Finding =>
    present ? { subject, state: 'ok', found: 'yes' } : { subject, state: 'limited', found: `no (Linux ${since})`, hint };
  return [
    needed('pidfd', kernel.pidfd, '5.3', 'processes can not be held safely against reuse of their number'),
    useful(
      'group signal by pidfd',
      kernel.pidfdGroupSignal,
      '6.9',
      'a group is signalled by its number, as long as its unreaped leader keeps that from being used again',
    ),
    useful('exit status by pidfd', kernel.pidfdExitInfo, '6.15', 'attach() reports that a process ended, but not how'),
    needed('subreaper', kernel.subreaper, '3.4', 'containment "tree" is not possible'),
    keeperFinding(kernel),
    useful('list of children', kernel.procChildren, 'with CONFIG_PROC_CHILDREN', 'the keeper finds members by a full scan'),
    useful('close_range', kernel.closeRange, '5.9', 'descriptors of a child are closed one by one'),
  ];
}

function procFinding({ pid, procPid }: MachineFacts): Finding {
  const subject = '/proc';
  if (procPid === pid) return { subject, state: 'ok', found: 'of this pid namespace' };
  return {
    subject,
    state: 'missing',
    found: 'not mounted, or of another pid namespace',
    hint: 'its numbers mean other processes: only what a keeper holds can be ended; mount a /proc of this namespace',
  };
}

function keeperFinding(kernel: KernelTrial): Finding {
  const subject = 'keeper';
  if (kernel.keeper === 'memfd') return { subject, state: 'ok', found: 'runs from memory' };
  if (kernel.keeper === 'file')
    return { subject, state: 'ok', found: 'runs from a private file', hint: 'execution from memory is forbidden (vm.memfd_noexec)' };
  return {
    subject,
    state: 'missing',
    found: `can not be executed (errno ${-kernel.keeperErrno})`,
    hint: 'containment "tree" is not possible; `--containment group` still is',
  };
}

function hidepidFinding({ hidepid, uid }: MachineFacts): Finding {
  const subject = 'hidepid';
  if (hidepid === undefined || hidepid === '0' || hidepid === 'off') return { subject, state: 'ok', found: 'off' };
  const hint = uid === 0 ? undefined : 'processes of other users are not seen; a tree that changes user can not be followed';
  return { subject, state: uid === 0 ? 'ok' : 'limited', found: hidepid, ...(hint && { hint }) };
}

/**
 * Whether PID 1 reaps what it adopts, judged by looking only: making an orphan to see what becomes of it could leave a zombie for
 * good. Zombies it already holds are the proof against it; a way to learn of SIGCHLD is the hint for it.
 */
function initFinding({ name, caught, ignored, blocked, zombies }: InitFacts): Finding {
  const subject = 'PID 1 reaps';
  const who = name ?? 'unknown';
  if (zombies !== undefined && zombies > 0) {
    return {
      subject,
      state: 'limited',
      found: `no: ${who} holds ${zombies} zombie${zombies === 1 ? '' : 's'}`,
      hint: 'run the container with an init (docker run --init, tini)',
    };
  }
  const bits = [caught, ignored, blocked];
  const hears = bits.some((mask) => mask !== undefined && (mask & SIGCHLD_BIT) !== 0n);
  if (hears) return { subject, state: 'ok', found: `${who} listens for children and holds no zombie` };
  return { subject, state: 'info', found: `${who} holds no zombie now; whether it reaps can not be told without making one` };
}

function cgroupFindings(cgroup: CgroupFacts | undefined): Finding[] {
  const subject = 'cgroup v2';
  const hint = 'containment "cgroup" falls back to "tree"';
  if (cgroup === undefined) return [{ subject, state: 'info', found: 'could not be tried', hint }];
  if (cgroup.problem !== undefined) return [{ subject, state: 'info', found: cgroup.problem, hint }];
  const useful = (subject: string, present: boolean, since: string, otherwise: string): Finding =>
    present ? { subject, state: 'ok', found: 'yes' } : { subject, state: 'info', found: `no (Linux ${since})`, hint: otherwise };
  return [
    { subject, state: 'ok', found: `trees can have a cgroup of their own, in ${cgroup.directory}` },
    useful('cgroup.kill', cgroup.kill, '5.14', 'members are killed one by one while they are frozen'),
    useful('cgroup.freeze', cgroup.freeze, '5.2', 'members are killed while they may fork'),
    useful('clone into a cgroup', cgroup.cloned, '5.7, and not filtered', 'a command moves there before it is executed'),
  ];
}

function namespaceFinding({ namespaces, uid }: MachineFacts): Finding {
  const subject = 'pid namespaces';
  if (uid === 0) return { subject, state: 'info', found: 'as root' };
  const { maxUser, unprivilegedClone, apparmorRestricts } = namespaces;
  const forbidden =
    maxUser === 0
      ? 'user.max_user_namespaces=0'
      : unprivilegedClone === 0
        ? 'kernel.unprivileged_userns_clone=0'
        : apparmorRestricts === 1
          ? 'AppArmor'
          : undefined;
  if (forbidden === undefined) return { subject, state: 'info', found: 'unprivileged ones allowed' };
  return { subject, state: 'info', found: `forbidden for this user (${forbidden})`, hint: 'only the demo and the tests use them' };
}
