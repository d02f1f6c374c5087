import { read } from 'node:fs';
import { promisify } from 'node:util';
import { BackupError } from '../../errors.ts';
import type { Snapshot } from './snapshot.ts';
import { hasSalts } from './wal.ts';

/** SQLite never uses the page that holds this byte; the locks lie there. */
const LOCK_BYTE = 0x40000000;

const readAt = promisify(read);

/** Gives out the bytes of a database from position 0 on. */
export interface PageSource {
  /** Fills the buffer with the bytes from a position on; both multiples of the page size. */
  read(position: number, buffer: Buffer): Promise<void>;
}

/** Reads the snapshot's bytes as they would stand in a database file without a log. */
export function snapshotSource(snapshot: Snapshot): PageSource {
  return {
    async read(position, buffer) {
      const fromFile = await readFully(snapshot.main, buffer, position);
      const fromLog = await overlay(snapshot, position, buffer);
      requireAllPages(snapshot, position, buffer, fromFile, fromLog);
    },
  };
}

/** Reads from a descriptor until the buffer is full or the file ends; returns the bytes read. */
export async function readFully(descriptor: number, buffer: Buffer, position: number): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await readAt(descriptor, buffer, filled, buffer.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

/** Puts the pages that the log holds in their places and returns their numbers. */
async function overlay(snapshot: Snapshot, position: number, buffer: Buffer): Promise<Set<number>> {
  const placed = new Set<number>();
  const { wal, log, pageSize } = snapshot;
  if (log === undefined) return placed;
  const first = position / pageSize + 1;
  const end = first + buffer.length / pageSize;
  for (let at = lowerBound(log.pages, first); at < log.pages.length; at++) {
    const page = log.pages[at] ?? end;
    if (page >= end) break;
    const target = buffer.subarray((page - first) * pageSize, (page - first + 1) * pageSize);
    const bytes = await readFully(wal, target, log.offsets[at] ?? 0);
    if (bytes < pageSize) throw changed();
    placed.add(page);
  }
  if (placed.size > 0 && !hasSalts(wal, log.salts)) throw changed();
  return placed;
}

function requireAllPages(
  snapshot: Snapshot,
  position: number,
  buffer: Buffer,
  fromFile: number,
  fromLog: ReadonlySet<number>,
): void {
  const { pageSize } = snapshot;
  for (let at = fromFile - (fromFile % pageSize); at < buffer.length; at += pageSize) {
    if (fromLog.has((position + at) / pageSize + 1)) continue;
    if (position + at !== LOCK_BYTE) throw changed();
    buffer.fill(0, at, at + pageSize);
  }
}

function lowerBound(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function changed(): BackupError {
  return new BackupError(
    'incomplete',
    'The database files changed in a way that SQLite rules out while they are read: something other than SQLite writes to them',
    { transient: true },
  );
}
