import { BackupError, errorAbout, toBackupError } from '../../errors.ts';
import type { PostgresSession } from './connect.ts';
import { beside, clearUp, type RestoreContext } from './restore-context.ts';
import { maskSecrets } from './restore-errors.ts';
import { keptName } from './restore-names.ts';
import { quoteIdentifier } from './restore-sql.ts';

/** How often the server is asked to rename a database that is in use; it waits 5 s each time. */
const ATTEMPTS = 6;
/** Between two looks at who is connected, in ms. */
const LOOK_MS = 50;

/** A database in the making takes its name. */
export interface Swap {
  readonly temporary: string;
  /** The name that it gets. */
  readonly name: string;
  /** Whether a database may be there, which then steps aside. */
  readonly mayReplace: boolean;
  /** Keep what was there. */
  readonly keep: boolean;
  /** Statements about the database under its new name. */
  finish(name: string): readonly string[];
}

export interface Swapped {
  /** Name of the database that was there, when it was kept. */
  readonly kept?: string;
  readonly warnings: readonly string[];
}

/**
 * Gives a database its name, in one transaction with that of the one that is there, which steps aside. Its
 * sessions are ended: the server renames no database that is in use, and lets nobody in meanwhile.
 * @throws BackupError; then every name is as it was
 */
export async function swapIn(context: RestoreContext, swap: Swap): Promise<Swapped> {
  const oid = await beside(context, (session) => oidOf(session, swap.temporary));
  try {
    return await attempt(context, swap);
  } catch (error) {
    // The answer to a commit may get lost.
    let isDone = false;
    await clearUp(context, async (session) => {
      isDone = oid !== undefined && (await oidOf(session, swap.name)) === oid;
    });
    if (!isDone) throw error;
    const why = toBackupError(error).message;
    return { warnings: [`The database has its name, but what was there may have been kept: ${why}`] };
  }
}

async function attempt(context: RestoreContext, swap: Swap): Promise<Swapped> {
  return await beside(context, async (session) => {
    for (let round = 1; ; round++) {
      try {
        return await swapOnce(context, session, swap);
      } catch (error) {
        await session.query('ROLLBACK').catch(() => undefined);
        if (!isInUse(error) || round === ATTEMPTS) throw error;
      }
    }
  });
}

async function swapOnce(context: RestoreContext, session: PostgresSession, swap: Swap): Promise<Swapped> {
  const { temporary, name, mayReplace, keep, finish } = swap;
  const names = await databaseNames(session);
  const aside = mayReplace && names.includes(name) ? keptName(name, new Date(), names) : undefined;
  const warnings: string[] = [];
  await session.query('BEGIN');
  if (aside !== undefined) {
    const ended = await renameInUse(context, session, name, aside);
    if (ended > 0) warnings.push(`${ended} ${ended === 1 ? 'session' : 'sessions'} in ${name} were ended`);
  }
  await renameInUse(context, session, temporary, name);
  for (const statement of finish(name)) await runStatement(session, statement);
  await session.query('COMMIT');
  if (aside === undefined) return { warnings };
  if (keep) return { kept: aside, warnings };
  await dropDatabase(session, aside).catch((error: unknown) => {
    warnings.push(`The replaced database is kept as ${aside}: ${toBackupError(error).message}`);
  });
  return { warnings };
}

/**
 * Renames a database, while another session ends those who use it: the rename holds the lock that keeps new
 * ones out, and waits for the old ones to go.
 * @returns how many sessions were ended
 */
async function renameInUse(
  context: RestoreContext,
  session: PostgresSession,
  from: string,
  to: string,
): Promise<number> {
  const ended = new Set<number>();
  let isOver = false;
  const renaming = session
    .query(`ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`)
    .finally(() => {
      isOver = true;
    });
  renaming.catch(() => undefined);
  const ending = beside(context, async (other) => {
    while (!isOver) {
      for (const pid of await endSessions(other, from)) ended.add(pid);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }).catch((error: unknown) => toBackupError(error).message);
  const why = await ending;
  try {
    await renaming;
  } catch (error) {
    if (why === undefined || !isInUse(error)) throw error;
    const { code, message, transient } = toBackupError(error);
    throw new BackupError(code, `${message}; its sessions could not be ended: ${why}`, {
      transient,
      cause: error,
    });
  }
  return ended.size;
}

async function endSessions(session: PostgresSession, database: string): Promise<number[]> {
  const rows = await session.query<{ pid: number }>(
    `SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = $1 AND pid <> pg_backend_pid()`,
    [database],
  );
  return rows.map(({ pid }) => pid);
}

/** Removes a database, with the sessions in it. */
export async function dropDatabase(session: PostgresSession, name: string): Promise<void> {
  const [found] = await session.query<{ isTemplate: boolean }>(
    'SELECT datistemplate AS "isTemplate" FROM pg_database WHERE datname = $1',
    [name],
  );
  if (found?.isTemplate) await session.query(`ALTER DATABASE ${quoteIdentifier(name)} IS_TEMPLATE false`);
  const force = session.major >= 13;
  if (!force) await endSessions(session, name);
  await session.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)}${force ? ' WITH (FORCE)' : ''}`);
}

/**
 * Lets a database that is given up be dropped: one with subscriptions cannot. They are detached first from the
 * replication slots that they name, which belong to the database that was dumped.
 */
export async function dropSubscriptions(session: PostgresSession): Promise<void> {
  const rows = await session.query<{ name: string }>(
    `SELECT subname::text AS name FROM pg_subscription
      WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  for (const { name } of rows) {
    const subscription = quoteIdentifier(name);
    await session.query(`ALTER SUBSCRIPTION ${subscription} DISABLE`);
    await session.query(`ALTER SUBSCRIPTION ${subscription} SET (slot_name = NONE)`);
    await session.query(`DROP SUBSCRIPTION ${subscription}`);
  }
}

export async function databaseNames(session: PostgresSession): Promise<string[]> {
  const rows = await session.query<{ datname: string }>('SELECT datname::text FROM pg_database');
  return rows.map(({ datname }) => datname);
}

/**
 * Runs a statement of the dump.
 * @throws BackupError that names it
 */
export async function runStatement(session: PostgresSession, statement: string): Promise<void> {
  try {
    await session.query(statement);
  } catch (error) {
    throw errorAbout(maskSecrets(statement), error);
  }
}

async function oidOf(session: PostgresSession, name: string): Promise<string | undefined> {
  const rows = await session.query<{ oid: string }>(
    'SELECT oid::text AS oid FROM pg_database WHERE datname = $1',
    [name],
  );
  return rows[0]?.oid;
}

function isInUse(error: unknown): boolean {
  const cause = error instanceof BackupError ? error.cause : error;
  return cause instanceof Error && 'code' in cause && cause.code === '55006';
}
