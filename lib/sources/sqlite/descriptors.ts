import { readdirSync, readlinkSync } from 'node:fs';

/**
 * The descriptors of the files that this process has open, by path; Linux only, empty elsewhere. SQLite's
 * own descriptors serve to read a database's files beside it: opening a file once more and closing it would
 * drop SQLite's locks.
 */
export function openDescriptors(): ReadonlyMap<string, number> {
  const files = new Map<string, number>();
  if (process.platform !== 'linux') return files;
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      files.set(readlinkSync(`/proc/self/fd/${name}`), Number(name));
    } catch {
      // The descriptor that listed the folder is closed by now.
    }
  }
  return files;
}
