import assert from 'node:assert/strict';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import type { ErrorCode } from '../../lib/errors.ts';
import { createShop } from '../fixtures/postgres-shop.ts';
import { TestProxy } from '../servers/proxy.ts';
import { type FaultyResult, type FaultyRun, PostgresFaults } from '../support/postgres-faults.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

/** So slow that a dump of megabytes goes on until something happens to it. */
const SLOW = 3_000_000;

describe('a PostgreSQL dump whose server goes wrong', function () {
  this.timeout(240_000);
  let faults: PostgresFaults;

  before(async () => {
    faults = await PostgresFaults.start();
    await createShop(faults.server, 'bad', { megabytes: 24, seed: 1 });
    await createShop(faults.server, 'good', { megabytes: 0.1, seed: 2 });
  });

  after(async () => await faults?.stop());

  function requireFailure(run: FaultyResult, code: ErrorCode, message: RegExp, transient: boolean): void {
    const error = run.errorOf('bad');
    assert.equal(`${error.code} ${error.transient}`, `${code} ${transient}`, error.message);
    assert.match(error.message, message);
    assert.ok(!error.message.includes(faults.server.password), 'the password is in the message');
  }

  /** `bad` fails for this reason, and `good` is stored all the same. */
  async function losesOne(
    plan: FaultyRun,
    code: ErrorCode,
    message: RegExp,
    transient = false,
  ): Promise<void> {
    const run = await faults.run({ ...plan, source: { databases: ['bad', 'good'], ...plan.source } });
    requireFailure(run, code, message, transient);
    assert.equal(run.result.state, 'partial');
    assert.deepEqual(run.stored, ['good.dump']);
  }

  it('because the connection is cut or reset', async () => {
    for (const how of ['cut', 'reset'] as const) {
      const proxy = await TestProxy.start(faults.server.settings);
      try {
        proxy.after(1_000_000, how);
        const message =
          /server closed the connection|could not receive data|Connection reset|connection not open/;
        await losesOne({ server: { port: proxy.port } }, 'unavailable', message, true);
      } finally {
        await proxy.close();
      }
    }
  });

  it('but not in the end, when the connection is cut once: then the database is dumped again', async () => {
    const proxy = await TestProxy.start(faults.server.settings);
    try {
      proxy.after(1_000_000, 'cut');
      const { result, stored } = await faults.run({
        server: { port: proxy.port },
        source: { databases: ['bad', 'good'] },
        engine: { retries: {} },
      });
      assert.equal(result.state, 'succeeded', String(result.artifacts[0]?.error));
      assert.deepEqual(stored, ['bad.dump', 'good.dump']);
    } finally {
      await proxy.close();
    }
  });

  it('because the password is wrong', async () => {
    const { result, stored } = await faults.run({
      server: { password: 'wrong' },
      source: { databases: ['bad'] },
    });
    assert.equal(result.state, 'failed');
    const error = result.artifacts[0]?.error ?? result.error;
    assert.equal(error?.code, 'permission');
    assert.match(error?.message ?? '', /password authentication failed/);
    assert.deepEqual(stored, []);
  });

  it('because one table may not be read', async () => {
    const { server } = faults;
    await server.query(`CREATE ROLE limited LOGIN PASSWORD 'limited' BYPASSRLS IN ROLE pg_read_all_data`);
    const objects = `DO $$ DECLARE id oid; BEGIN FOR id IN SELECT oid FROM pg_largeobject_metadata LOOP
      EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO limited', id); END LOOP; END $$`;
    await server.query(objects, 'good');
    const user = { user: 'limited', password: 'limited' };
    await losesOne({ server: user }, 'permission', /pg_dump of bad .*permission denied for large object \d+/);
    await server.query(objects, 'bad');
    await server.query('REVOKE pg_read_all_data FROM limited');
    for (const database of ['bad', 'good']) {
      await server.query(
        `GRANT USAGE ON SCHEMA "Käse & co" TO limited;
         GRANT SELECT ON ALL TABLES IN SCHEMA public, "Käse & co" TO limited;
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO limited`,
        database,
      );
    }
    await server.query('REVOKE SELECT ON transfers FROM limited', 'bad');
    await losesOne({ server: user }, 'permission', /permission denied for table transfers/);
  });

  it('because rows are hidden from the user', async () => {
    const { server } = faults;
    await server.query(`CREATE ROLE blind LOGIN PASSWORD 'blind'`);
    for (const database of ['rls', 'open']) await server.query(`CREATE DATABASE ${database}`);
    await server.query('CREATE TABLE t (v int); GRANT SELECT ON t TO blind', 'open');
    await server.query(
      'CREATE TABLE t (v int); GRANT SELECT ON t TO blind; ALTER TABLE t ENABLE ROW LEVEL SECURITY',
      'rls',
    );
    const run = await faults.run({
      server: { user: 'blind', password: 'blind' },
      source: { databases: ['rls', 'open'] },
    });
    assert.equal(run.errorOf('rls').code, 'permission');
    assert.match(run.errorOf('rls').message, /row-level security.*give the user BYPASSRLS/);
    assert.deepEqual(run.stored, ['open.dump']);
  });

  it('because somebody holds a lock for too long', async () => {
    const { server } = faults;
    const holder = server.query('BEGIN; LOCK TABLE orders; SELECT pg_sleep(600)', 'bad');
    holder.catch(() => undefined);
    const held = `SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'orders'::regclass`;
    await until(async () => (await server.query(held, 'bad')).length > 0, 120_000);
    const message = /LOCK TABLE public\.orders.*raise the lock timeout/;
    await losesOne({ source: { lockTimeout: 1 } }, 'unavailable', message, true);
    await server.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'`,
    );
    await assert.rejects(holder);
  });

  it('because the database is dropped before its turn', async () => {
    const { server } = faults;
    await server.query('CREATE DATABASE doomed');
    const run = await faults.run({
      source: { databases: ['bad', 'doomed'] },
      bytesPerSecond: SLOW,
      meanwhile: async () => {
        await faults.dumping('bad');
        await server.query('DROP DATABASE doomed');
      },
    });
    assert.equal(run.result.state, 'partial');
    assert.equal(run.errorOf('doomed').code, 'not-found');
    assert.deepEqual(run.stored, ['bad.dump']);
  });

  it('because the database is dropped while it is dumped', async () => {
    const { server } = faults;
    await server.query('CREATE DATABASE victim TEMPLATE bad');
    const run = await faults.run({
      source: { databases: ['victim', 'good'] },
      bytesPerSecond: SLOW / 3,
      meanwhile: async () => {
        await faults.dumping('victim');
        await server.query('DROP DATABASE victim WITH (FORCE)');
      },
    });
    assert.equal(run.result.state, 'partial');
    const error = run.errorOf('victim');
    assert.equal(`${error.code} ${error.transient}`, 'unavailable true', error.message);
    assert.deepEqual(run.stored, ['good.dump']);
  });

  it('because the disk of the destination is full', async function () {
    const disk = await mountSmallDisk(this, 'size=2m');
    try {
      const to = createLocalDestination({ root: disk.path, reserveMiB: 0 });
      const { result } = await faults.run({ source: { databases: ['bad'] }, to });
      assert.equal(result.state, 'failed');
      const error = result.destinations[0]?.error ?? result.error ?? result.artifacts[0]?.error;
      assert.equal(error?.code, 'no-space', error?.message);
    } finally {
      await disk.unmount();
    }
  });

  it('because the server is stopped or killed', async () => {
    for (const how of ['stop', 'kill'] as const) {
      const other = await PostgresFaults.start();
      try {
        await createShop(other.server, 'bad', { megabytes: 24, seed: 1 });
        const run = await other.run({
          source: { databases: ['bad'] },
          bytesPerSecond: SLOW / 3,
          meanwhile: async () => {
            await other.dumping('bad');
            await other.server[how]();
          },
        });
        assert.equal(run.result.state, 'failed');
        requireFailure(run, 'unavailable', /pg_dump of bad failed/, true);
        assert.deepEqual(run.stored, []);
      } finally {
        await other.stop();
      }
    }
  });
});
