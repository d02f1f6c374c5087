import { open } from 'node:fs/promises';
import Database from 'better-sqlite3';

/** Distinct text; beyond it the text repeats, which no compressor here sees: their windows are far smaller. */
const DISTINCT_BYTES = 64 * 1024 * 1024;
const WORDS =
  'order shipped pending refund invoice customer street berlin paris london warehouse express standard note callback delivery blue green large small cancelled paid open review parcel return account premium basic trial monthly'.split(
    ' ',
  );

const PHRASES = phrases();

/** The same sequence of numbers every time (mulberry32). */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** What people type again and again. */
function phrases(): string[] {
  const next = sequence(3);
  return Array.from({ length: 500 }, () =>
    Array.from({ length: 3 + (next() % 4) }, () => WORDS[next() % WORDS.length]).join(' '),
  );
}

interface Row {
  readonly id: number;
  readonly customer: number;
  readonly placed: string;
  readonly amount: string;
  readonly token: string;
  readonly note: string;
}

function rowOf(id: number, next: () => number): Row {
  const minutes = next() % 500_000;
  const placed = new Date(Date.UTC(2031, 0, 1) + minutes * 60_000)
    .toISOString()
    .replace('T', ' ')
    .slice(0, 19);
  const note = Array.from({ length: 2 + (next() % 4) }, () => PHRASES[next() % PHRASES.length]);
  return {
    id,
    customer: next() % 50_000,
    placed,
    amount: ((next() % 1_000_000) / 100).toFixed(2),
    token: next().toString(16).slice(0, 6),
    note: note.join(', '),
  };
}

/** Writes text like a database dump, which zstd -3 brings to about a quarter. */
export async function writeText(path: string, bytes: number): Promise<void> {
  const block = textBlock(Math.min(bytes, DISTINCT_BYTES));
  const file = await open(path, 'w');
  for (let left = bytes; left > 0; left -= block.length)
    await file.write(block, 0, Math.min(left, block.length));
  await file.close();
}

function textBlock(bytes: number): Buffer {
  const block = Buffer.allocUnsafe(bytes);
  const next = sequence(1);
  let at = 0;
  for (let id = 1; at < bytes; id += 1) at += block.write(lineOf(rowOf(id, next)), at, 'latin1');
  return block;
}

function lineOf({ id, customer, placed, amount, token, note }: Row): string {
  return `${id}\t${customer}\t${placed}\t${amount}\t${token}\t${note}\n`;
}

/** Writes rows, each with an id of its own, as database servers load them: tabs between columns. */
export async function writeRows(path: string, bytes: number): Promise<void> {
  const next = sequence(4);
  const file = await open(path, 'w');
  let written = 0;
  for (let id = 1; written < bytes; ) {
    let lines = '';
    for (const last = id + 10_000; id < last; id += 1) lines += lineOf(rowOf(id, next));
    written += lines.length;
    await file.write(lines, undefined, 'latin1');
  }
  await file.close();
}

/** Makes a SQLite database in WAL mode of at least that size, with an index and rows like the text's. */
export function writeDatabase(path: string, bytes: number): void {
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = OFF');
  database.exec(
    'CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, placed TEXT, amount REAL, token TEXT, note TEXT)',
  );
  const insert = database.prepare(
    'INSERT INTO orders (id, customer, placed, amount, token, note) VALUES (@id, @customer, @placed, @amount, @token, @note)',
  );
  const next = sequence(2);
  const insertMany = database.transaction((first: number, count: number) => {
    for (let id = first; id < first + count; id += 1) insert.run(rowOf(id, next));
  });
  const pageSize = Number(database.pragma('page_size', { simple: true }));
  for (
    let first = 1;
    Number(database.pragma('page_count', { simple: true })) * pageSize < bytes;
    first += 100_000
  ) {
    insertMany(first, 100_000);
  }
  database.exec('CREATE INDEX orders_customer ON orders (customer)');
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
}
