/**
 * Names for processes in a shared folder, from which processes of the same host can tell whether one is still running.
 */
import { createHash } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * Identifies this host without revealing its name: a process ID means nothing on another host, or in another container
 * of the same host.
 */
const HOST = createHash('sha256').update(hostname()).update(processNamespace()).digest('hex').slice(0, 8);

/** Eight hexadecimal digits, a hyphen and the process ID. */
export const PROCESS = `${HOST}-${process.pid}`;

/**
 * Whether a name that starts with `PROCESS` of some process, or has it after a word, belongs to a process of this host
 * that has ended.
 * @param isOurs whether this process knows the name: in a container, it may have the same process ID as the one killed
 * before it
 */
export function isOfDeadProcess(name: string, isOurs: boolean): boolean {
  const [, host, pid] = /^(?:[a-z]+-)?([0-9a-f]{8})-(\d+)(?:-|$)/.exec(name) ?? [];
  if (host !== HOST) return false;
  return Number(pid) === process.pid ? !isOurs : !isRunning(Number(pid));
}

/** Whether the name belongs to a process of this host. */
export function isOfThisHost(name: string): boolean {
  return name.split('-').includes(HOST);
}

function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    // Not Linux, where there is no such namespace.
    return '';
  }
}

/** Whether a process of this host is running. */
export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: the process is running, under another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
