import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';

const AGE_RECIPIENT = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

/** What webhooks of the templates ask for. */
export const WEBHOOK_TOKEN = 'a-token-of-the-tests';
export const WEBHOOK_SECRET = 'a-secret-of-the-tests';

/** The folders, databases and environment variables that the flow templates ask for. */
export class TemplateEnvironment {
  readonly root = mkdtempSync(join(tmpdir(), 'dbackup-templates-'));
  readonly database = join(this.root, 'app.sqlite');
  readonly second = join(this.root, 'users.sqlite');
  readonly first = join(this.root, 'one');
  readonly other = join(this.root, 'two');
  readonly restored = join(this.root, 'restored.sqlite');
  readonly #before = { ...process.env };

  constructor(rows = 200) {
    createDatabase(this.database, rows);
    createDatabase(this.second, 10);
    Object.assign(process.env, {
      DBACKUP_DATA: join(this.root, 'data'),
      DBACKUP_MASTER_KEY: 'correct-horse-battery',
      APP_DATABASE: this.database,
      APP_DATABASE_2: this.second,
      BACKUP_DIR: this.first,
      BACKUP_DIR_2: this.other,
      RESTORE_TO: this.restored,
      AGE_RECIPIENT,
      BACKUP_WEBHOOK_TOKEN: WEBHOOK_TOKEN,
      BACKUP_WEBHOOK_SECRET: WEBHOOK_SECRET,
    });
  }

  remove(): void {
    for (const name of Object.keys(process.env)) if (!(name in this.#before)) delete process.env[name];
    Object.assign(process.env, this.#before);
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** A WAL database with a table `item` of about 1 kB a row that does not compress. */
function createDatabase(file: string, rows: number): void {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.exec('CREATE TABLE item (id INTEGER PRIMARY KEY, data BLOB)');
  const insert = database.prepare('INSERT INTO item (data) VALUES (randomblob(1000))');
  database.transaction(() => {
    for (let row = 0; row < rows; row += 1) insert.run();
  })();
  database.close();
}

/** All rows of a database made here, to compare two of them. */
export function rowsOf(file: string): unknown[] {
  const database = new Database(file, { readonly: true });
  try {
    return database.prepare('SELECT id, hex(data) AS data FROM item ORDER BY id').all();
  } finally {
    database.close();
  }
}
