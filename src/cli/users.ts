/** Names of user ids for display, from /etc/passwd; an id without an entry (directory services, containers) is shown as it is. */
import { readFileSync } from 'node:fs';

let names: Map<number, string> | undefined;

export function userName(uid: number | undefined): string {
  if (uid === undefined) return '?';
  names ??= readPasswd();
  return names.get(uid) ?? String(uid);
}

function readPasswd(): Map<number, string> {
  const found = new Map<number, string>();
  try {
    for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
      const [name, , uid] = line.split(':');
      if (name && uid && !found.has(Number(uid))) found.set(Number(uid), name);
    }
  } catch {
    // No file: every id is shown as a number.
  }
  return found;
}

/** The terminal of a process as ps shows it: pts/3, tty1, ? for none. `device` is tty_nr of proc_pid_stat(5). */
export function ttyName(device: number | undefined): string {
  if (device === undefined || device <= 0) return '?';
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`; // UNIX98 ptys, devices.txt of the kernel
  if (major === 4) return minor < 64 ? `tty${minor}` : `ttyS${minor - 64}`;
  return `${major}:${minor}`;
}
