import { BackupError, errorAbout } from '../../errors.ts';
import type { DatabaseInfo } from '../driver.ts';
import { selectNames } from '../server/selection.ts';
import type { PostgresSession } from './connect.ts';
import type { PostgresServer, PostgresSource } from './options.ts';

/** What stands for the server's roles and tablespaces in the list of databases. */
export const GLOBALS_ID = 'globals:';
const DATABASE_PREFIX = 'database:';

export const NO_PASSWORDS =
  'The passwords of roles are left out, since the user may not read pg_authid: roles will need new ones after a restore';

interface DatabaseRow {
  readonly name: string;
  readonly bytes: string | null;
}

/**
 * The databases that can be connected to and are no templates, with their size on disk where the user may
 * know it. One that was left half-dropped is none (`datconnlimit` -2).
 */
const DATABASES = `
  SELECT datname AS name,
         CASE WHEN has_database_privilege(oid, 'CONNECT')
                OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'pg_read_all_stats' AND pg_has_role(pg_roles.oid, 'MEMBER'))
              THEN pg_database_size(oid)::text END AS bytes
    FROM pg_database
   WHERE datallowconn AND NOT datistemplate AND datconnlimit <> -2
   ORDER BY datname COLLATE "C"`;

/** The artifacts of a source: the globals first, when they are wanted, then the databases that it selects. */
export async function listArtifacts(
  session: PostgresSession,
  source: PostgresSource,
): Promise<DatabaseInfo[]> {
  const rows = await session.query<DatabaseRow>(DATABASES);
  const sizes = new Map(rows.map(({ name, bytes }) => [name, bytes === null ? undefined : Number(bytes)]));
  const databases = selectNames([...sizes.keys()], source).map((name) => {
    const bytes = sizes.get(name);
    return { id: `${DATABASE_PREFIX}${name}`, name, ...(bytes === undefined ? {} : { bytes }) };
  });
  if (!source.globals || databases.length === 0) return databases;
  return [{ id: GLOBALS_ID, name: 'globals' }, ...databases];
}

/** Whether the hashes of the roles' passwords can be dumped. */
export async function mayReadPasswords(session: PostgresSession): Promise<boolean> {
  const [row] = await session.query<{ may: boolean }>(
    `SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may`,
  );
  return row?.may === true;
}

/** The database that an artifact is the dump of. */
export function databaseOf({ id }: DatabaseInfo): string {
  if (id.startsWith(DATABASE_PREFIX)) return id.slice(DATABASE_PREFIX.length);
  throw new BackupError('internal', `${id} is no database of PostgreSQL`);
}

/** The database that is connected to when none is meant may not be there. */
export function aboutMaintenance(error: unknown, { maintenanceDatabase }: PostgresServer): unknown {
  if (!(error instanceof BackupError) || error.code !== 'not-found') return error;
  return errorAbout(
    `Set another database than ${maintenanceDatabase} to connect to in the server node`,
    error,
  );
}
