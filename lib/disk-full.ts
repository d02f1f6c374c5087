import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';

/** With less, SQLite finds no room for the shared memory beside a database, which takes 32 KiB. In bytes. */
const LEAST_FREE_BYTES = 64 * 1024;

/**
 * True when an operation on a file failed because its disk is full. SQLite says so of a write only: where its
 * shared memory or journal finds no room, it speaks of an input/output error.
 */
export function isDiskFull(thrown: unknown, file: string): boolean {
  const code = (thrown as { code?: unknown }).code;
  if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT') return true;
  return typeof code === 'string' && code.startsWith('SQLITE_IOERR') && freeBytes(file) < LEAST_FREE_BYTES;
}

function freeBytes(file: string): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
