import type { StoredArtifact } from '../../lib/backupset/manifest.ts';
import { type BackupSet, findArtifact, openBackupSet } from '../../lib/backupset/reader.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { restoreArtifact } from '../../lib/restore/restore.ts';
import type { RestoreReport } from '../../lib/sources/driver.ts';
import { createMysqlRestoreTarget } from '../../lib/sources/mysql/mysql-restore.ts';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import type { ServerRestoreOptions } from '../../lib/sources/server/restore-options.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { runEngine } from './engine-run.ts';
import { VAULT_KEY, VAULT_RING } from './keys.ts';

export interface StoredDump {
  readonly set: BackupSet;
  readonly artifact: StoredArtifact;
}

/** Backs up one database (or the users) as a flow does: dump, zstd, AES-256-GCM, storage. */
export async function backUp(
  server: TestMysqlServer,
  database: string | undefined,
  to: DestinationDriver,
): Promise<StoredDump> {
  const names = database === undefined ? ['nothing there'] : [escaped(database)];
  const source = createMysqlSource(server.settings, { databases: names, users: database === undefined });
  const steps = [
    { node: 'zstd', transform: createCompress({ algorithm: 'zstd', level: 1 }) },
    { node: 'encrypt', transform: createEncrypt(VAULT_KEY, { format: 'dbk' }) },
  ];
  const { result, outcomes } = await runEngine(source, [{ to, name: 'disk', steps }]);
  const committed = outcomes.get('disk');
  if (committed?.status !== 'fulfilled') throw committed?.reason ?? new Error(JSON.stringify(result));
  const set = await openBackupSet(to, `sets/${committed.value.reference.path}`, new AbortController().signal);
  return { set, artifact: findArtifact(set, database ?? 'users') };
}

/** The options of a restore of everything, where nothing is. */
export function restoreOptions(
  database: string,
  { artifact }: { readonly artifact: Pick<StoredArtifact, 'format' | 'engineVersion'> },
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

/** Restores it as a restore node does: bytes authenticated on the way, target checked before. */
export async function putBack(
  server: TestMysqlServer,
  { set, artifact }: StoredDump,
  database: string,
  options: Partial<ServerRestoreOptions> = {},
): Promise<RestoreReport> {
  const target = createMysqlRestoreTarget(server.settings, restoreOptions(database, { artifact }, options));
  return restoreArtifact({ set, artifact, keys: VAULT_RING, signal: new AbortController().signal, target });
}

/** Names of all databases but the server's own. */
export async function databasesOf(server: TestMysqlServer): Promise<string[]> {
  const rows = await server.query(
    `SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA
     WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY 1`,
  );
  return rows.map(({ name }) => String(name));
}

/** A pattern that means this name alone. */
function escaped(name: string): string {
  return name.replaceAll(/[*?\\]/g, '\\$&');
}
