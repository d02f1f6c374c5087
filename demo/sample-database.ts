import { createHash, randomBytes } from 'node:crypto';
import Database from 'better-sqlite3';

/** Tables that nobody writes to after the database was made: a backup holds them exactly. */
export const STATIC_TABLES = ['customers', 'orders', 'documents'] as const;

const WORDS =
  'invoice order customer delivery paid pending express parcel street warehouse return refund blue green large small'.split(
    ' ',
  );

/** Bytes of one document; half of the documents are text, half are like images: random. */
const DOCUMENT_BYTES = 48 * 1024;

/**
 * Makes a shop's database in WAL mode: customers, orders, documents (blobs) and a ledger that a writer may
 * append to. The content differs from call to call, its shape does not.
 * @param bytes about how large it becomes
 */
export function createSampleDatabase(file: string, bytes: number): void {
  const database = new Database(file);
  try {
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = OFF');
    database.exec(`
      CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, note TEXT);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id),
        placed TEXT NOT NULL, state TEXT NOT NULL, cents INTEGER NOT NULL);
      CREATE INDEX orders_by_customer ON orders (customer);
      CREATE TABLE documents (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, name TEXT NOT NULL, content BLOB);
      CREATE TABLE ledger (n INTEGER PRIMARY KEY, amount INTEGER NOT NULL, note TEXT);
      CREATE TABLE balance (id INTEGER PRIMARY KEY CHECK (id = 1), amount INTEGER NOT NULL);
      CREATE TABLE sessions (id INTEGER PRIMARY KEY, data BLOB);
      INSERT INTO balance VALUES (1, 0);
    `);
    fill(database, bytes);
    database.pragma('synchronous = NORMAL');
    database.pragma('wal_checkpoint(TRUNCATE)');
  } finally {
    database.close();
  }
}

function fill(database: Database.Database, bytes: number): void {
  const customers = Math.max(10, Math.round(bytes / 2500));
  const documents = Math.max(2, Math.round((bytes * 0.75) / DOCUMENT_BYTES));
  const addCustomer = database.prepare('INSERT INTO customers VALUES (?, ?, ?, ?)');
  const addOrder = database.prepare('INSERT INTO orders VALUES (NULL, ?, ?, ?, ?)');
  const addDocument = database.prepare('INSERT INTO documents VALUES (NULL, ?, ?, ?)');
  database.transaction(() => {
    for (let id = 1; id <= customers; id++) {
      addCustomer.run(id, `Customer ${id}`, `customer${id}@example.com`, phrase(id, 24));
      for (let order = 0; order < 4; order++) {
        const placed = new Date(Date.UTC(2026, 0, 1) + (id * 4 + order) * 60_000).toISOString();
        addOrder.run(id, placed, WORDS[(id + order) % WORDS.length], (id * 37 + order * 101) % 100_000);
      }
    }
    for (let id = 1; id <= documents; id++) {
      const content = id % 2 === 0 ? randomBytes(DOCUMENT_BYTES) : textDocument(id);
      addDocument.run((id % customers) + 1, `document-${id}`, content);
    }
  })();
}

function phrase(seed: number, words: number): string {
  return Array.from({ length: words }, (_, at) => WORDS[(seed * 7 + at * at) % WORDS.length]).join(' ');
}

function textDocument(seed: number): Buffer {
  const lines: string[] = [];
  for (let length = 0, line = 0; length < DOCUMENT_BYTES; line++) {
    const text = `${seed * 1000 + line} ${phrase(seed + line, 9)} ${(seed * line) % 9973}\n`;
    lines.push(text);
    length += text.length;
  }
  return Buffer.from(lines.join('').slice(0, DOCUMENT_BYTES));
}

/** What can be said of a copy of the database without the original at hand. */
export interface SampleState {
  /** `ok`, or what SQLite's integrity check found. */
  readonly integrity: string;
  /** Last entry of the ledger. */
  readonly ledger: number;
  /** True when the ledger has no gap and its sum is the balance, as after each transaction of its writer. */
  readonly consistent: boolean;
  /** SHA-256 over all rows of each static table. */
  readonly digests: Readonly<Record<string, string>>;
}

export function inspectSampleDatabase(file: string): SampleState {
  const database = new Database(file, { readonly: true, timeout: 10_000 });
  try {
    // One transaction, so that a writer at work does not come between the queries.
    return database.transaction(() => ({
      integrity: String(database.pragma('integrity_check', { simple: true })),
      ...ledgerState(database),
      digests: Object.fromEntries(STATIC_TABLES.map((table) => [table, digestOf(database, table)])),
    }))();
  } finally {
    database.close();
  }
}

/** Number of entries that the ledger has now. */
export function ledgerLength(file: string): number {
  const database = new Database(file, { readonly: true, timeout: 10_000 });
  try {
    return ledgerState(database).ledger;
  } finally {
    database.close();
  }
}

function ledgerState(database: Database.Database): { ledger: number; consistent: boolean } {
  const sums = database
    .prepare<[], { last: number | null; entries: number; total: number | null }>(
      'SELECT max(n) AS last, count(*) AS entries, sum(amount) AS total FROM ledger',
    )
    .get();
  const balance = database.prepare<[], number>('SELECT amount FROM balance').pluck().get();
  const ledger = sums?.last ?? 0;
  return { ledger, consistent: sums?.entries === ledger && balance === (sums.total ?? 0) };
}

function digestOf(database: Database.Database, table: (typeof STATIC_TABLES)[number]): string {
  const hash = createHash('sha256');
  for (const row of database.prepare(`SELECT * FROM ${table} ORDER BY id`).raw().iterate()) {
    for (const value of row as unknown[]) {
      const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value));
      hash.update(`${typeof value} ${bytes.length}\n`).update(bytes);
    }
  }
  return hash.digest('hex');
}
