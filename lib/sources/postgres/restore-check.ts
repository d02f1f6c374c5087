import { BackupError } from '../../errors.ts';
import { describeServer, type PostgresSession } from './connect.ts';
import type { RestoreContext } from './restore-context.ts';

interface Rights {
  readonly isSuperuser: boolean;
  readonly createsDatabases: boolean;
  readonly createsRoles: boolean;
}

interface Existing {
  readonly isOwned: boolean;
}

/** What the target is now. */
export interface Target {
  readonly exists: boolean;
}

/**
 * Looks at the target, and refuses what may not be done there.
 * @throws BackupError `already-exists`, `permission`, `invalid-config`
 */
export async function requireExpected(
  session: PostgresSession,
  { options, server }: Pick<RestoreContext, 'options' | 'server'>,
): Promise<Target> {
  const { database, overwrite, content, tables } = options;
  const where = describeServer(server);
  const [existing] = await session.query<Existing>(
    `SELECT pg_has_role(datdba, 'USAGE') AS "isOwned" FROM pg_database WHERE datname = $1`,
    [database],
  );
  const rights = await rightsOf(session);
  if (existing === undefined && content === 'data') {
    throw new BackupError(
      'invalid-config',
      `There is no database ${database} on ${where} that data could go into: restore everything, or the schema first`,
    );
  }
  if (existing !== undefined && overwrite === 'refuse') {
    throw new BackupError(
      'already-exists',
      `The database ${database} exists on ${where}: restore under another name, or allow it to be replaced`,
    );
  }
  const isAdded = existing !== undefined && (content !== 'all' || tables.length > 0);
  const needsDatabase = !isAdded || options.safetyCopy;
  if (needsDatabase && !rights.isSuperuser && !rights.createsDatabases) {
    throw new BackupError(
      'permission',
      `The user ${server.user} may not create databases on ${where}: run ALTER ROLE … CREATEDB, or restore as another user`,
    );
  }
  if (existing !== undefined && !existing.isOwned && !rights.isSuperuser) {
    throw new BackupError(
      'permission',
      `The database ${database} on ${where} does not belong to the user ${server.user}, who may not replace it: restore as its owner or as a superuser`,
    );
  }
  return { exists: existing !== undefined };
}

/** @throws BackupError `permission` when the user cannot create roles */
export async function requireRoleRights(
  session: PostgresSession,
  { server }: Pick<RestoreContext, 'server'>,
): Promise<void> {
  const { isSuperuser, createsRoles } = await rightsOf(session);
  if (isSuperuser || createsRoles) return;
  throw new BackupError(
    'permission',
    `The user ${server.user} may not create roles on ${describeServer(server)}: restore the globals as a superuser`,
  );
}

async function rightsOf(session: PostgresSession): Promise<Rights> {
  const [rights] = await session.query<Rights>(
    `SELECT rolsuper AS "isSuperuser", rolcreatedb AS "createsDatabases", rolcreaterole AS "createsRoles"
       FROM pg_roles WHERE rolname = current_user`,
  );
  return rights ?? { isSuperuser: false, createsDatabases: false, createsRoles: false };
}
