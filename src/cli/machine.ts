/** Reads what `corral doctor` reports on. Leaves nothing changed; what can not be found out is undefined. */
import { readFileSync, readlinkSync } from 'node:fs';
import { kernel as kernelReport, LEAF_CLONED, LEAF_FREEZE, LEAF_KILL, native } from '../native.js';
import { planSpawn } from '../process/options.js';
import { spawnPlanned } from '../process/spawn.js';
import { snapshot } from '../tree/scan.js';
import { explain } from './command.js';
import type { CgroupFacts, InitFacts, MachineFacts, NamespaceFacts } from './doctor-checks.js';

export async function readMachine(): Promise<MachineFacts> {
  let kernel: MachineFacts['kernel'];
  let addonProblem: string | undefined;
  try {
    kernel = { ...kernelReport(), ...native().tryKernel() };
  } catch (error) {
    addonProblem = explain(error);
  }
  return {
    platform: `${process.platform}-${process.arch}`,
    nodeVersion: process.versions.node,
    kernel,
    addonProblem,
    pid: process.pid,
    procPid: readProcPid(),
    uid: process.getuid?.() ?? -1,
    hidepid: hidepidOf(read('/proc/self/mountinfo')),
    init: await readInit(kernel !== undefined),
    cgroup: kernel === undefined ? undefined : await tryCgroup(),
    namespaces: readNamespaces(),
  };
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function readProcPid(): number | undefined {
  try {
    return Number(readlinkSync('/proc/self'));
  } catch {
    return undefined;
  }
}

function readNumber(file: string): number | undefined {
  const text = read(file)?.trim();
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
}

/** The hidepid option of the last mount at /proc in proc_pid_mountinfo(5): the one that is on top. */
export function hidepidOf(mountinfo: string | undefined): string | undefined {
  const options = mountinfo
    ?.split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[4] === '/proc')
    .at(-1)
    ?.at(-1);
  return options === undefined ? undefined : (/(?:^|,)hidepid=([^,]+)/.exec(options)?.[1] ?? '0');
}

async function readInit(canScan: boolean): Promise<InitFacts> {
  const status = read('/proc/1/status');
  const mask = (name: string) => {
    const text = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status ?? '')?.[1];
    return text === undefined ? undefined : BigInt(`0x${text}`);
  };
  let zombies: number | undefined;
  if (canScan) {
    try {
      zombies = (await snapshot({ fields: ['ppid', 'state'] })).zombies().filter((process) => process.ppid === 1).length;
    } catch {
      // Reported by the finding on /proc.
    }
  }
  return {
    name: /^Name:\s*(.*)$/m.exec(status ?? '')?.[1],
    caught: mask('SigCgt'),
    ignored: mask('SigIgn'),
    blocked: mask('SigBlk'),
    zombies,
  };
}

/** Modes, mount options, limits and filters each can forbid it; so it is done: a command that does nothing is run in a cgroup of its own. */
async function tryCgroup(): Promise<CgroupFacts | undefined> {
  try {
    const child = await spawnPlanned(planSpawn('true', [], { containment: 'cgroup', stdout: 'ignore', stderr: 'ignore' }));
    await child.empty;
    if (child.leaf === undefined) return undefined;
    const { flags, directory } = child.leaf;
    const has = (flag: number) => (flags & flag) !== 0;
    return {
      directory,
      problem: child.containmentReason ?? undefined,
      kill: has(LEAF_KILL),
      freeze: has(LEAF_FREEZE),
      cloned: has(LEAF_CLONED),
    };
  } catch {
    return undefined; // no keeper, no such program: other findings say so
  }
}

function readNamespaces(): NamespaceFacts {
  return {
    maxUser: readNumber('/proc/sys/user/max_user_namespaces'),
    unprivilegedClone: readNumber('/proc/sys/kernel/unprivileged_userns_clone'),
    apparmorRestricts: readNumber('/proc/sys/kernel/apparmor_restrict_unprivileged_userns'),
  };
}
