import { throwIfAborted } from '../../errors.ts';
import type { DatabaseInfo } from '../driver.ts';
import { selectNames } from '../server/selection.ts';
import { mayReadAccounts } from './accounts.ts';
import type { MysqlSession } from './connect.ts';
import type { MysqlSource } from './options.ts';

/** The artifact of users and grants. */
export const USERS_ID = 'users:';
const DATABASE = 'database:';

/** What each server has for itself: dumped only when it is named. */
const OF_THE_SYSTEM = ['information_schema', 'performance_schema', 'mysql', 'sys'];

export const NO_USERS =
  'Users and grants are not dumped, since the user may not read them: grant SELECT on mysql.*, or turn them off';

/** What the source selects now: users and grants first, when they are wanted and may be read. */
export async function listArtifacts(session: MysqlSession, source: MysqlSource): Promise<DatabaseInfo[]> {
  const names = selectNames(await databaseNames(session), source);
  const sizes = await sizesOf(session, source);
  const databases = names.map((name) => {
    const bytes = sizes.get(name);
    return { id: `${DATABASE}${name}`, name, ...(bytes === undefined ? {} : { bytes }) };
  });
  const [first, ...others] = databases;
  if (!source.users || first === undefined) return databases;
  if (await mayReadAccounts(session)) return [{ id: USERS_ID, name: 'users' }, ...databases];
  return [{ ...first, warnings: [NO_USERS] }, ...others];
}

/** The name of the database that an artifact is of. */
export function databaseOf({ id }: DatabaseInfo): string {
  return id.slice(DATABASE.length);
}

async function databaseNames(session: MysqlSession): Promise<string[]> {
  const rows = await session.query(
    'SELECT schema_name FROM information_schema.schemata ORDER BY schema_name',
  );
  return rows.map(([name]) => name ?? '').filter((name) => !OF_THE_SYSTEM.includes(name.toLowerCase()));
}

/**
 * Bytes of data and indexes, as the server estimates them. It opens tables for that: one that is locked must
 * not hold up a listing.
 */
async function sizesOf(
  session: MysqlSession,
  { lockTimeout }: MysqlSource,
): Promise<ReadonlyMap<string, number>> {
  try {
    await session.query(`SET SESSION lock_wait_timeout = ${lockTimeout}`);
    const rows = await session.query(
      `SELECT table_schema, SUM(data_length + index_length) FROM information_schema.tables
        WHERE table_schema NOT IN (?, ?, ?, ?) GROUP BY table_schema`,
      OF_THE_SYSTEM,
    );
    return new Map(rows.map(([name, bytes]) => [name ?? '', Number(bytes ?? 0)]));
  } catch {
    throwIfAborted(session.reached.signal);
    return new Map();
  }
}
