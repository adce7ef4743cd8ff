/**
 * Every system call of an operation fails once: the first, then the second, until the operation needs no more. Whichever it was, the
 * operation succeeds all the same or fails with the kernel's code; and nothing is left: no process, no zombie, no descriptor.
 *
 * Errors are those that the call can give on a machine that is short of something or forbids something. Of the calls behind the twelfth
 * of a kind every seventh is tried; CORRAL_ALL_FAULTS=1 tries all.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { build } from '../fixtures/c/build.js';

const built = build('restrict', 'artist');
const fixture = fileURLToPath(new URL('../fixtures/fault-points.mjs', import.meta.url));

interface Point {
  rule: string;
  point: number;
  /** The operation made so many calls. */
  came: boolean;
  error?: { type?: string; code?: string; message: string; stack?: string };
  survivors?: string[];
  /** The operation said something that is not true. */
  complaint?: string;
  left?: string[];
}

/** The watch thread, the keeper, and their children before they run another program. Node's own threads are left alone. */
const OURS = 'corral';
/** And those that read /proc for us, which bear Node's name, with calls that Node survives itself. */
const OURS_AND_NODE = 'corral,node,MainThread';

const SHORTAGES = ['openat:EMFILE', 'openat:ENFILE', 'epoll_ctl:ENOSPC', 'epoll_ctl:ENOMEM'];
const CHILD = [
  'clone:EAGAIN',
  'clone:ENOMEM',
  'fcntl:EMFILE',
  'dup3:EBADF',
  'setsid:EPERM',
  'prctl:EPERM',
  'execve:ENOMEM',
  'close_range:EPERM',
];
const KEEPER = [
  'socketpair:EMFILE',
  'execveat:EACCES',
  'execveat:ENOMEM',
  'signalfd4:EMFILE',
  'sendto:ENOBUFS',
  'sendmsg:ENOBUFS',
  'recvmsg:ENOMEM',
];
const LADDER = [
  'pidfd_send_signal:EPERM',
  'pidfd_open:EMFILE',
  'read:ENOMEM',
  'getdents64:ENOMEM',
  'mmap:ENOMEM',
  'ppoll:ENOMEM',
  'faccessat:EACCES',
];
const SCAN = ['openat:EMFILE', 'getdents64:ENOMEM', 'readlinkat:EACCES', 'newfstatat:ENOMEM', 'clone3:EAGAIN', 'clone3:EPERM'];

it.each([
  ['spawn-tree', OURS, [...SHORTAGES, ...CHILD, ...KEEPER, ...LADDER]],
  ['spawn-group', OURS, [...SHORTAGES, ...CHILD, 'pipe2:EMFILE', 'pidfd_send_signal:EPERM']],
  ['stop', OURS, [...SHORTAGES, ...LADDER, 'sendto:ENOBUFS', 'sendmsg:ENOBUFS', 'recvmsg:ENOMEM', 'clone:EAGAIN']],
  ['killTree', OURS_AND_NODE, [...SCAN, 'pidfd_open:EMFILE', 'pidfd_open:ENFILE', 'epoll_ctl:ENOSPC', 'pidfd_send_signal:EPERM']],
  ['attach', OURS_AND_NODE, ['openat:EMFILE', 'pidfd_open:EMFILE', 'epoll_ctl:ENOSPC', 'pidfd_send_signal:EPERM', 'readlinkat:EACCES']],
  ['list', OURS_AND_NODE, SCAN],
])('%s', { timeout: 300_000 }, async (operation, names, rules) => {
  const injections = rules.map((rule) => `inject=${rule}:${names}`);
  const command = [...injections, '--', process.execPath, fixture, operation, built.program('artist'), ...rules];
  const child = spawn(built.program('restrict'), command, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)));
  const points: Point[] = [];
  for await (const line of createInterface({ input: child.stdout })) points.push(JSON.parse(line));
  expect(await ended).toBe(0);

  const wrong = points.filter(({ rule, came, error, complaint, left }) => {
    if (complaint !== undefined || left !== undefined) return true;
    if (error === undefined) return false;
    // What the keeper is told by a socket that does not work is that its owner has died.
    const codes = [rule.split(':')[1], ...(rule.startsWith('recvmsg') ? ['EPIPE'] : [])];
    return !came || error.type === undefined || !codes.includes(error.code);
  });
  expect(wrong).toEqual([]);
  // Somebody is left only where a signal was refused, and then it is said.
  for (const { rule, survivors } of points)
    if (survivors !== undefined) expect([rule, survivors]).toEqual(['pidfd_send_signal:EPERM', ['eperm']]);
  // Each rule came to its end, and the operation makes nearly all of these calls.
  expect(points.filter(({ came }) => !came).map(({ rule }) => rule)).toEqual(rules);
  expect(points.filter(({ came }) => came).length).toBeGreaterThan(rules.length);
});
