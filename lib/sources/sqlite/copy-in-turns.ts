import { ftruncateSync, readSync, writeSync } from 'node:fs';
import { BLOCK_BYTES } from '../../bytes/stream.ts';
import { BackupError } from '../../errors.ts';
import { beginReading, type Connection, fileOf, pragmaNumber, pragmaText } from './connection.ts';
import { openDescriptors } from './descriptors.ts';
import { retryWhileLocked } from './lock-wait.ts';
import { spoolFailure } from './spool.ts';

/** After a writer has made the copy start anew this often, all of it is done under one lock. */
const MAX_RESTARTS = 3;
/** Where the header counts the transactions that have changed the file. */
const CHANGE_COUNTER_OFFSET = 24;

export interface CopyTarget {
  readonly descriptor: number;
  /** The private folder that it lies in, for errors. */
  readonly folder: string;
}

/**
 * Copies the file of a database with a rollback journal, as one consistent moment of it. A reader's lock
 * keeps the file as it is, but makes writers wait; so the copy is done in steps of some pages, between which
 * writers get their turn. When the file's change counter shows that one has committed, the copy starts anew,
 * and after a few times it keeps the lock. This is what the online backup does, in larger reads and without
 * waiting for the disk: several times as fast.
 *
 * The connection is in a read transaction when it begins.
 * @returns false when the file cannot be copied this way; the online backup can do it
 */
export function copyInTurns(
  connection: Connection,
  target: CopyTarget,
  pagesPerStep: number,
  busyTimeoutMs: number,
): boolean {
  const main = openDescriptors().get(fileOf(connection));
  if (main === undefined) return false;
  const buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  let state = stateOf(connection, main);
  let position = 0;
  let restarts = 0;
  while (isRollback(connection)) {
    const keepsLock = restarts >= MAX_RESTARTS;
    const end = keepsLock ? state.bytes : Math.min(state.bytes, position + pagesPerStep * state.pageSize);
    copyRange(main, target, buffer, position, end);
    if (end === state.bytes) {
      ftruncateSync(target.descriptor, state.bytes);
      return true;
    }
    position = end;
    connection.exec('COMMIT');
    retryWhileLocked(() => beginReading(connection), busyTimeoutMs);
    const now = stateOf(connection, main);
    if (now.changes === state.changes && now.bytes === state.bytes) continue;
    state = now;
    position = 0;
    restarts += 1;
  }
  return false;
}

interface State {
  readonly changes: number;
  readonly pageSize: number;
  readonly bytes: number;
}

function stateOf(connection: Connection, main: number): State {
  const counter = Buffer.alloc(4);
  readSync(main, counter, 0, counter.length, CHANGE_COUNTER_OFFSET);
  const pageSize = pragmaNumber(connection, 'page_size');
  const bytes = pragmaNumber(connection, 'page_count') * pageSize;
  return { changes: counter.readUInt32BE(0), pageSize, bytes };
}

/** A writer may have changed the journal mode between two steps. */
function isRollback(connection: Connection): boolean {
  return pragmaText(connection, 'journal_mode') !== 'wal';
}

function copyRange(main: number, target: CopyTarget, buffer: Buffer, start: number, end: number): void {
  for (let position = start; position < end; ) {
    const wanted = Math.min(buffer.length, end - position);
    const bytes = readSync(main, buffer, 0, wanted, position);
    if (bytes === 0)
      throw new BackupError('corrupt', `The file ends at ${position} bytes, in the middle of a page`);
    put(target, buffer.subarray(0, bytes), position);
    position += bytes;
  }
}

function put({ descriptor, folder }: CopyTarget, bytes: Buffer, position: number): void {
  try {
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(descriptor, bytes, written, bytes.length - written, position + written);
    }
  } catch (error) {
    throw spoolFailure(error, folder);
  }
}
