/** Names for processes in a shared folder, by which those of the same host tell whether one still runs. */
import { createHash } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * Of this host, without telling its name: a number of a process means nothing on another one, and nothing in another
 * container of a host either.
 */
const HOST = createHash('sha256').update(hostname()).update(processNamespace()).digest('hex').slice(0, 8);

/** Eight hexadecimal digits, a hyphen and the number of the process. */
export const PROCESS = `${HOST}-${process.pid}`;

/**
 * Whether a name that begins with `PROCESS` of some process, or has it behind a word, is of one of this host that ended.
 * @param isOurs whether this process knows the name: in a container it has the number of the one that was killed before it
 */
export function isOfDeadProcess(name: string, isOurs: boolean): boolean {
  const [, host, pid] = /^(?:[a-z]+-)?([0-9a-f]{8})-(\d+)(?:-|$)/.exec(name) ?? [];
  if (host !== HOST) return false;
  return Number(pid) === process.pid ? !isOurs : !isRunning(Number(pid));
}

/** Whether a name is of a process of this host. */
export function isOfThisHost(name: string): boolean {
  return name.split('-').includes(HOST);
}

function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    // Not Linux: there are none.
    return '';
  }
}

/** Whether a process of this host runs. */
export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, under another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
