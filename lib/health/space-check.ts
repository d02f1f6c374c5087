import type { Verdict } from './check.ts';
import type { FreeSpace } from './space-watch.ts';

const MIB = 1024 * 1024;

/**
 * Whether a destination has room for backups. One that cannot be asked is no failure: a storage that is away for a
 * moment must not stop what stores elsewhere.
 * @param leastBytes free bytes that it must have; 0 asks for none
 */
export function spaceVerdict(space: FreeSpace | undefined, leastBytes: number): Verdict {
  if (space === undefined) return { state: 'ok', message: 'Its free space is being asked for' };
  if ('error' in space) {
    return { state: 'warn', message: `Its free space is not known: ${space.error.message}` };
  }
  if (space.value === undefined) return { state: 'ok', message: 'It does not tell its free space' };
  const free = `${inMiB(space.value)} are free`;
  if (space.value >= leastBytes) return { state: 'ok', message: free };
  const message = `Only ${free}, ${inMiB(leastBytes)} are asked for: free some, or lower minFreeMiB`;
  return { state: 'fail', message };
}

function inMiB(bytes: number): string {
  return `${Math.floor(bytes / MIB)} MiB`;
}
