import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import type { DatabaseInfo, DumpProof, SourceDriver } from '../../lib/sources/driver.ts';
import type { PostgresServer } from '../../lib/sources/postgres/options.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import { createShop } from '../fixtures/postgres-shop.ts';
import { orSkip } from '../servers/foreign-suite.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { collect } from '../support/byte-streams.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const running = new AbortController().signal;

interface Dumped {
  readonly bytes: Buffer;
  readonly proof: DumpProof;
}

async function dumped(source: SourceDriver, database: DatabaseInfo): Promise<Dumped> {
  const dump = await source.dump(database, running);
  const bytes = await collect(dump.stream);
  return { bytes, proof: await dump.proof };
}

async function named(source: SourceDriver, name: string): Promise<DatabaseInfo> {
  const found = (await source.listDatabases(running)).find((database) => database.name === name);
  return found ?? assert.fail(`${name} is not listed`);
}

describe('the PostgreSQL source', () => {
  let server: TestPostgres;

  before(async function () {
    this.timeout(240_000);
    server = await startPostgres();
    await createShop(server, 'shop', { megabytes: 0.5, seed: 1 });
    await server.query('CREATE DATABASE pattern TEMPLATE template0 IS_TEMPLATE true');
    await server.query('CREATE DATABASE closed ALLOW_CONNECTIONS false');
    await server.query('CREATE DATABASE half');
    await server.query(`UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'`);
  });

  after(async () => await server?.stop());

  describe('lists', () => {
    it('what can be dumped, with its size, and the globals first', async () => {
      const found = await createPostgresSource(server.settings, {}).listDatabases(running);
      assert.deepEqual(
        found.map(({ id, name }) => [id, name]),
        [
          ['globals:', 'globals'],
          ['database:postgres', 'postgres'],
          ['database:shop', 'shop'],
        ],
      );
      const [row] = await server.query<{ bytes: string }>(`SELECT pg_database_size('shop') AS bytes`);
      assert.equal(found[2]?.bytes, Number(row?.bytes));
    });

    it('new databases from the next time on', async () => {
      const source = createPostgresSource(server.settings, { databases: ['new*'], globals: false });
      assert.deepEqual(await source.listDatabases(running), []);
      await server.query('CREATE DATABASE new1');
      assert.deepEqual(
        (await source.listDatabases(running)).map(({ name }) => name),
        ['new1'],
      );
      await server.query('DROP DATABASE new1');
    });

    it('what is named but missing, so that its dump fails', async () => {
      const source = createPostgresSource(server.settings, { databases: ['shop', 'gone'] });
      await assert.rejects(source.dump(await named(source, 'gone'), running), { code: 'not-found' });
    });

    it('no globals when no database is selected', async () => {
      const source = createPostgresSource(server.settings, { databases: ['none*'] });
      assert.deepEqual(await source.listDatabases(running), []);
    });

    it('nothing, but says what to do, when the database to connect to is missing', async () => {
      const source = createPostgresSource({ ...server.settings, maintenanceDatabase: 'lost' }, {});
      await assert.rejects(source.listDatabases(running), {
        code: 'not-found',
        message: /Set another database than lost/,
      });
    });
  });

  it('takes the name of a database literally', async () => {
    const names = [
      'host=evil.invalid dbname=postgres',
      'postgresql://evil.invalid/x',
      `it's "50%" \\ of 'all'`,
      '-Fp',
      ' padded ',
      'Größe 😀',
      '*?[a]',
      'a=b',
      'two\nlines',
    ];
    const source = createPostgresSource(server.settings, { globals: false });
    for (const name of names) {
      await server.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
      await server.query(`CREATE TABLE mark AS SELECT ${pg.escapeLiteral(name)} AS "only here"`, name);
      const { bytes, proof } = await dumped(source, await named(source, name));
      assert.ok(bytes.includes(name), name);
      assert.deepEqual(proof.tables, [{ name: 'public.mark', rows: 1 }], name);
      await server.query(`DROP DATABASE ${pg.escapeIdentifier(name)}`);
    }
  });

  it('connects for the globals to a database of any name, too', async () => {
    const name = 'a=b c';
    await server.query(`CREATE DATABASE "${name}"`);
    const source = createPostgresSource({ ...server.settings, maintenanceDatabase: name }, {});
    const { bytes } = await dumped(source, await named(source, 'globals'));
    assert.match(bytes.toString(), /^CREATE ROLE postgres;$/m);
    await server.query(`DROP DATABASE "${name}"`);
  });

  describe('proves', () => {
    it('an archive by what passed: entries, tables, rows, large objects', async () => {
      const source = createPostgresSource(server.settings, {});
      const { bytes, proof } = await dumped(source, await named(source, 'shop'));
      const { stdout } = await pgRestore(['--list'], bytes);
      const entries = stdout.split('\n').filter((line) => /^\d+; /.test(line));
      assert.equal(proof.facts.entries, Number(/TOC Entries: (\d+)/.exec(stdout)?.[1]));
      assert.equal(
        proof.facts.tables,
        entries.filter((line) => /^\d+; \d+ \d+ TABLE (?!DATA)/.test(line)).length,
      );
      assert.equal(proof.facts.largeObjects, 3);
      assert.match(String(proof.facts.toolVersion), /^15\./);
      assert.match(
        proof.statement,
        /^pg_dump 15\.\d+: archive 1\.14 complete, \d+ entries, all 6 with data$/,
      );
      const tables = await server.query<{ name: string; count: string }>(
        `SELECT schemaname || '.' || tablename AS name,
                (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) c FROM %I.%I', schemaname, tablename),
                                                     false, true, '')))[1]::text AS count
           FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
        'shop',
      );
      const expected = tables.map(({ name, count }) => [name, Number(count)]);
      for (const format of ['custom', 'plain', 'tar'] as const) {
        const other = createPostgresSource(server.settings, { format });
        const { proof: shown } = await dumped(other, await named(other, 'shop'));
        const counted = shown.tables?.map(({ name, rows }) => [name, rows]) ?? [];
        assert.deepEqual(counted.toSorted(), expected.toSorted(), format);
      }
    });

    it('no rows when they are not wanted', async () => {
      const source = createPostgresSource(server.settings, { countRows: false });
      const { proof } = await dumped(source, await named(source, 'shop'));
      assert.equal(proof.tables, undefined);
    });

    it('a script by its last line, and a tar archive by its files', async () => {
      const plain = createPostgresSource(server.settings, { format: 'plain' });
      const script = await dumped(plain, await named(plain, 'shop'));
      assert.equal(script.proof.facts.bytes, script.bytes.length);
      const tar = createPostgresSource(server.settings, { format: 'tar' });
      const archive = await dumped(tar, await named(tar, 'shop'));
      assert.equal(archive.proof.facts.largeObjects, 3);
      const { stdout } = await pgRestore(['--list'], archive.bytes);
      assert.equal(archive.proof.facts.entries, Number(/TOC Entries: (\d+)/.exec(stdout)?.[1]));
    });
  });

  it('keeps what pg_dump warns of', async () => {
    await server.query('CREATE DATABASE follower');
    await server.query(`CREATE ROLE reader LOGIN PASSWORD 'reader' IN ROLE pg_read_all_data`);
    await server.query(
      `CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p WITH (connect = false)`,
      'follower',
    );
    const source = createPostgresSource({ ...server.settings, user: 'reader', password: 'reader' }, {});
    const { proof } = await dumped(source, await named(source, 'follower'));
    assert.deepEqual(proof.warnings, [
      'pg_dump: warning: subscriptions not dumped because current user is not a superuser',
    ]);
    await server.query('ALTER SUBSCRIPTION s SET (slot_name = NONE)', 'follower');
    await server.query('DROP SUBSCRIPTION s', 'follower');
    await server.query('DROP DATABASE follower');
    await server.query('DROP ROLE reader');
  });

  it('dumps the globals with the passwords of roles, or says that it cannot', async () => {
    await server.query(`CREATE ROLE keeper LOGIN PASSWORD 'secret of keeper'`);
    await server.query(`CREATE ROLE member IN ROLE keeper`);
    const full = createPostgresSource(server.settings, {});
    const whole = await dumped(full, await named(full, 'globals'));
    assert.match(whole.bytes.toString(), /ALTER ROLE keeper .*PASSWORD 'SCRAM-SHA-256/);
    assert.match(whole.bytes.toString(), /GRANT keeper TO member/);
    assert.deepEqual(whole.proof.warnings, []);
    const user: PostgresServer = { ...server.settings, user: 'keeper', password: 'secret of keeper' };
    const limited = createPostgresSource(user, {});
    const without = await dumped(limited, await named(limited, 'globals'));
    assert.doesNotMatch(without.bytes.toString(), /PASSWORD/);
    assert.match(without.bytes.toString(), /CREATE ROLE member/);
    assert.match(without.proof.warnings.join(), /passwords of roles are left out/);
    await server.query('DROP ROLE member; DROP ROLE keeper');
  });

  describe('probes', () => {
    it('server, tool and databases', async () => {
      const { version, summary, warnings } = await createPostgresSource(server.settings, {}).probe(running);
      assert.match(version, /^15\.\d+$/);
      assert.match(summary, /^PostgreSQL 15\.\d+, 2 databases, [\d.]+ MiB, pg_dump 15\.\d+ \(\/usr\/lib/);
      assert.deepEqual(warnings, []);
    });

    it('and names what the user may not dump', async () => {
      await server.query(`CREATE ROLE poor LOGIN PASSWORD 'poor'`);
      await server.query(
        `CREATE TABLE hidden (v int); CREATE POLICY none ON hidden TO poor USING (false);
         ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; GRANT SELECT ON hidden TO poor`,
        'shop',
      );
      const poor = { ...server.settings, user: 'poor', password: 'poor' };
      const source = createPostgresSource(poor, { databases: ['shop'] });
      const { warnings } = await source.probe(running);
      assert.equal(warnings.length, 4, warnings.join('\n'));
      assert.match(warnings[0] ?? '', /passwords of roles/);
      assert.match(
        warnings[1] ?? '',
        /^shop: poor may not read "Käse.*", .* and \d+ more: grant pg_read_all_data/,
      );
      assert.doesNotMatch(warnings[1] ?? '', /orders,/);
      assert.match(
        warnings[2] ?? '',
        /row security hides rows of public\.hidden from poor: give it BYPASSRLS/,
      );
      assert.match(warnings[3] ?? '', /large objects \d+, \d+, \d+: grant SELECT/);
      await server.query('DROP TABLE hidden', 'shop');
      await server.query('DROP ROLE poor');
    });

    it('and says when nothing is selected', async () => {
      const source = createPostgresSource(server.settings, { databases: ['none*'] });
      assert.deepEqual((await source.probe(running)).warnings, ['No database is selected']);
    });
  });

  describe('needs no more than the privileges that the documentation names:', () => {
    const shop = { id: 'database:shop', name: 'shop' };
    let source: SourceDriver;
    let statements: string[];

    before(async () => {
      const page = await readFile(join(import.meta.dirname, '../../docs/postgres.md'), 'utf8');
      statements = [...page.matchAll(/```sql\n([\s\S]+?)```/g)].map(([, sql]) => sql ?? '');
      const user = { ...server.settings, user: 'backup', password: 'a long random password' };
      source = createPostgresSource(user, { databases: ['shop'] });
    });

    /** Runs one of the blocks of the page, and forgets the others. */
    async function grant(number: number, database = 'postgres'): Promise<void> {
      await server.query(statements[number] ?? assert.fail('no such block'), database);
    }

    async function isRefused(): Promise<void> {
      await assert.rejects(dumped(source, shop), { code: 'permission' });
    }

    it('each of them is needed, and all of them are enough', async () => {
      await server.query(
        `CREATE TABLE guarded (v int); INSERT INTO guarded VALUES (1); CREATE POLICY none ON guarded USING (false);
         ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; REVOKE CONNECT ON DATABASE shop FROM PUBLIC`,
        'shop',
      );
      await grant(0);
      await isRefused();
      await grant(1);
      await isRefused();
      await grant(2, 'shop');
      await isRefused();
      await grant(3);
      const { proof } = await dumped(source, shop);
      assert.equal(rowsIn(proof, 'public.guarded'), 1);
      assert.equal(proof.facts.largeObjects, 3);
      assert.deepEqual((await source.probe(running)).warnings, []);
      const globals = await dumped(source, await named(source, 'globals'));
      assert.match(globals.bytes.toString(), /ALTER ROLE backup .*PASSWORD 'SCRAM-SHA-256/);
      assert.deepEqual(globals.proof.warnings, []);
    });

    it('those for older versions, too', async () => {
      await server.query('REVOKE pg_read_all_data FROM backup; DROP SCHEMA "Käse & co" CASCADE', 'shop');
      await isRefused();
      await grant(4, 'shop');
      await server.query('CREATE TABLE later (id serial)', 'shop');
      const { proof } = await dumped(source, shop);
      assert.equal(rowsIn(proof, 'public.later'), 0);
      assert.match((await source.probe(running)).warnings.join(), /^The passwords of roles are left out/);
      await grant(5);
      assert.deepEqual((await source.probe(running)).warnings, []);
      assert.equal(statements.length, 6);
    });
  });

  it('ends a statement that takes longer than it may', async () => {
    const source = createPostgresSource(server.settings, { statementTimeout: 1, lockTimeout: 0 });
    await server.query('CREATE DATABASE slow');
    await server.query('CREATE TABLE held ()', 'slow');
    const holder = server.query('BEGIN; LOCK TABLE held; SELECT pg_sleep(600)', 'slow');
    holder.catch(() => undefined);
    await until(
      async () =>
        (await server.query(`SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock'`, 'slow')).length > 0,
    );
    const dump = await source.dump({ id: 'database:slow', name: 'slow' }, running);
    await assert.rejects(collect(dump.stream), { code: 'stalled', transient: true });
    await assert.rejects(dump.proof, { code: 'stalled', transient: true });
    await server.query('DROP DATABASE slow WITH (FORCE)');
    await assert.rejects(holder);
  });

  it('leaves no session behind', async () => {
    await until(async () => {
      const rows = await server.query(`SELECT FROM pg_stat_activity WHERE application_name LIKE 'dbackup%'`);
      return rows.length === 0;
    }, 20_000);
  });
});

describe('the PostgreSQL source and the versions of its tools', () => {
  let newer: TestPostgres;

  before(async function () {
    this.timeout(15 * 60_000);
    newer = await orSkip(this, () => startPostgres({ major: 17 }));
    await createShop(newer, 'shop', { megabytes: 0.1, seed: 1 });
  });

  after(async () => await newer?.stop());

  it('refuses a server that is newer than its tools before anything is begun', async () => {
    const source = createPostgresSource({ ...newer.settings, toolsFolder: '/usr/lib/postgresql/15/bin' }, {});
    const refusal = {
      code: 'unavailable',
      transient: false,
      message:
        /^PostgreSQL server 17\.\d+ is newer than pg_dump 15\.\d+ .*: set a folder with the tools of version 17/,
    };
    await assert.rejects(source.prepare?.(running) ?? Promise.resolve(), refusal);
    await assert.rejects(source.probe(running), refusal);
    await assert.rejects(source.dump({ id: 'database:shop', name: 'shop' }, running), refusal);
  });

  it('refuses a folder without tools, also when the server does not answer', async () => {
    const source = createPostgresSource({ ...newer.settings, port: 1, toolsFolder: '/nonexistent' }, {});
    await assert.rejects(source.prepare?.(running) ?? Promise.resolve(), {
      message: /no pg_dump in \/nonexistent/,
    });
  });

  it('leaves a server that does not answer to the run', async () => {
    await createPostgresSource({ ...newer.settings, port: 1 }, {}).prepare?.(running);
  });

  it('dumps an older server with newer tools', async () => {
    const older = await startPostgres();
    try {
      await createShop(older, 'shop', { megabytes: 0.1, seed: 1 });
      const source = createPostgresSource({ ...older.settings, toolsFolder: newer.toolsFolder }, {});
      const { proof } = await dumped(source, await named(source, 'shop'));
      assert.match(String(proof.facts.toolVersion), /^17\./);
      assert.equal(proof.facts.archiveVersion, '1.16');
      assert.equal(rowsIn(proof, 'public.accounts'), 100);
    } finally {
      await older.stop();
    }
  });
});

async function pgRestore(args: readonly string[], input: Buffer) {
  const restoring = run('/usr/lib/postgresql/15/bin/pg_restore', args, { maxBuffer: 64 * 1024 * 1024 });
  // It reads no more than it needs.
  restoring.child.stdin?.on('error', () => undefined).end(input);
  return await restoring;
}

function rowsIn({ tables = [] }: DumpProof, table: string): number | undefined {
  return tables.find(({ name }) => name === table)?.rows;
}
