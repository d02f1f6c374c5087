import Database from 'better-sqlite3';
import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { BackupError } from '../errors.ts';
import { isCurrent, type Migrations, refuseNewer } from './migrations.ts';
import type { StoreSchema } from './schema.ts';
import { copyStore, putBack, removeOldCopies } from './store-copies.ts';

type Tell = (level: 'info' | 'warn', message: string) => void;

/**
 * Brings the schema up to date in one transaction: a failing step, a killed process and a full disk leave the store as it
 * was. A copy is made first all the same, and put back if a step has gone around the transaction. The write lock is taken
 * before, so that of several processes that open an old store, one migrates it and the others find it done.
 * @throws BackupError `invalid-config` when a newer DBackup has written the store; errors of SQLite
 */
export async function migrateSqlite(
  sqlite: Database.Database,
  db: Kysely<StoreSchema>,
  migrations: Migrations,
  tell: Tell,
): Promise<void> {
  if (isCurrent(applied(sqlite), migrations)) return;
  sqlite.exec('BEGIN IMMEDIATE');
  let copy: string | undefined;
  try {
    const before = applied(sqlite);
    refuseNewer(before, migrations, sqlite.name);
    const next = Object.keys(migrations)
      .sort()
      .find((name) => !before.includes(name));
    // Another process may have been quicker.
    if (before.length > 0 && next !== undefined) copy = copyStore(sqlite.name, next);
    await runMigrations(db, migrations);
    sqlite.exec('COMMIT');
  } catch (thrown) {
    if (sqlite.inTransaction) sqlite.exec('ROLLBACK');
    if (copy !== undefined) await undo(sqlite, copy, thrown);
    throw thrown;
  }
  if (copy === undefined) return;
  tell('info', `The store ${sqlite.name} was brought up to date. As it was before it is kept in ${copy}`);
  for (const old of removeOldCopies(sqlite.name)) tell('info', `The old copy ${old} was removed`);
}

async function runMigrations(db: Kysely<StoreSchema>, migrations: Migrations): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}

/** What the transaction has not undone is undone by the copy. */
async function undo(sqlite: Database.Database, copy: string, thrown: unknown): Promise<void> {
  if (holdsTheSame(sqlite, copy)) return;
  try {
    await putBack(copy, sqlite.name);
  } catch (error) {
    throw new BackupError(
      'corrupt',
      `The store ${sqlite.name} could not be brought up to date (${messageOf(thrown)}), and not be put back either (${messageOf(error)}). As it was it is in ${copy}: end every process that uses it, and move that in its place`,
      { cause: thrown },
    );
  }
}

/** Same tables, same steps gone. */
function holdsTheSame(sqlite: Database.Database, copy: string): boolean {
  const other = new Database(copy, { readonly: true });
  try {
    return fingerprint(sqlite) === fingerprint(other);
  } catch {
    return false;
  } finally {
    other.close();
  }
}

function fingerprint(sqlite: Database.Database): string {
  const schema = sqlite.prepare('SELECT type, name, sql FROM sqlite_master ORDER BY type, name').all();
  return JSON.stringify([schema, applied(sqlite), sqlite.pragma('quick_check(1)', { simple: true })]);
}

function applied(sqlite: Database.Database): string[] {
  const table = sqlite
    .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'kysely_migration'")
    .get();
  if (table === undefined) return [];
  return sqlite.prepare<[], string>('SELECT name FROM kysely_migration ORDER BY name').pluck().all();
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
