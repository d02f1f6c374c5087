import { readFileSync, readlinkSync } from 'node:fs';

/** Matches a tag inside a file name. */
export const OWNER_TAG = '[0-9a-f]+-[0-9]+-[0-9]+-[0-9]+';

/** What another boot or container left behind is taken for dead after this time, in milliseconds. */
const FOREIGN_MS = 24 * 60 * 60 * 1000;

/**
 * Names this process in the name of a temporary file: boot, process namespace, id and start time. Process
 * ids are used again, and mean something only within one boot and one namespace (a container has its own).
 */
export function ownerTag(): string {
  return `${place()}-${process.pid}-${startOf(process.pid) ?? 0}`;
}

/**
 * True when the process that a tag names is gone for sure; for a process of another boot or namespace,
 * which cannot be looked at from here, when the file has not been touched for a day.
 */
export function isOrphan(tag: string, modified: Date): boolean {
  const [boot, namespace, pid, start] = tag.split('-');
  if (`${boot}-${namespace}` !== place()) return Date.now() - modified.getTime() > FOREIGN_MS;
  return String(startOf(Number(pid))) !== start;
}

function place(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
    const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0];
    return `${boot}-${namespace ?? 0}`;
  } catch {
    return '0-0';
  }
}

/** Start in clock ticks since boot, 0 where the system does not tell, undefined when there is no such process. */
function startOf(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[19]);
  } catch {
    return isAlive(pid) ? 0 : undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
