import { endianness } from 'node:os';
import { beginReading, type Connection, fileOf, pragmaNumber, pragmaText } from './connection.ts';
import { openDescriptors } from './descriptors.ts';
import { pause, retryWhileLocked } from './lock-wait.ts';
import { readIndexHeader, readWalPages, type WalIndexHeader } from './wal.ts';

/** A busy writer commits between our two looks at the index; after this many tries another road is taken. */
const MAX_TRIES = 500;

/**
 * One moment of a database in WAL mode, readable from its files as long as the read transaction that holds
 * it lasts. All descriptors are SQLite's own: opening the files again and closing them would drop its locks.
 */
export interface Snapshot {
  readonly pageSize: number;
  readonly pages: number;
  /** Descriptors of the database file and of its write-ahead log. */
  readonly main: number;
  readonly wal: number;
  /** Undefined when the database file alone holds this moment. */
  readonly log?: {
    readonly salts: Uint8Array;
    /** Pages that must be taken from the log, sorted, and where in it their content is. */
    readonly pages: Uint32Array;
    readonly offsets: Float64Array;
  };
}

/**
 * Finds out which bytes of the files make up the moment that the connection's read transaction sees. The
 * connection is in a read transaction before and after, not always the same one.
 *
 * The moment is known because the index's header reads the same before and after the transaction begins.
 * Why its bytes then stay put:
 * - Some frames are not copied back yet: the reader holds a read mark at the last frame, so the log cannot
 *   begin anew and a checkpoint writes only pages that have a frame up to that mark. Those are taken from
 *   the log; the others nobody writes.
 * - All frames are copied back: the database file is complete, and no checkpoint may add later frames to
 *   it, whether the reader holds the mark at the last frame or the one that says "file only". The log may
 *   begin anew and is not needed.
 * @returns undefined when the files cannot be read this way; the online backup can do it
 */
export function holdSnapshot(connection: Connection, busyTimeoutMs: number): Snapshot | undefined {
  if (endianness() !== 'LE' || pragmaText(connection, 'journal_mode') !== 'wal') return undefined;
  const file = fileOf(connection);
  const descriptors = openDescriptors();
  const main = descriptors.get(file);
  const wal = descriptors.get(`${file}-wal`);
  const shm = descriptors.get(`${file}-shm`);
  if (main === undefined || wal === undefined || shm === undefined) return undefined;
  const index = beginAtKnownState(connection, shm, busyTimeoutMs);
  return index === undefined ? undefined : describe(connection, main, wal, index);
}

function describe(
  connection: Connection,
  main: number,
  wal: number,
  index: WalIndexHeader,
): Snapshot | undefined {
  const pageSize = pragmaNumber(connection, 'page_size');
  const pages = pragmaNumber(connection, 'page_count');
  if (index.backfilled === index.lastFrame) return { pageSize, pages, main, wal };
  if (index.pageSize !== pageSize || index.pages !== pages) return undefined;
  const found = readWalPages(wal, index);
  if (found === undefined) return undefined;
  return { pageSize, pages, main, wal, log: { salts: Uint8Array.from(index.salts), ...found } };
}

function beginAtKnownState(
  connection: Connection,
  shm: number,
  busyTimeoutMs: number,
): WalIndexHeader | undefined {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    connection.exec('ROLLBACK');
    const before = readIndexHeader(shm);
    retryWhileLocked(() => beginReading(connection), busyTimeoutMs);
    const after = readIndexHeader(shm);
    if (before !== undefined && after?.bytes.equals(before.bytes)) return after;
    if (tries > 10) pause(Math.random() * 5);
  }
  return undefined;
}
