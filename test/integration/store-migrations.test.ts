import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import { MIGRATIONS } from '../../lib/store/migrations.ts';
import { partialResult } from '../support/run-results.ts';
import { describeStores } from '../support/stores.ts';

describeStores('a store of an older version', (testStore) => {
  const addTags = async (db: Kysely<unknown>) =>
    db.schema.alterTable('runs').addColumn('tags', 'text').execute();
  const withTags = { ...MIGRATIONS, '9002_tags': { up: addTags } };

  async function writeOld(): Promise<void> {
    const old = await testStore.open();
    await old.journal.opened({ id: 'r1', job: 'shop', openedAt: new Date('2026-03-01T10:00:00Z') });
    await old.journal.finished(partialResult('r1'));
    await old.schedule('n1').open('t', 1_000);
    await old.close();
  }

  /** All that is in the tables but for the processes that have opened the store. */
  async function content(): Promise<string> {
    const tables = ['runs', 'artifacts', 'destinations', 'sets', 'schedules', 'jobs', 'kysely_migration'];
    const rows = [];
    for (const table of tables) rows.push(await testStore.sql(`SELECT * FROM ${table} ORDER BY 1, 2`));
    return JSON.stringify(rows);
  }

  const columns = async () => Object.keys((await testStore.sql('SELECT * FROM runs'))[0] ?? {});

  it('is brought up to date without loss', async () => {
    await writeOld();
    const store = await testStore.open({ migrations: withTags });
    const [run] = await store.runs();
    assert.equal(run?.state, 'partial');
    assert.equal(run.destinations[0]?.set?.storedBytes, 1000);
    assert.ok((await columns()).includes('tags'));
    assert.equal((await store.schedule('n1').open('t', 5_000)).handled, 1_000);
  });

  it('stays as it was when a step fails', async () => {
    await writeOld();
    const before = await content();
    const broken = {
      ...withTags,
      '9003_broken': {
        up: async (db: Kysely<unknown>) => {
          await sql`delete from ${sql.table(`${await schemaOf(db)}runs`)}`.execute(db);
          await db.schema.dropTable('sets').execute();
          await db.schema.dropTable('no_such_table').execute();
        },
      },
    };
    await assert.rejects(testStore.open({ migrations: broken }), /no_such_table/);
    assert.equal(await content(), before);
    const old = await testStore.open();
    assert.equal((await old.runs())[0]?.destinations[0]?.set?.path, 'shop/x');
    await old.close();
    await testStore.open({ migrations: withTags });
    assert.ok((await columns()).includes('tags'), 'a later version can');
  });

  it('is refused when a newer version has written it, and left alone', async () => {
    await writeOld();
    await (await testStore.open({ migrations: withTags })).close();
    const before = await content();
    const message = /was written by a newer DBackup \(schema 9002_tags\): update this one/;
    await assert.rejects(testStore.open(), { name: 'BackupError', code: 'invalid-config', message });
    assert.equal(await content(), before);
  });

  async function schemaOf(db: Kysely<unknown>): Promise<string> {
    const tables = await db.introspection.getTables();
    const schema = tables.find(({ name }) => name === 'runs')?.schema;
    return schema === undefined ? '' : `${schema}.`;
  }

  // How processes and broken transactions go in SQLite is tried with its file.
  if (testStore.kind === 'sqlite') return;

  it('is brought up to date once by several that open it at the same time', async () => {
    await writeOld();
    let times = 0;
    const slow = {
      ...withTags,
      '9003_slow': {
        up: async () => {
          times += 1;
          await wait(200);
        },
      },
    };
    await Promise.all([1, 2, 3].map(() => testStore.open({ migrations: slow })));
    assert.equal(times, 1);
  });

  it('stays as it was when the connection breaks under a step', async () => {
    await writeOld();
    const before = await content();
    const cut = {
      ...withTags,
      '9003_cut': {
        up: async (db: Kysely<unknown>) =>
          void (await sql`select pg_terminate_backend(pg_backend_pid())`.execute(db)),
      },
    };
    await assert.rejects(testStore.open({ migrations: cut }), { name: 'BackupError', code: 'unavailable' });
    assert.equal(await content(), before);
    assert.equal((await (await testStore.open()).runs()).length, 1);
  });
});
