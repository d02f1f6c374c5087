import type Database from 'better-sqlite3';
import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { isCurrent, type Migrations, refuseNewer } from './migrations.ts';
import type { StoreSchema } from './schema.ts';

/**
 * Brings the schema up to date in one transaction: a failing step leaves the store exactly as it was. The
 * write lock is taken first, so that of several processes that open an old store, one migrates it and the
 * others find it done.
 * @throws BackupError `invalid-config` when a newer DBackup has written the store
 */
export async function migrateSqlite(
  sqlite: Database.Database,
  db: Kysely<StoreSchema>,
  migrations: Migrations,
): Promise<void> {
  if (isCurrent(applied(sqlite), migrations)) return;
  sqlite.exec('BEGIN IMMEDIATE');
  try {
    refuseNewer(applied(sqlite), migrations, sqlite.name);
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    sqlite.exec('COMMIT');
  } catch (thrown) {
    if (sqlite.inTransaction) sqlite.exec('ROLLBACK');
    throw thrown;
  }
}

function applied(sqlite: Database.Database): string[] {
  const table = sqlite
    .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'kysely_migration'")
    .get();
  if (table === undefined) return [];
  return sqlite.prepare<[], string>('SELECT name FROM kysely_migration ORDER BY name').pluck().all();
}
