import assert from 'node:assert/strict';
import type { RunState } from '../../lib/runs/states.ts';
import type { HistoryLimits } from '../../lib/store/prune.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { describeStores } from '../support/stores.ts';
import { until } from '../support/until.ts';

const NOW = '2026-05-01T12:00:00Z';
const DAY_MS = 86_400_000;

describeStores('a history that is kept within limits', (testStore) => {
  let clock: FakeClock;

  beforeEach(async () => {
    clock = new FakeClock(NOW);
    await (await testStore.open()).close();
  });

  /** Writes a run of that age in days, as an earlier process has left it. */
  async function run(id: string, job: string, state: RunState, days: number): Promise<void> {
    const at = new Date(Date.parse(NOW) - days * DAY_MS).toISOString();
    await testStore.sql(
      `INSERT INTO instances (id, host, pid, started_at, ended_at) VALUES ('of-${id}', 'h', 1, '${at}', '${at}')`,
    );
    await testStore.sql(
      `INSERT INTO runs (id, instance, job, state, opened_at, finished_at) VALUES ('${id}', 'of-${id}', '${job}', '${state}', '${at}', '${at}')`,
    );
  }

  const ids = async () =>
    (await testStore.sql<{ id: string }>('SELECT id FROM runs ORDER BY id')).map(({ id }) => id);

  /** Opens the store with limits, and waits until what was to go is gone. */
  async function keeps(keep: HistoryLimits, expected: readonly string[]): Promise<void> {
    await testStore.open({ clock, keep });
    await until(async () => (await ids()).length <= expected.length);
    assert.deepEqual(await ids(), expected);
  }

  it('loses runs that are too old, with all that is known of them', async () => {
    await run('a-old', 'a', 'succeeded', 401);
    await run('a-older', 'a', 'failed', 900);
    await run('b-new', 'a', 'succeeded', 399);
    await testStore.sql("INSERT INTO artifacts (run, node, database) VALUES ('a-old', 'n', 'd')");
    await testStore.sql(
      "INSERT INTO logs (run, at, level, message) VALUES ('a-old', '2025-01-01', 'info', 'text')",
    );
    await keeps({ days: 400, runs: 0 }, ['b-new']);
    for (const table of ['artifacts', 'logs']) {
      assert.deepEqual(await testStore.sql(`SELECT run FROM ${table}`), []);
    }
    await until(async () => {
      const rows = await testStore.sql<{ id: string }>("SELECT id FROM instances WHERE id LIKE 'of-%'");
      return rows.length === 1;
    });
  });

  it('loses the oldest runs of a job that has too many, in whatever batches', async () => {
    for (let n = 10; n < 60; n += 1) await run(`a${n}`, 'a', 'succeeded', 100 - n);
    await run('b1', 'b', 'failed', 99);
    await keeps({ days: 0, runs: 3 }, ['a57', 'a58', 'a59', 'b1']);
  });

  it('never loses the last success of a job, its last run, and what is not done', async () => {
    await run('a1', 'a', 'succeeded', 800);
    await run('a2', 'a', 'succeeded', 700);
    await run('a3', 'a', 'failed', 600);
    await run('a4', 'a', 'failed', 500);
    await run('b1', 'b', 'cancelled', 900);
    await run('b2', 'b', 'skipped', 800);
    await run('b3', 'b', 'skipped', 700);
    await run('c1', 'c', 'queued', 900);
    await run('c2', 'c', 'failed', 1);
    await testStore.sql("UPDATE instances SET ended_at = NULL, heartbeat_at = NULL WHERE id = 'of-c1'");
    await testStore.sql("UPDATE runs SET instance = 'of-c2' WHERE id = 'c1'");
    await testStore.sql(
      "UPDATE instances SET ended_at = '2026-05-01T11:59:59.000Z' WHERE id IN ('of-c1', 'of-c2')",
    );
    await keeps({ days: 400, runs: 1 }, ['a2', 'a4', 'b1', 'b3', 'c1', 'c2']);
  });

  it('is looked through again each day', async () => {
    await run('a1', 'a', 'failed', 399.5);
    await run('a2', 'a', 'failed', 1);
    await testStore.open({ clock, keep: { days: 400, runs: 0 } });
    assert.deepEqual(await ids(), ['a1', 'a2']);
    await clock.pass(DAY_MS - 60_000);
    assert.deepEqual(await ids(), ['a1', 'a2']);
    await clock.pass(60_000);
    await until(async () => (await ids()).length === 1);
    assert.deepEqual(await ids(), ['a2']);
  });

  it('is kept for ever without limits', async () => {
    await run('a1', 'a', 'failed', 9_000);
    await run('a2', 'a', 'failed', 8_000);
    const store = await testStore.open({ clock, keep: { days: 0, runs: 0 } });
    await store.close();
    await (await testStore.open({ clock })).close();
    assert.deepEqual(await ids(), ['a1', 'a2']);
  });
});
