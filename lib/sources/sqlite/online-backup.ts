import { beginReading, type Connection, pragmaText } from './connection.ts';
import { retryWhileLocked } from './lock-wait.ts';

/** After so many steps without progress, because a writer came between, the rest is done under one lock. */
const MAX_SETBACKS = 3;
/** Pages per step when no writer has to wait for us. */
const PAGES_PER_LONG_STEP = 65_536;
const ALL_PAGES = 0x7fffffff;

/**
 * Copies a database with SQLite's online backup interface, as one consistent moment of it. The connection
 * is in a read transaction when it begins.
 *
 * In WAL mode all is copied under that one transaction, which lets writers go on. With a rollback journal
 * readers make writers wait, so the copy is done in steps between which they get their turn; a writer makes
 * it start anew, and when that has happened a few times the rest is copied under one lock.
 * @throws SqliteError, `SQLITE_BUSY` among them when a lock was not given up in time
 */
export async function backUpOnline(
  connection: Connection,
  destination: string,
  pagesPerStep: number,
  busyTimeoutMs: number,
): Promise<void> {
  const wal = pragmaText(connection, 'journal_mode') === 'wal';
  if (wal) {
    await connection.backup(destination, { progress: () => PAGES_PER_LONG_STEP });
    return;
  }
  connection.exec('COMMIT');
  const holdLock = (): number => {
    retryWhileLocked(() => beginReading(connection), busyTimeoutMs);
    return ALL_PAGES;
  };
  const { totalPages } = await connection.backup(destination, { progress: inTurns(pagesPerStep, holdLock) });
  // better-sqlite3 takes a first step that found the database locked for a finished copy of nothing.
  if (totalPages > 0) return;
  const progress = (): number => ALL_PAGES;
  holdLock();
  await connection.backup(destination, { progress });
}

/** Decides how many pages the next step copies. */
function inTurns(pagesPerStep: number, holdLock: () => number): (info: { remainingPages: number }) => number {
  let least = Number.POSITIVE_INFINITY;
  let setbacks = 0;
  let locked = false;
  return ({ remainingPages }) => {
    if (locked) return ALL_PAGES;
    setbacks += remainingPages < least ? 0 : 1;
    least = remainingPages;
    if (setbacks < MAX_SETBACKS) return pagesPerStep;
    locked = true;
    return holdLock();
  };
}
