import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { ByteStream } from '../../lib/bytes/stream.ts';
import type { RestoreReport } from '../../lib/sources/driver.ts';
import type { PostgresServer } from '../../lib/sources/postgres/options.ts';
import { createPostgresRestoreTarget } from '../../lib/sources/postgres/postgres-restore.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import type { ServerRestoreOptions } from '../../lib/sources/server/restore-options.ts';
import { comparePortraits, type Portrait, portrait } from '../fixtures/postgres-compare.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { databasesOf } from '../support/postgres-backup.ts';
import { until } from '../support/until.ts';

const RUNNING = new AbortController().signal;
const SHOP = 'the "shop" = 1';
const KEPT = /^live_before_restore_\d{8}T\d{6}Z$/;

type Settings = Partial<ServerRestoreOptions>;

describe('the restore into PostgreSQL', function () {
  this.timeout(180_000);
  let server: TestPostgres;
  let spool: string;
  const dumps = new Map<string, Buffer>();
  const clients: pg.Client[] = [];

  before(async () => {
    server = await startPostgres();
    spool = await mkdtemp(join(tmpdir(), 'dbackup-postgres-spool-'));
    await server.query(`
      CREATE ROLE app; CREATE ROLE weak LOGIN PASSWORD 'weak'; CREATE ROLE maker LOGIN CREATEDB PASSWORD 'maker'`);
    await server.query('CREATE DATABASE "the ""shop"" = 1"');
    await server.query(SCHEMA, SHOP);
    await server.query(PROPERTIES);
    for (const format of ['custom', 'plain', 'tar'] as const) dumps.set(`pg-${format}`, await dumpOf(format));
    dumps.set('pg-globals', await dumpOf('globals'));
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end().catch(() => undefined)));
    assert.deepEqual(await readdir(spool), []);
    for (const name of await databasesOf(server)) {
      assert.doesNotMatch(name, /_restoring_/);
      if (name === SHOP) continue;
      await server.query(`ALTER DATABASE ${pg.escapeIdentifier(name)} IS_TEMPLATE false`);
      await server.query(`DROP DATABASE ${pg.escapeIdentifier(name)} WITH (FORCE)`);
    }
  });
  after(async () => {
    await server?.stop();
    await rm(spool, { recursive: true });
  });

  async function dumpOf(format: 'custom' | 'plain' | 'tar' | 'globals'): Promise<Buffer> {
    const isGlobals = format === 'globals';
    const source = createPostgresSource(server.settings, {
      databases: [SHOP],
      ...(isGlobals ? {} : { format }),
    });
    const [globals, database] = await source.listDatabases(RUNNING);
    const wanted = isGlobals ? globals : database;
    assert.ok(wanted !== undefined);
    const dump = await source.dump(wanted, RUNNING);
    const chunks: Buffer[] = [];
    for await (const chunk of dump.stream) chunks.push(chunk);
    await dump.proof;
    return Buffer.concat(chunks);
  }

  function target(settings: Settings = {}, as: Partial<PostgresServer> = {}) {
    return createPostgresRestoreTarget(
      { ...server.settings, ...as },
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
        spoolDirectory: spool,
        ...settings,
      },
    );
  }

  async function restore(
    settings: Settings = {},
    as: Partial<PostgresServer> = {},
    raw?: ByteStream,
  ): Promise<RestoreReport> {
    const restoring = target(settings, as);
    await restoring.check(1000, RUNNING);
    return await restoring.restore(raw ?? streamOf(dumps.get(settings.format ?? 'pg-custom')), RUNNING);
  }

  async function connect(database: string): Promise<pg.Client> {
    const { socketFolder: host, password, settings } = server;
    const client = new pg.Client({ host, port: settings.port, user: 'postgres', password, database });
    client.on('error', () => undefined);
    await client.connect();
    clients.push(client);
    return client;
  }

  async function createLive(sql = 'CREATE TABLE old (id int); INSERT INTO old VALUES (7)'): Promise<void> {
    await server.query('CREATE DATABASE live');
    await server.query(sql, 'live');
  }

  async function ids(table: string, database = 'live'): Promise<unknown[]> {
    return (await server.query<{ id: unknown }>(`SELECT id FROM ${table} ORDER BY 1`, database)).map(
      ({ id }) => id,
    );
  }

  /** The restored database is read-only by its settings, as the original is. */
  async function change(sql: string): Promise<void> {
    await server.query(`BEGIN READ WRITE; ${sql}; COMMIT`, 'live');
  }

  describe('of a whole database', () => {
    for (const [format, jobs] of [
      ['pg-custom', 1],
      ['pg-custom', 3],
      ['pg-tar', 1],
    ] as const) {
      it(`keeps what belongs to the database itself, with ${format} and ${jobs} job(s)`, async () => {
        const report = await restore({ format, jobs });
        comparePortraits(await portrait(server, 'live'), await portrait(server, SHOP));
        assert.match(report.target, /^database live of PostgreSQL server 127\.0\.0\.1:\d+$/);
        assert.match(report.proof.statement, /restored, 5 tables, 308 rows counted$/);
        assert.deepEqual(report.proof.warnings, []);
      });
    }

    it('leaves owners and privileges out when told so', async () => {
      const report = await restore({ owners: false, privileges: false });
      const found = await portrait(server, 'live');
      assert.deepEqual(found.rows, (await portrait(server, SHOP)).rows);
      const [database] = await server.query(`
        SELECT pg_get_userbyid(datdba) AS owner, datacl AS acl FROM pg_database WHERE datname = 'live'`);
      assert.deepEqual(database, { owner: 'postgres', acl: null });
      assert.doesNotMatch(found.schema, /app/);
      assert.match(report.proof.warnings.join(), /settings that roles have/);
    });

    it('says what a script cannot keep', async () => {
      const report = await restore({ format: 'pg-plain' });
      assert.match(report.proof.warnings.join(), /does not hold the settings, owner and privileges/);
      assert.deepEqual(await ids('child'), [1, 2, 3]);
    });

    it('replaces a database that is in use, and keeps it', async () => {
      await createLive();
      const [busy, idle] = [await connect('live'), await connect('live')];
      await busy.query('BEGIN; LOCK old');
      await idle.query('SELECT 1');
      const report = await restore({ overwrite: 'replace' });
      assert.match(report.safetyCopy ?? '', KEPT);
      assert.deepEqual(await ids('old', report.safetyCopy), [7]);
      assert.deepEqual(await ids('child'), [1, 2, 3]);
      assert.match(report.proof.warnings.join(), /^2 sessions in live were ended$/);
    });

    it('does not keep it when told so', async () => {
      await createLive();
      const report = await restore({ overwrite: 'replace', safetyCopy: false });
      assert.equal(report.safetyCopy, undefined);
      assert.deepEqual(await databasesOf(server), ['live', SHOP].sort());
    });

    it('replaces the database that the server node names for connecting', async () => {
      await createLive();
      const report = await restore({ overwrite: 'replace' }, { maintenanceDatabase: 'live' });
      assert.match(report.safetyCopy ?? '', KEPT);
      assert.deepEqual(await ids('child'), [1, 2, 3]);
    });

    it('keeps two of the same second apart, and shortens a long name', async () => {
      const database = 'ä'.repeat(31);
      for (let round = 0; round < 3; round++) await restore({ database, overwrite: 'replace' });
      const names = (await databasesOf(server)).filter((name) => name !== SHOP);
      assert.equal(names.length, 3);
      for (const name of names) assert.ok(Buffer.byteLength(name) <= 63);
    });

    it('takes a role without superuser rights as far as it goes', async () => {
      const as = { user: 'maker', password: 'maker' };
      const plain = { owners: false, privileges: false };
      await assert.rejects(restore(plain, as), {
        code: 'permission',
        message: /ALTER DATABASE .* SET "my.word".*: permission denied/,
      });
      await restore({ ...plain, tables: ['child'] }, as);
      assert.deepEqual(await ids('child'), [1, 2, 3]);
    });
  });

  describe('that fails', () => {
    /** Nothing may have changed. */
    async function requireAsBefore(): Promise<void> {
      assert.deepEqual(await databasesOf(server), ['live', SHOP].sort());
      assert.deepEqual(await ids('old'), [7]);
    }

    beforeEach(() => createLive());

    for (const format of ['pg-custom', 'pg-plain', 'pg-tar']) {
      it(`leaves everything as it was when ${format} is cut off or aborted`, async () => {
        const whole = dumps.get(format) ?? Buffer.alloc(0);
        for (const length of [0, 10, 1000, whole.length - 2000, whole.length - 60]) {
          await assert.rejects(
            restore({ format, overwrite: 'replace' }, {}, streamOf(whole.subarray(0, length))),
            {
              name: 'BackupError',
            },
          );
        }
        const abort = new AbortController();
        const restoring = target({ format, overwrite: 'replace' });
        await assert.rejects(restoring.restore(hanging(whole.subarray(0, -2000), abort), abort.signal), {
          code: 'aborted',
        });
        await requireAsBefore();
      });
    }

    it('names the statement and what the server said', async () => {
      const bytes = Buffer.from(dumps.get('pg-custom') ?? []);
      const at = bytes.indexOf('ADD CONSTRAINT "child key"');
      bytes.write('ADD CONSTRAIN ', at);
      await assert.rejects(restore({ overwrite: 'replace' }, {}, streamOf(bytes)), {
        message: /pg_restore into live failed .*ERROR: {2}.*Command was: ALTER TABLE ONLY public.child/,
      });
      await requireAsBefore();
    });

    it('names the extension or role that the server lacks, without secrets', async () => {
      const bytes = Buffer.from(
        dumps.get('pg-plain')?.toString().replace('OWNER TO app', 'OWNER TO nobody') ?? '',
      );
      await assert.rejects(restore({ format: 'pg-plain', overwrite: 'replace' }, {}, streamOf(bytes)), {
        message: /role "nobody" does not exist.*STATEMENT: .*OWNER TO nobody/,
      });
      await requireAsBefore();
    });

    it('drops what is half done when the connection breaks', async () => {
      const restoring = target({ overwrite: 'replace', format: 'pg-plain' }).restore(
        slowly(dumps.get('pg-plain') ?? Buffer.alloc(0), async () => {
          await until(async () => (await terminate(server, '_restoring_')) > 0, 20_000);
        }),
        RUNNING,
      );
      await assert.rejects(restoring, { name: 'BackupError' });
      await requireAsBefore();
    });

    it('waits for the last byte before it believes the others', async () => {
      for (const settings of [{}, { content: 'schema', database: 'fresh' }, { jobs: 2 }] as const) {
        const failure = new Error('the hash is wrong');
        const raw = failing(dumps.get('pg-custom') ?? Buffer.alloc(0), failure);
        await assert.rejects(restore({ overwrite: 'replace', ...settings }, {}, raw), /the hash is wrong/);
      }
      await requireAsBefore();
    });
  });

  describe('of a part', () => {
    it('makes a new database of one table with what it needs', async () => {
      const report = await restore({ tables: ['child'] });
      assert.deepEqual(await ids('child'), [1, 2, 3]);
      assert.match(report.proof.warnings.join(), /FK CONSTRAINT public\.child child to parent is left out/);
      const objects = await server.query(
        `SELECT conname FROM pg_constraint WHERE conrelid = 'child'::regclass ORDER BY 1`,
        'live',
      );
      assert.deepEqual(objects, [{ conname: 'child key' }]);
      assert.deepEqual(await server.query('SELECT last_value FROM child_id_seq', 'live'), [
        { last_value: '3' },
      ]);
    });

    it('makes a new database of the schema alone', async () => {
      await restore({ content: 'schema' });
      assert.deepEqual(await ids('child'), []);
      assert.equal((await portrait(server, 'live')).schema, (await portrait(server, SHOP)).schema);
    });

    describe('into a database that is there', () => {
      beforeEach(async () => {
        await restore();
        await change(
          `DELETE FROM child; UPDATE parent SET name = 'changed'; INSERT INTO "Other %" VALUES (99)`,
        );
      });

      it('replaces the data of a table that others refer to', async () => {
        const report = await restore({ overwrite: 'replace', content: 'data', tables: ['parent', 'child'] });
        comparePart(await portrait(server, 'live'), await portrait(server, SHOP), [
          'public.child',
          'public.parent',
        ]);
        assert.deepEqual(await ids('"Other %"'), [1, 2, 99]);
        assert.match(report.safetyCopy ?? '', KEPT);
        assert.deepEqual(await ids('child', report.safetyCopy), []);
        await restore({
          overwrite: 'replace',
          content: 'data',
          tables: ['public.parent'],
          safetyCopy: false,
        });
      });

      it('replaces all data', async () => {
        await restore({ overwrite: 'replace', content: 'data', safetyCopy: false });
        const [live, shop] = [await portrait(server, 'live'), await portrait(server, SHOP)];
        assert.deepEqual(live.rows, shop.rows);
        assert.deepEqual(live.largeObjects, shop.largeObjects);
        assert.deepEqual(live.sequences, shop.sequences);
      });

      it('replaces a table while others use the database', async () => {
        const other = await connect('live');
        await other.query('SELECT 1');
        await restore({ overwrite: 'replace', tables: ['child'], safetyCopy: false });
        comparePart(await portrait(server, 'live'), await portrait(server, SHOP), ['public.child']);
        assert.equal((await portrait(server, 'live')).schema, (await portrait(server, SHOP)).schema);
        assert.equal((await other.query('SELECT 1')).rowCount, 1);
      });

      it('refuses rows that would refer to nothing', async () => {
        await change(`DELETE FROM parent WHERE id = 3`);
        await assert.rejects(restore({ overwrite: 'replace', content: 'data', tables: ['child'] }), {
          message: /rows of public\.child would refer to rows of public\.parent that are not there/,
        });
        assert.deepEqual(await ids('child'), []);
        assert.deepEqual(await databasesOf(server), ['live', SHOP].sort());
      });

      it('changes nothing when the dump turns out wrong at its end', async () => {
        const failure = new Error('the hash is wrong');
        for (const settings of [{ tables: ['child'] }, { content: 'data' }, { content: 'schema' }] as const) {
          const raw = failing(dumps.get('pg-custom') ?? Buffer.alloc(0), failure);
          await assert.rejects(restore({ overwrite: 'replace', ...settings }, {}, raw), /the hash is wrong/);
        }
        assert.deepEqual(await ids('child'), []);
        assert.deepEqual(await ids('"Other %"'), [1, 2, 99]);
        assert.deepEqual(await databasesOf(server), ['live', SHOP].sort());
      });
    });

    it('names the tables that there are', async () => {
      await assert.rejects(restore({ tables: ['childs'] }), {
        code: 'not-found',
        message: /no table childs; it has .*public\.child/,
      });
    });
  });
});

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

