import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type StorePlace, storePlace } from '../../lib/store/place.ts';
import { openStore, STORE_FILE, type Store, type StoreOptions } from '../../lib/store/store.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';

/** The store of one test, empty at its beginning. */
export interface TestStore {
  readonly kind: 'sqlite' | 'postgresql';
  /** A folder of the test; SQLite's store lies in it. */
  readonly dataDir: string;
  /** What processes of the test find the store by. */
  readonly env: Readonly<Record<string, string>>;
  readonly place: StorePlace;
  /** Opens it; it is closed after the test at the latest. */
  open(options?: StoreOptions): Promise<Store>;
  /** Runs statements beside the store: tables are named without their schema. */
  sql<Row extends object>(text: string): Promise<Row[]>;
}

/** Describes what a store does, once in SQLite and once in PostgreSQL, with a real server. */
export function describeStores(title: string, body: (store: TestStore) => void): void {
  describe(`${title}, in SQLite`, () => body(useStore('sqlite', () => undefined)));
  describe(`${title}, in PostgreSQL`, function () {
    this.timeout(120_000);
    let server: TestPostgres | undefined;
    before(async () => {
      server = await startPostgres();
    });
    after(async () => {
      await server?.stop();
    });
    body(useStore('postgresql', () => server));
  });
}

function useStore(kind: TestStore['kind'], serverOf: () => TestPostgres | undefined): TestStore {
  const stores: Store[] = [];
  let dataDir = '';
  let count = 0;
  const database = () => `store_${count}`;
  const env = (): Record<string, string> => {
    const server = serverOf();
    if (server === undefined) return {};
    const { port } = server.settings;
    return {
      DBACKUP_STORE: `postgresql://postgres@127.0.0.1:${port}/${database()}`,
      DBACKUP_STORE_PASSWORD: server.password,
    };
  };
  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'dbackup-store-'));
    count += 1;
    await serverOf()?.query(`CREATE DATABASE ${database()}`);
  });
  afterEach(async () => {
    // One after the other: they would wait for each other in this one process.
    for (const store of stores.splice(0)) await store.close().catch(() => undefined);
    await serverOf()?.query(`DROP DATABASE IF EXISTS ${database()} WITH (FORCE)`);
    rmSync(dataDir, { recursive: true, force: true });
  });
  return {
    kind,
    get dataDir() {
      return dataDir;
    },
    get env() {
      return env();
    },
    get place() {
      return storePlace(dataDir, env());
    },
    async open(options) {
      const store = await openStore(storePlace(dataDir, env()), options);
      stores.push(store);
      return store;
    },
    async sql<Row extends object>(text: string): Promise<Row[]> {
      const server = serverOf();
      if (server === undefined) return sqliteRows(join(dataDir, STORE_FILE), text);
      return await server.query<Row & Record<string, unknown>>(
        `SET search_path = dbackup; ${text}`,
        database(),
      );
    },
  };
}

function sqliteRows<Row>(file: string, text: string): Row[] {
  const database = new Database(file);
  try {
    const statement = database.prepare<[], Row>(text);
    if (statement.reader) return statement.all();
    statement.run();
    return [];
  } finally {
    database.close();
  }
}
