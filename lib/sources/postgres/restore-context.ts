import { toBackupError } from '../../errors.ts';
import { type Reached, reach } from '../server/reach.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import { connectThrough, type PostgresSession } from './connect.ts';
import type { PostgresServer } from './options.ts';

/** How long clearing up may take after a restore has failed, in ms. */
const CLEAR_MS = 30_000;

/** One restore: where it goes, and the way there. */
export interface RestoreContext {
  readonly server: PostgresServer;
  readonly options: ServerRestoreOptions;
  readonly reached: Reached;
  /** Aborts with the caller's signal, and when the way to the server breaks. */
  readonly signal: AbortSignal;
}

/** Does something in a session with a database. */
export async function inDatabase<T>(
  { reached, server }: Pick<RestoreContext, 'reached' | 'server'>,
  database: string,
  work: (session: PostgresSession) => Promise<T>,
): Promise<T> {
  const session = await connectThrough(reached, server, database);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/**
 * Does something in a session that is in no database that is to be renamed: in the one of the settings, or
 * when that is the target, in one that every server has.
 */
export async function beside<T>(
  context: Pick<RestoreContext, 'reached' | 'server' | 'options'>,
  work: (session: PostgresSession) => Promise<T>,
): Promise<T> {
  const { server, options } = context;
  const places = [server.maintenanceDatabase, 'postgres', 'template1'];
  const place = places.find((name) => name !== options.database) ?? 'template1';
  return await inDatabase(context, place, work);
}

/**
 * The same by a way of its own, which works when the restore was aborted or its connection broke.
 * @returns why it did not work out, if so
 */
export async function clearUp(
  { server, options }: Pick<RestoreContext, 'server' | 'options'>,
  work: (
    session: PostgresSession,
    context: Pick<RestoreContext, 'reached' | 'server' | 'options'>,
  ) => Promise<unknown>,
): Promise<string | undefined> {
  try {
    const reached = await reach(server, AbortSignal.timeout(CLEAR_MS));
    try {
      const context = { reached, server, options };
      await beside(context, (session) => work(session, context));
    } finally {
      await reached.close();
    }
    return undefined;
  } catch (error) {
    return toBackupError(error).message;
  }
}
