import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isStored, type Manifest, type StoredArtifact } from '../../lib/backupset/manifest.ts';
import { type BackupSet, findArtifact, openBackupSet } from '../../lib/backupset/reader.ts';
import { parseAssertion } from '../../lib/restore/assertions.ts';
import type { RestoreServer } from '../../lib/restore/targets.ts';
import { type VerifyReport, verifySet } from '../../lib/restore/verify.ts';
import { createSqliteSource } from '../../lib/sources/sqlite/sqlite-source.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createShop as createMysqlShop } from '../fixtures/mysql-shop.ts';
import { createShop as createPostgresShop } from '../fixtures/postgres-shop.ts';
import { createDatabase } from '../fixtures/sqlite-database.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { startPostgres } from '../servers/postgres.ts';
import { localFolder, runEngine } from './engine-run.ts';
import { VAULT_RING } from './keys.ts';
import { backUp as backUpMysql, databasesOf as mysqlDatabases } from './mysql-backup.ts';
import { backUp as backUpPostgres, databasesOf as postgresDatabases } from './postgres-backup.ts';

/** An engine with a stored set of one database, and a place to restore it for a test. */
export interface TestRestoreWorld {
  /** Sets by the format of their dump. */
  readonly sets: readonly BackupSet[];
  readonly server?: RestoreServer;
  /** For SQLite files. */
  readonly folder: string;
  /** A statement that goes on for minutes. */
  readonly endless: string;
  /** What is there: databases, or the content of the folder. */
  present(): Promise<string[]>;
  /** Makes a database of that name; absent where names do not tell the age. */
  plant?(name: string): Promise<void>;
  close(): Promise<void>;
}

const NEVER = new AbortController().signal;

export async function sqliteWorld(): Promise<TestRestoreWorld> {
  const home = await mkdtemp(join(tmpdir(), 'dbackup-scratch-'));
  const storage = await localFolder();
  const folder = join(home, 'scratch');
  await mkdir(folder);
  createDatabase(join(home, 'shop.db'), { megabytes: 2 });
  const source = createSqliteSource({ files: [join(home, 'shop.db')] });
  const steps = [{ node: 'zstd', transform: createCompress({ level: 1 }) }];
  const { outcomes } = await runEngine(source, [{ to: storage.driver, name: 'disk', steps }]);
  const committed = outcomes.get('disk');
  if (committed?.status !== 'fulfilled') throw committed?.reason;
  const set = await openBackupSet(storage.driver, `sets/${committed.value.reference.path}`, NEVER);
  return {
    sets: [set],
    folder,
    endless: 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n',
    present: () => readdir(folder),
    close: async () => {
      await storage.remove();
      await rm(home, { recursive: true, force: true });
    },
  };
}

export async function postgresWorld(): Promise<TestRestoreWorld> {
  const [server, storage] = await Promise.all([startPostgres(), localFolder()]);
  await createPostgresShop(server, 'shop', { megabytes: 0.5, seed: 1 });
  const sets: BackupSet[] = [];
  for (const format of ['custom', 'plain', 'tar'] as const) {
    sets.push((await backUpPostgres(server, 'shop', storage.driver, format)).set);
  }
  return {
    sets,
    server: { kind: 'postgres', server: server.settings },
    folder: '',
    endless: "SELECT 'asked', pg_sleep(600)",
    present: () => postgresDatabases(server),
    plant: async (name) => void (await server.query(`CREATE DATABASE ${name}`)),
    close: async () => {
      await server.stop();
      await storage.remove();
    },
  };
}

export async function mysqlWorld(server: TestMysqlServer): Promise<TestRestoreWorld> {
  const storage = await localFolder();
  await createMysqlShop(server, 'shop', { megabytes: 0.5, seed: 1 });
  const { set } = await backUpMysql(server, 'shop', storage.driver);
  return {
    sets: [set],
    server: { kind: 'mysql', server: server.settings },
    folder: '',
    endless: 'SELECT SLEEP(600)',
    present: () => mysqlDatabases(server),
    plant: async (name) => void (await server.query(`CREATE DATABASE ${name}`)),
    close: async () => {
      await server.stop();
      await storage.remove();
    },
  };
}

export async function testRestoreOf(
  { server, folder }: Pick<TestRestoreWorld, 'server' | 'folder'>,
  set: BackupSet,
  assertions: readonly string[] = [],
  options: { readonly signal?: AbortSignal; readonly onProgress?: (done: number) => void } = {},
): Promise<VerifyReport> {
  const place = { server, folder, assertions: assertions.map(parseAssertion) };
  return await verifySet({ set, level: 'restore', keys: VAULT_RING, place, signal: NEVER, ...options });
}

/** The same set by a manifest that says something else of its artifacts. */
export function withArtifacts(
  set: BackupSet,
  change: (artifact: StoredArtifact) => StoredArtifact,
): BackupSet {
  const artifacts: Manifest['artifacts'] = set.manifest.artifacts.map((artifact) =>
    isStored(artifact) ? change(artifact) : artifact,
  );
  return { ...set, manifest: { ...set.manifest, artifacts } };
}

export function onlyArtifact(set: BackupSet): StoredArtifact {
  return findArtifact(set, undefined);
}
