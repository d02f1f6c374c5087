import type { StoredArtifact } from '../backupset/manifest.ts';
import { BackupError } from '../errors.ts';
import type { RestoreTarget } from '../sources/driver.ts';
import { createMysqlRestoreTarget } from '../sources/mysql/mysql-restore.ts';
import type { MysqlServer } from '../sources/mysql/options.ts';
import type { PostgresServer } from '../sources/postgres/options.ts';
import { createPostgresRestoreTarget } from '../sources/postgres/postgres-restore.ts';
import type { ServerRestoreOptions } from '../sources/server/restore-options.ts';
import { createSqliteRestoreTarget } from '../sources/sqlite/sqlite-restore.ts';

/** Settings of a server, by its engine. */
interface Servers {
  readonly postgres: PostgresServer;
  readonly mysql: MysqlServer;
}

/** The server that a dump of one goes back into. */
export type RestoreServer = {
  [Kind in keyof Servers]: { readonly kind: Kind; readonly server: Servers[Kind] };
}[keyof Servers];

type Unchanging = 'database' | 'format' | 'engineVersion';

export interface TargetOptions extends Partial<Omit<ServerRestoreOptions, Unchanging>> {
  /**
   * Where the database goes: a file's path for SQLite, where it must be given, else the name of a database;
   * empty for the name that it had.
   */
  readonly to?: string | undefined;
  /** Must be given for dumps of servers, and only for them. */
  readonly server?: RestoreServer | undefined;
  readonly overwrite: 'refuse' | 'replace';
  /** Keep what is replaced beside the new content. */
  readonly safetyCopy: boolean;
}

type Artifact = Pick<StoredArtifact, 'source' | 'database' | 'format' | 'engineVersion'>;

/** What people call the engines. */
const ENGINES: Readonly<Record<string, string>> = {
  sqlite: 'SQLite',
  postgres: 'PostgreSQL',
  mysql: 'MySQL or MariaDB',
};

/**
 * The target that takes an artifact back: the engine that it was dumped from decides which.
 * @throws BackupError `invalid-config` for an engine that this version cannot restore, a server that is
 *   missing or of another engine, and options that the engine does not have
 */
export function openRestoreTarget(artifact: Artifact, options: TargetOptions): RestoreTarget {
  switch (artifact.source) {
    case 'sqlite':
      return sqliteTarget(artifact, options);
    case 'postgres':
      return createPostgresRestoreTarget(
        serverOf(artifact, 'postgres', options),
        serverOptions(artifact, options),
      );
    case 'mysql':
      return createMysqlRestoreTarget(serverOf(artifact, 'mysql', options), serverOptions(artifact, options));
    default:
      throw new BackupError(
        'invalid-config',
        `${artifact.database} is a ${artifact.source} dump, which this version cannot restore: update @dbackup/node-red`,
      );
  }
}

function sqliteTarget({ database }: Artifact, options: TargetOptions): RestoreTarget {
  const { to = '', server, content = 'all', tables = [], overwrite, safetyCopy } = options;
  if (server !== undefined) {
    throw new BackupError(
      'invalid-config',
      `${database} is a SQLite database, which is restored into a file: leave the ${ENGINES[server.kind]} server out and name the file`,
    );
  }
  if (content !== 'all' || tables.length > 0) {
    throw new BackupError(
      'invalid-config',
      `${database} is a SQLite database, which is restored as a whole: leave out the choice of content and tables`,
    );
  }
  if (to.trim() === '') {
    throw new BackupError(
      'invalid-config',
      `${database} is a SQLite database: say which file it is to be restored into`,
    );
  }
  return createSqliteRestoreTarget({ path: to, overwrite, safetyCopy });
}

/**
 * How a dump goes into a scratch database: without the owners and privileges of the original, whose roles need not be
 * there, where the format allows that.
 */
export function scratchOptions(artifact: Artifact, { folder }: { readonly folder: string }): ScratchOptions {
  const isScript = artifact.format === 'pg-plain';
  const options = serverOptions(artifact, { overwrite: 'refuse', safetyCopy: false, spoolDirectory: folder });
  return { ...options, owners: isScript, privileges: isScript };
}

/** Without the name, which each scratch database has of its own. */
export type ScratchOptions = Omit<ServerRestoreOptions, 'database'>;

/**
 * The settings of the server that a dump goes into.
 * @throws BackupError `invalid-config` when it is missing or of another engine
 */
export function serverOf<Kind extends keyof Servers>(
  { database }: Pick<Artifact, 'database'>,
  kind: Kind,
  { server }: Pick<TargetOptions, 'server'>,
): Servers[Kind] {
  const dump = `${database} is a dump of a ${ENGINES[kind]} database`;
  if (server === undefined) {
    throw new BackupError('invalid-config', `${dump}: say which ${ENGINES[kind]} server it goes into`);
  }
  if (server.kind !== kind) {
    throw new BackupError(
      'invalid-config',
      `${dump}, which a ${ENGINES[server.kind]} server cannot take: choose a ${ENGINES[kind]} server`,
    );
  }
  return server.server as Servers[Kind];
}

function serverOptions(artifact: Artifact, options: TargetOptions): ServerRestoreOptions {
  const { to = '', server: _server, ...chosen } = options;
  return {
    content: 'all',
    tables: [],
    owners: true,
    privileges: true,
    jobs: 1,
    spoolDirectory: '',
    ...chosen,
    database: to === '' ? artifact.database : to,
    format: artifact.format,
    engineVersion: artifact.engineVersion,
  };
}
