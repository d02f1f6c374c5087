import { BackupError } from '../../errors.ts';
import { beginReading, type Connection, pragmaText } from './connection.ts';

/** After a writer has made the copy start anew this often, the rest is done under one lock. */
const MAX_RESTARTS = 3;
/** Pages per step when no writer has to wait for us: only the loop's overhead counts. */
const PAGES_PER_LONG_STEP = 65_536;
const ALL_PAGES = 0x7fffffff;

/**
 * Copies a database with SQLite's online backup interface, as one consistent moment of it. The connection
 * is inside a read transaction and is inside one again, or closed to use, when this returns.
 *
 * In WAL mode all is copied under that one read transaction, which lets writers go on. With a rollback
 * journal a reader makes writers wait, so the copy is done in steps between which they get their turn; a
 * writer of another process makes it start anew, and after a few times the rest is copied in one step.
 * @throws SqliteError, or BackupError `unavailable` when a lock was not given up in time
 */
export async function backUpOnline(
  connection: Connection,
  file: string,
  destination: string,
  pagesPerStep: number,
): Promise<void> {
  const wal = pragmaText(connection, 'journal_mode') === 'wal';
  if (!wal) connection.exec('COMMIT');
  const progress = wal ? () => PAGES_PER_LONG_STEP : stepsWithTurns(connection, pagesPerStep);
  const { totalPages } = await connection.backup(destination, { progress });
  // better-sqlite3 takes a first step that found the database locked for a finished copy of nothing.
  if (totalPages === 0) {
    throw new BackupError('unavailable', `${file} is locked by another program: try again later`, {
      transient: true,
    });
  }
}

function stepsWithTurns(
  connection: Connection,
  pagesPerStep: number,
): (info: { remainingPages: number }) => number {
  let least = Number.POSITIVE_INFINITY;
  let restarts = 0;
  return ({ remainingPages }) => {
    if (connection.inTransaction) return ALL_PAGES;
    if (remainingPages < least) {
      least = remainingPages;
      return pagesPerStep;
    }
    // Not less than before: a writer has changed the database, or holds the lock.
    least = remainingPages;
    restarts += 1;
    if (restarts < MAX_RESTARTS) return pagesPerStep;
    beginReading(connection);
    return ALL_PAGES;
  };
}
