import { type Kysely, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { isCurrent, type Migrations, refuseNewer } from './migrations.ts';
import type { StoreSchema } from './schema.ts';

/**
 * Brings the schema up to date in one transaction, which PostgreSQL can for tables too: a failing step leaves the store
 * exactly as it was. Of several processes that open an old store at once, one migrates it while the others wait
 * (an advisory lock) and find it done.
 * @param schema name of the schema that holds the tables
 * @param store what the store is called in errors
 * @throws BackupError `invalid-config` when a newer DBackup has written the store; errors of the library
 */
export async function migratePostgres(
  db: Kysely<StoreSchema>,
  schema: string,
  migrations: Migrations,
  store: string,
): Promise<void> {
  const before = await applied(db, schema);
  if (isCurrent(before, migrations)) return;
  refuseNewer(before, migrations, store);
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableSchema: schema,
  });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  // A newer one may have been quicker.
  refuseNewer(await applied(db, schema), migrations, store);
  throw error;
}

async function applied(db: Kysely<StoreSchema>, schema: string): Promise<string[]> {
  const { rows } = await sql<{ present: boolean }>`
    select exists (
      select from pg_catalog.pg_tables where schemaname = ${schema} and tablename = 'kysely_migration'
    ) as present`.execute(db);
  if (rows[0]?.present !== true) return [];
  const names = await sql<{ name: string }>`
    select name from ${sql.table(`${schema}.kysely_migration`)} order by name collate "C"`.execute(db);
  return names.rows.map(({ name }) => name);
}
