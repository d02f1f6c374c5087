import assert from 'node:assert/strict';
import { Client } from 'pg';
import { BackupError } from '../../lib/errors.ts';
import { storePlace } from '../../lib/store/place.ts';
import { openStore, type Store } from '../../lib/store/store.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { partialResult } from '../support/run-results.ts';
import { until } from '../support/until.ts';

describe('what is written of a run while its server comes and goes', function () {
  this.timeout(120_000);
  let server: TestPostgres;
  let store: Store;
  /** Connections that are there already: what they do takes less time than the store's pauses. */
  let other: Client;
  let killer: Client;

  before(async () => {
    server = await startPostgres();
    const { port } = server.settings;
    store = await openStore(
      storePlace('/nowhere', {
        DBACKUP_STORE: `postgresql://postgres@127.0.0.1:${port}/postgres`,
        DBACKUP_STORE_PASSWORD: server.password,
      }),
    );
    const { password } = server;
    const login = { host: '127.0.0.1', port, user: 'postgres', database: 'postgres', password };
    [other, killer] = [new Client(login), new Client(login)];
    await Promise.all([other.connect(), killer.connect()]);
  });
  after(async () => {
    await Promise.all([other.end(), killer.end()]);
    await store.close();
    await server.stop();
  });

  /** Breaks the connection that waits for a lock, as a server does that restarts. */
  async function cutWaiting(): Promise<void> {
    await until(async () => {
      const { rows } = await killer.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
      );
      return rows.length > 0;
    });
  }

  /** Until the store knows that the connection is gone. */
  const isBack = () =>
    store.runs().then(
      () => true,
      () => false,
    );

  it('ends with how the run ended, although its state was written late', async () => {
    await store.journal.opened({ id: 'r1', job: 'shop', openedAt: new Date() });
    await other.query("BEGIN; UPDATE dbackup.runs SET stage = 'held' WHERE id = 'r1'");
    const late = store.journal.state('r1', 'running');
    await cutWaiting();
    await other.query('COMMIT');
    await until(isBack);
    const error = new BackupError('aborted', 'Run r1 was cancelled');
    await store.journal.finished({ ...partialResult('r1'), state: 'cancelled', error });
    await late;
    assert.equal((await store.run('r1'))?.state, 'cancelled');
  });

  it('holds a run that was ended before it was known', async () => {
    await other.query('BEGIN; LOCK TABLE dbackup.runs IN SHARE MODE');
    const opened = store.journal.opened({ id: 'r2', job: 'shop', openedAt: new Date() });
    await cutWaiting();
    await other.query('COMMIT');
    await until(isBack);
    await store.journal.finished({ ...partialResult('r2'), state: 'cancelled' });
    await opened;
    assert.equal((await store.run('r2'))?.state, 'cancelled');
  });
});
