import type { StoredArtifact } from '../../lib/backupset/manifest.ts';
import { joinPath } from '../../lib/backupset/names.ts';
import { type BackupSet, findArtifact, openBackupSet } from '../../lib/backupset/reader.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { restoreArtifact } from '../../lib/restore/restore.ts';
import type { RestoreReport } from '../../lib/sources/driver.ts';
import type { POSTGRES_FORMATS, PostgresServer } from '../../lib/sources/postgres/options.ts';
import { createPostgresRestoreTarget } from '../../lib/sources/postgres/postgres-restore.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import type { ServerRestoreOptions } from '../../lib/sources/server/restore-options.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import type { TestPostgres } from '../servers/postgres.ts';
import { runEngine } from './engine-run.ts';
import { VAULT_KEY, VAULT_RING } from './keys.ts';

export interface StoredDump {
  readonly set: BackupSet;
  readonly artifact: StoredArtifact;
}

const RUNNING = new AbortController().signal;

/** Backs up one database, or the globals, as a flow does: dump, zstd, AES-256-GCM, storage. */
export async function backUp(
  server: Pick<TestPostgres, 'settings'>,
  database: string,
  to: DestinationDriver,
  format: (typeof POSTGRES_FORMATS)[number] = 'custom',
): Promise<StoredDump> {
  const isGlobals = database === 'globals';
  const source = createPostgresSource(server.settings, {
    databases: [isGlobals ? 'postgres' : database.replaceAll(/[*?\\]/g, '\\$&')],
    format,
    globals: isGlobals,
  });
  const steps = [
    { node: 'zstd', transform: createCompress({ algorithm: 'zstd', level: 1 }) },
    { node: 'encrypt', transform: createEncrypt(VAULT_KEY, { format: 'dbk' }) },
  ];
  const { result, outcomes } = await runEngine(source, [{ to, name: 'disk', steps }]);
  const committed = outcomes.get('disk');
  if (committed?.status !== 'fulfilled') throw committed?.reason ?? new Error(JSON.stringify(result));
  const set = await openBackupSet(to, joinPath('sets', committed.value.reference.path), RUNNING);
  return { set, artifact: findArtifact(set, database) };
}

/** The options of a restore of everything, where nothing is. */
export function restoreOptions(
  database: string,
  { artifact }: Pick<StoredDump, 'artifact'>,
  options: Partial<ServerRestoreOptions> = {},
): ServerRestoreOptions {
  return {
    database,
    format: artifact.format,
    engineVersion: artifact.engineVersion,
    overwrite: 'refuse',
    safetyCopy: true,
    content: 'all',
    tables: [],
    owners: true,
    privileges: true,
    jobs: 1,
    spoolDirectory: '',
    ...options,
  };
}

/** Restores it as a restore node does: target checked before, bytes authenticated on the way. */
export async function putBack(
  settings: PostgresServer,
  { set, artifact }: StoredDump,
  database: string,
  options: Partial<ServerRestoreOptions> = {},
  signal = RUNNING,
): Promise<RestoreReport> {
  const target = createPostgresRestoreTarget(settings, restoreOptions(database, { artifact }, options));
  return await restoreArtifact({ set, artifact, keys: VAULT_RING, signal, target });
}

/** Names of all databases but those that every server has. */
export async function databasesOf(server: TestPostgres): Promise<string[]> {
  const rows = await server.query<{ datname: string }>(
    `SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1`,
  );
  return rows.map(({ datname }) => datname);
}