async function* streamOf(bytes: Buffer = Buffer.alloc(0)): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 5000) yield bytes.subarray(at, at + 5000);
}

async function* failing(bytes: Buffer, failure: Error): AsyncGenerator<Buffer> {
  yield* streamOf(bytes);
  throw failure;
}

/** Is aborted in the middle, and then has nothing more to give. */
async function* hanging(bytes: Buffer, abort: AbortController): AsyncGenerator<Buffer> {
  yield* streamOf(bytes);
  setImmediate(() => abort.abort());
  await new Promise(() => undefined);
}

/** Does something before the last bytes come. */
async function* slowly(bytes: Buffer, meanwhile: () => Promise<void>): AsyncGenerator<Buffer> {
  yield* streamOf(bytes.subarray(0, -500));
  await meanwhile();
  yield* streamOf(bytes.subarray(-500));
}

/** Ends the sessions in databases whose name has this text. */
async function terminate(server: TestPostgres, text: string): Promise<number> {
  const rows = await server.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE strpos(datname, '${text}') > 0`,
  );
  return rows.length;
}

function comparePart(restored: Portrait, original: Portrait, tables: readonly string[]): void {
  for (const table of tables) {
    assert.notEqual(original.rows[table], undefined);
    assert.equal(restored.rows[table], original.rows[table]);
  }
}
