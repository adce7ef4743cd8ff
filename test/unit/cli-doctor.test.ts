import { describe, expect, it } from 'vitest';
import { findings, type MachineFacts } from '../../src/cli/doctor-checks.js';
import { hidepidOf } from '../../src/cli/machine.js';

const SIGCHLD = 1n << 16n;
const GOOD: MachineFacts = {
  platform: 'linux-x64',
  nodeVersion: '20.19.0',
  kernel: {
    release: '6.18.0',
    bootId: 'b',
    clockTicksPerSecond: 100,
    pageSize: 4096,
    pidfd: true,
    pidfdGroupSignal: true,
    pidfdExitInfo: true,
    procChildren: true,
    closeRange: true,
    subreaper: true,
    keeper: 'memfd',
    keeperErrno: 0,
  },
  addonProblem: undefined,
  pid: 42,
  procPid: 42,
  uid: 1000,
  hidepid: '0',
  init: { name: 'systemd', caught: SIGCHLD, ignored: 0n, blocked: 0n, zombies: 0 },
  cgroup: { directory: '/sys/fs/cgroup/user.slice', problem: undefined, kill: true, freeze: true, cloned: true },
  namespaces: { maxUser: 1000, unprivilegedClone: 1, apparmorRestricts: undefined },
};
const kernel = (changes: Partial<NonNullable<MachineFacts['kernel']>>): Partial<MachineFacts> => ({
  kernel: { ...(GOOD.kernel as NonNullable<MachineFacts['kernel']>), ...changes },
});

describe('findings', () => {
  it('has nothing to complain of on a good machine', () => {
    expect(findings(GOOD).filter((finding) => finding.state === 'missing' || finding.state === 'limited')).toEqual([]);
  });

  it.each([
    ['no addon', { kernel: undefined, addonProblem: 'no binary fits' }, 'native addon', 'missing', /not loaded/],
    ['no pidfd', kernel({ pidfd: false }), 'pidfd', 'missing', /5\.3/],
    ['no group signal', kernel({ pidfdGroupSignal: false }), 'group signal by pidfd', 'limited', /6\.9/],
    ['no subreaper', kernel({ subreaper: false }), 'subreaper', 'missing', /no/],
    ['keeper from a file', kernel({ keeper: 'file' }), 'keeper', 'ok', /private file/],
    ['no keeper', kernel({ keeper: '', keeperErrno: -13 }), 'keeper', 'missing', /errno 13/],
    ['foreign /proc', { procPid: 7 }, '/proc', 'missing', /another pid namespace/],
    ['no /proc', { procPid: undefined }, '/proc', 'missing', /not mounted/],
    ['hidepid for a user', { hidepid: 'invisible' }, 'hidepid', 'limited', /invisible/],
    ['hidepid for root', { hidepid: '2', uid: 0 }, 'hidepid', 'ok', /2/],
    ['an init with zombies', { init: { ...GOOD.init, name: 'node', zombies: 3 } }, 'PID 1 reaps', 'limited', /node holds 3 zombies/],
    ['an init that ignores SIGCHLD', { init: { ...GOOD.init, caught: 0n, ignored: SIGCHLD } }, 'PID 1 reaps', 'ok', /no zombie/],
    ['an init that shows nothing', { init: { ...GOOD.init, name: 'sleep', caught: 0n } }, 'PID 1 reaps', 'info', /can not be told/],
    ['a cgroup of our own', {}, 'cgroup v2', 'ok', /in \/sys\/fs\/cgroup\/user\.slice/],
    ['no cgroup', { cgroup: { ...GOOD.cgroup, problem: 'not delegated' } }, 'cgroup v2', 'info', /not delegated/],
    ['no attempt', { cgroup: undefined }, 'cgroup v2', 'info', /could not be tried/],
    ['no cgroup.kill', { cgroup: { ...GOOD.cgroup, kill: false } }, 'cgroup.kill', 'info', /5\.14/],
    ['no freezer', { cgroup: { ...GOOD.cgroup, freeze: false } }, 'cgroup.freeze', 'info', /5\.2/],
    ['no CLONE_INTO_CGROUP', { cgroup: { ...GOOD.cgroup, cloned: false } }, 'clone into a cgroup', 'info', /5\.7/],
    ['namespaces forbidden', { namespaces: { ...GOOD.namespaces, maxUser: 0 } }, 'pid namespaces', 'info', /max_user_namespaces=0/],
  ] as const)('%s', (_name, changes, subject, state, found) => {
    const finding = findings({ ...GOOD, ...changes } as MachineFacts).find((one) => one.subject === subject);
    expect(finding).toMatchObject({ state, found: expect.stringMatching(found) });
  });
});

describe('hidepid of /proc', () => {
  const mount = (at: string, options: string) => `25 30 0:23 / ${at} rw,nosuid - proc proc ${options}`;
  it.each([
    [mount('/proc', 'rw'), '0'],
    [mount('/proc', 'rw,hidepid=invisible'), 'invisible'],
    [mount('/proc', 'rw,gid=4,hidepid=2,subset=pid'), '2'],
    [`${mount('/proc', 'rw,hidepid=2')}\n${mount('/proc', 'rw')}`, '0'],
    [mount('/other/proc', 'rw,hidepid=2'), undefined],
    [undefined, undefined],
  ])('%s → %s', (mountinfo, hidepid) => {
    expect(hidepidOf(mountinfo)).toBe(hidepid);
  });
});
