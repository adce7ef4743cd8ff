/** Reads what `corral doctor` reports on. Changes nothing; what can not be read is undefined. */
import { accessSync, constants, existsSync, readFileSync, readlinkSync } from 'node:fs';
import { kernel as kernelReport } from '../native.js';
import { snapshot } from '../tree/scan.js';
import { explain } from './command.js';
import type { CgroupFacts, InitFacts, MachineFacts, NamespaceFacts } from './doctor-checks.js';

const CGROUP_ROOT = '/sys/fs/cgroup';

export async function readMachine(): Promise<MachineFacts> {
  let kernel: MachineFacts['kernel'];
  let addonProblem: string | undefined;
  try {
    kernel = kernelReport();
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
    cgroup: readCgroup(),
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

function readCgroup(): CgroupFacts {
  // The v2 hierarchy has id 0 and no controller names, cgroups(7).
  const path = /^0::(.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1];
  const root = [CGROUP_ROOT, `${CGROUP_ROOT}/unified`].find((directory) => existsSync(`${directory}/cgroup.procs`));
  if (path === undefined || root === undefined) return { path: undefined, writable: false, kill: false };
  const directory = root + path;
  let writable = true;
  try {
    accessSync(directory, constants.W_OK);
    accessSync(`${directory}/cgroup.procs`, constants.W_OK);
  } catch {
    writable = false;
  }
  return { path, writable, kill: existsSync(`${directory}/cgroup.kill`) };
}

function readNamespaces(): NamespaceFacts {
  return {
    maxUser: readNumber('/proc/sys/user/max_user_namespaces'),
    unprivilegedClone: readNumber('/proc/sys/kernel/unprivileged_userns_clone'),
    apparmorRestricts: readNumber('/proc/sys/kernel/apparmor_restrict_unprivileged_userns'),
  };
}
