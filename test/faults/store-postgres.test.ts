import assert from 'node:assert/strict';
import type { BackupError } from '../../lib/errors.ts';
import { storePlace } from '../../lib/store/place.ts';
import { openStore, type Store, type StoreOptions } from '../../lib/store/store.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { TestProxy } from '../servers/proxy.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';

const BEAT_MS = 10_000;

describe('a store in PostgreSQL', function () {
  this.timeout(120_000);
  let server: TestPostgres;
  let proxy: TestProxy;
  let count = 0;
  const database = () => `store_${count}`;
  const stores: Store[] = [];

  before(async () => {
    server = await startPostgres();
    proxy = await TestProxy.start({ host: '127.0.0.1', port: server.settings.port });
  });

  after(async () => {
    await proxy?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    count += 1;
    await server.query(`CREATE DATABASE ${database()}`);
  });

  afterEach(async () => {
    proxy.accepts = 'pass';
    proxy.resume();
    for (const store of stores.splice(0)) await store.close().catch(() => undefined);
    await server.query(`DROP DATABASE IF EXISTS ${database()} WITH (FORCE)`);
  });

  interface Address {
    readonly user?: string;
    readonly port?: number;
    readonly database?: string;
    readonly password?: string;
  }

  async function open(address: Address = {}, options: StoreOptions = {}): Promise<Store> {
    const { user = 'postgres', port = server.settings.port, password = server.password } = address;
    const url = `postgresql://${user}@127.0.0.1:${port}/${address.database ?? database()}?connect_timeout=2`;
    const place = storePlace('unused', { DBACKUP_STORE: url, DBACKUP_STORE_PASSWORD: password });
    const store = await openStore(place, options);
    stores.push(store);
    return store;
  }

  const openThroughProxy = (options?: StoreOptions) => open({ port: proxy.port }, options);

  async function refusal(address: Address): Promise<BackupError> {
    const error = await open(address).then(
      () => assert.fail('it was opened'),
      (thrown: unknown) => thrown as BackupError,
    );
    assert.equal(error.name, 'BackupError');
    assert.match(error.message, /^The store postgresql:\/\/\w+@127\.0\.0\.1:\d+\/\w+ cannot be used: /);
    assert.ok(!error.message.includes(server.password));
    return error;
  }

  const begin = (store: Store, id: string) =>
    store.journal.opened({ id, job: 'shop', openedAt: new Date('2026-05-01T12:00:00Z') });

  const statesOf = async (store: Store) => (await store.runs()).map(({ id, state }) => `${id} ${state}`);

  describe('that cannot be opened says why', () => {
    it('when nothing listens there', async () => {
      const { code, transient, message } = await refusal({ port: await freePort() });
      assert.deepEqual([code, transient], ['unavailable', true]);
      assert.match(message, /ECONNREFUSED.*check host and port in its URL, and that the server runs/);
    });

    it('when the server does not answer', async () => {
      proxy.accepts = 'silence';
      const { code, transient } = await refusal({ port: proxy.port });
      assert.deepEqual([code, transient], ['unavailable', true]);
    });

    it('when the password is wrong', async () => {
      const { code, message } = await refusal({ password: 'wrong' });
      assert.equal(code, 'permission');
      assert.match(message, /DBACKUP_STORE_PASSWORD/);
      assert.ok(!message.includes('wrong'));
    });

    it('when there is no such database', async () => {
      const { code, message } = await refusal({ database: 'nowhere' });
      assert.equal(code, 'not-found');
      assert.match(message, /create the database/);
    });

    it('when the user may not make its schema, and uses one that was made for it', async () => {
      const user = `plain_${count}`;
      await server.query(`CREATE ROLE ${user} LOGIN PASSWORD 'plain'`);
      const { code, message } = await refusal({ user, password: 'plain' });
      assert.equal(code, 'permission');
      assert.match(message, /CREATE SCHEMA dbackup AUTHORIZATION/);
      await server.query(`CREATE SCHEMA dbackup AUTHORIZATION ${user}`, database());
      const store = await open({ user, password: 'plain' });
      await begin(store, 'r1');
      assert.deepEqual(await statesOf(store), ['r1 planning']);
    });

    it('when it may only be read', async () => {
      await (await open()).close();
      await server.query(`ALTER DATABASE ${database()} SET default_transaction_read_only = on`);
      const { code, message } = await refusal({});
      assert.equal(code, 'permission');
      assert.match(message, /read-only transaction.*must not be a standby/);
    });
  });

  describe('whose connections break', () => {
    const BREAKS = {
      'are cut while nobody uses them': () => proxy.cut(),
      'are reset while nobody uses them': () => proxy.reset(),
      'are ended by an administrator': () =>
        server.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database()}'`,
        ),
      'are cut while they are used': () => proxy.after(1, 'cut', 'client'),
      'are cut before the answer': () => proxy.after(1, 'cut', 'server'),
    };
    for (const [how, happens] of Object.entries(BREAKS)) {
      it(`and ${how} writes all the same, once`, async () => {
        const store = await openThroughProxy();
        await begin(store, 'r1');
        await happens();
        await store.journal.state('r1', 'running');
        await happens();
        const openedAt = new Date('2026-05-01T12:00:00Z');
        await store.journal.finished({
          ...{ runId: 'r1', job: 'shop', state: 'succeeded', openedAt, finishedAt: new Date(), rawBytes: 1 },
          artifacts: [{ node: 's', database: 'db' }],
          destinations: [{ node: 'd', label: 'Disk' }],
        });
        proxy.disarm();
        await happens();
        await begin(store, 'r2');
        proxy.disarm();
        const runs = await store.runs().catch(() => store.runs());
        assert.deepEqual(
          runs.map(({ id, state, artifacts }) => [id, state, artifacts.length]),
          [
            ['r2', 'planning', 0],
            ['r1', 'succeeded', 1],
          ],
        );
      });
    }

    it('waits some seconds for a server that comes back', async () => {
      const clock = new FakeClock('2026-05-01T12:00:00Z');
      const store = await openThroughProxy({ clock });
      proxy.accepts = 'reset';
      proxy.reset();
      let done = false;
      const writing = begin(store, 'r1').then(() => (done = true));
      // It waits after the first attempt, beside the timer of the heart.
      await until(() => clock.waiting === 2);
      proxy.accepts = 'pass';
      await until(async () => {
        await clock.pass(100);
        return done;
      });
      await writing;
      assert.deepEqual(await statesOf(store), ['r1 planning']);
    });

    it('says so when the server stays away, and goes on when it is there again', async () => {
      const clock = new FakeClock('2026-05-01T12:00:00Z');
      const told: string[] = [];
      const store = await openThroughProxy({
        clock,
        tell: (level, text) => void told.push(`${level} ${text}`),
      });
      proxy.accepts = 'reset';
      proxy.reset();
      let failure: BackupError | undefined;
      const writing = begin(store, 'r1').catch((error: BackupError) => (failure = error));
      await until(async () => {
        await clock.pass(1_000);
        return failure !== undefined;
      });
      await writing;
      assert.deepEqual([failure?.code, failure?.transient], ['unavailable', true]);
      await assert.rejects(store.probe(), { code: 'unavailable' });
      await until(async () => {
        await clock.pass(BEAT_MS);
        return told.length > 0;
      });
      proxy.accepts = 'pass';
      await until(async () => {
        await clock.pass(BEAT_MS);
        return told.length > 1;
      });
      assert.match(told[0] ?? '', /^warn The store .* cannot be used/);
      assert.match(told[1] ?? '', /^info The store .* can be used again/);
      assert.equal(told.length, 2);
      await store.probe();
    });

    it('does not take others for dead that were cut off as well', async () => {
      const clock = new FakeClock('2026-05-01T12:00:00Z');
      const found: string[] = [];
      const store = await openThroughProxy({
        clock,
        interrupted: (runs) => void found.push(...runs.map(({ id }) => id)),
      });
      await server.query(
        `INSERT INTO dbackup.instances (id, host, pid, started_at, heartbeat_at, lease_ms)
         VALUES ('silent', 'elsewhere', 7, '2026-05-01T11:00:00.000Z', '2026-05-01T11:00:00.000Z', 1);
         INSERT INTO dbackup.runs (id, instance, job, state, opened_at)
         VALUES ('theirs', 'silent', 'shop', 'running', '2026-05-01T11:00:00.000Z')`,
        database(),
      );
      const beats = async (times: number) => {
        for (let beat = 0; beat < times; beat += 1) {
          const before = await heartbeat();
          await clock.pass(BEAT_MS);
          await until(async () => (await heartbeat()) !== before);
        }
      };
      const heartbeat = async () => {
        const sql = "SELECT heartbeat_at FROM dbackup.instances WHERE id != 'silent'";
        return (await server.query<{ heartbeat_at: string }>(sql, database()))[0]?.heartbeat_at;
      };
      await beats(4);
      proxy.accepts = 'reset';
      proxy.reset();
      await clock.pass(4 * BEAT_MS);
      proxy.accepts = 'pass';
      await beats(5);
      assert.deepEqual(await statesOf(store), ['theirs running']);
      await beats(1);
      await until(() => found.length > 0);
      assert.deepEqual(found, ['theirs']);
    });

    it('can be closed although the server does not answer any more', async () => {
      const store = await openThroughProxy();
      await begin(store, 'r1');
      proxy.stall();
      await assert.rejects(store.close(), { name: 'BackupError', code: 'stalled' });
      proxy.resume();
      await until(() => proxy.connections === 0);
    });
  });
});
