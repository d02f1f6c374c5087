import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { ByteStream } from '../../lib/bytes/stream.ts';
import type { RestoreReport, RestoreTarget } from '../../lib/sources/driver.ts';
import type { PostgresServer } from '../../lib/sources/postgres/options.ts';
import { createPostgresRestoreTarget } from '../../lib/sources/postgres/postgres-restore.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import type { ServerRestoreOptions } from '../../lib/sources/server/restore-options.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { databasesOf } from './postgres-backup.ts';

export const RUNNING = new AbortController().signal;

/** The database that was dumped. */
export const SHOP = 'the "shop" = 1';

export type Settings = Partial<ServerRestoreOptions>;

/** A server, dumps of one of its databases in every format, and restores of them into a database `live`. */
export class RestoringServer {
  readonly server: TestPostgres;
  readonly spool: string;
  readonly #dumps = new Map<string, Buffer>();
  readonly #clients: pg.Client[] = [];

  private constructor(server: TestPostgres, spool: string) {
    this.server = server;
    this.spool = spool;
  }

  static async start(): Promise<RestoringServer> {
    const server = await startPostgres();
    try {
      const spool = await mkdtemp(join(tmpdir(), 'dbackup-postgres-spool-'));
      const made = new RestoringServer(server, spool);
      await server.query(ROLES);
      await server.query(`CREATE DATABASE ${pg.escapeIdentifier(SHOP)}`);
      await server.query(SCHEMA, SHOP);
      await server.query(PROPERTIES);
      for (const format of ['custom', 'plain', 'tar', 'globals'] as const) await made.#keepDump(format);
      return made;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  dump(format = 'pg-custom'): Buffer {
    return this.#dumps.get(format) ?? assert.fail(`there is no dump in the format ${format}`);
  }

  target(settings: Settings = {}, as: Partial<PostgresServer> = {}): RestoreTarget {
    return createPostgresRestoreTarget(
      { ...this.server.settings, ...as },
      {
        database: 'live',
        format: 'pg-custom',
        engineVersion: '15.18',
        overwrite: 'refuse',
        safetyCopy: true,
        content: 'all',
        tables: [],
        owners: true,
        privileges: true,
        jobs: 1,
        spoolDirectory: this.spool,
        ...settings,
      },
    );
  }

  async restore(
    settings: Settings = {},
    as: Partial<PostgresServer> = {},
    raw: ByteStream = streamOf(this.dump(settings.format)),
  ): Promise<RestoreReport> {
    const target = this.target(settings, as);
    await target.check(1000, RUNNING);
    return await target.restore(raw, RUNNING);
  }

  /** A connection that stays until the end of the test, unless the server ends it. */
  async connect(database: string): Promise<pg.Client> {
    const { socketFolder: host, password, settings } = this.server;
    const client = new pg.Client({ host, port: settings.port, user: 'postgres', password, database });
    client.on('error', () => undefined);
    await client.connect();
    this.#clients.push(client);
    return client;
  }

  async createLive(): Promise<void> {
    await this.server.query('CREATE DATABASE live');
    await this.server.query('CREATE TABLE old (id int); INSERT INTO old VALUES (7)', 'live');
  }

  async ids(table: string, database = 'live'): Promise<unknown[]> {
    const rows = await this.server.query<{ id: unknown }>(`SELECT id FROM ${table} ORDER BY 1`, database);
    return rows.map(({ id }) => id);
  }

  /** Changes a restored database, which is read-only by its settings, as the original is. */
  async change(sql: string): Promise<void> {
    await this.server.query(`BEGIN READ WRITE; ${sql}; COMMIT`, 'live');
  }

  async databases(): Promise<string[]> {
    return await databasesOf(this.server);
  }

  /** Ends what a test has begun; nothing of a restore may be left. */
  async reset(): Promise<void> {
    await Promise.all(this.#clients.splice(0).map((client) => client.end().catch(() => undefined)));
    assert.deepEqual(await readdir(this.spool), []);
    for (const name of await this.databases()) {
      assert.doesNotMatch(name, /_restoring_/);
      if (name === SHOP) continue;
      await this.server.query(`ALTER DATABASE ${pg.escapeIdentifier(name)} IS_TEMPLATE false`);
      await this.server.query(`DROP DATABASE ${pg.escapeIdentifier(name)} WITH (FORCE)`);
    }
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.spool, { recursive: true });
  }

  async #keepDump(format: 'custom' | 'plain' | 'tar' | 'globals'): Promise<void> {
    const source = createPostgresSource(this.server.settings, {
      databases: [SHOP],
      ...(format === 'globals' ? {} : { format, globals: false }),
    });
    const [database] = await source.listDatabases(RUNNING);
    assert.ok(database !== undefined);
    const dump = await source.dump(database, RUNNING);
    const chunks: Buffer[] = [];
    for await (const chunk of dump.stream) chunks.push(chunk);
    await dump.proof;
    this.#dumps.set(`pg-${format}`, Buffer.concat(chunks));
  }
}

/** The server of the tests of the surrounding `describe`. */
export function useRestoringServer(): () => RestoringServer {
  let made: RestoringServer | undefined;
  before(async () => {
    made = await RestoringServer.start();
  });
  afterEach(async () => await made?.reset());
  after(async () => await made?.stop());
  return () => made ?? assert.fail('the server has not been started');
}

export async function* streamOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 5000) yield bytes.subarray(at, at + 5000);
}

/** Fails after its last byte, as when the hash turns out wrong. */
export async function* failing(bytes: Buffer): AsyncGenerator<Buffer> {
  yield* streamOf(bytes);
  throw new Error('the hash is wrong');
}

const ROLES = `
  CREATE ROLE app;
  CREATE ROLE weak LOGIN PASSWORD 'weak';
  CREATE ROLE maker LOGIN CREATEDB PASSWORD 'maker';
`;

const SCHEMA = `
  CREATE EXTENSION citext;
  CREATE TABLE parent (id int PRIMARY KEY, name citext);
  CREATE TABLE child (id serial CONSTRAINT "child key" PRIMARY KEY, p int, at date DEFAULT now());
  INSERT INTO parent VALUES (1, 'one'), (2, 'two'), (3, NULL);
  INSERT INTO child (p) VALUES (1), (1), (3);
  ALTER TABLE child ADD CONSTRAINT "child to parent" FOREIGN KEY (p) REFERENCES parent;
  ALTER TABLE child OWNER TO app; GRANT SELECT ON child TO weak;
  CREATE TABLE "Other %" (id int); INSERT INTO "Other %" VALUES (1), (2); CREATE TABLE empty ();
  CREATE VIEW families AS SELECT parent.id FROM parent;
  CREATE TABLE bulk AS SELECT i AS id, repeat(md5(i::text), 10) AS t FROM generate_series(1, 300) i;
  SELECT lo_from_bytea(4711, '\\x00ff');
`;

const PROPERTIES = `
  ALTER DATABASE "the ""shop"" = 1" SET default_transaction_read_only = on;
  ALTER DATABASE "the ""shop"" = 1" SET "my.word" = 'x';
  ALTER ROLE app IN DATABASE "the ""shop"" = 1" SET work_mem = '7MB';
  COMMENT ON DATABASE "the ""shop"" = 1" IS 'it''s "the" shop; DATABASE x';
  ALTER DATABASE "the ""shop"" = 1" OWNER TO app;
  GRANT CREATE ON DATABASE "the ""shop"" = 1" TO weak;
  ALTER DATABASE "the ""shop"" = 1" CONNECTION LIMIT 30;
  ALTER DATABASE "the ""shop"" = 1" IS_TEMPLATE true;
`;
