import assert from 'node:assert/strict';
import type { InterruptedRun } from '../../lib/store/interrupted.ts';
import type { Store } from '../../lib/store/store.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { describeStores } from '../support/stores.ts';
import { until } from '../support/until.ts';

const BEAT_MS = 10_000;
const START = '2026-05-01T12:00:00Z';

describeStores('what a process does for the store while it has it open', (testStore) => {
  let clock: FakeClock;

  beforeEach(() => {
    clock = new FakeClock(START);
  });

  /** Lets time pass until that has happened; what the clock begins waits for the server. */
  async function passes(condition: () => boolean | Promise<boolean>): Promise<void> {
    await until(async () => {
      if (await condition()) return true;
      await clock.pass(BEAT_MS);
      return false;
    });
  }

  const begin = async (store: Store, id: string) => {
    await store.journal.opened({ id, job: 'shop', openedAt: new Date(START) });
    await store.journal.state(id, 'running');
  };

  /** What a killed process leaves: an instance with a run, whose lock nobody holds and whose heart stands still. */
  async function deadInstance(run: string): Promise<void> {
    await testStore.sql(
      `INSERT INTO instances (id, host, pid, started_at, heartbeat_at, lease_ms)
       VALUES ('dead', 'elsewhere', 7, '2026-05-01T11:00:00.000Z', '2026-05-01T11:00:00.000Z', 1)`,
    );
    await testStore.sql(
      `INSERT INTO runs (id, instance, job, state, opened_at)
       VALUES ('${run}', 'dead', 'shop', 'running', '2026-05-01T11:00:00.000Z')`,
    );
  }

  const stateOf = async (store: Store, id: string) =>
    (await store.runs()).find((run) => run.id === id)?.state;

  it('fails the runs of a process that dies meanwhile, and tells which', async () => {
    const found: InterruptedRun[] = [];
    const store = await testStore.open({ clock, interrupted: (runs) => void found.push(...runs) });
    await begin(store, 'living');
    await deadInstance('dying');
    await passes(() => found.length > 0);
    const [{ id, job, message } = { id: '', job: '', message: '' }, ...more] = found;
    assert.deepEqual([id, job, more], ['dying', 'shop', []]);
    assert.match(message, /pid 7 on elsewhere/);
    assert.equal(await stateOf(store, 'dying'), 'failed');
    assert.equal(await stateOf(store, 'living'), 'running');
  });

  it('leaves the runs of another living process alone, however long they take', async () => {
    const other = await testStore.open();
    await begin(other, 'theirs');
    const found: string[] = [];
    const store = await testStore.open({
      clock,
      interrupted: (runs) => void found.push(...runs.map(({ id }) => id)),
    });
    await begin(store, 'ours');
    await deadInstance('dying');
    await passes(() => found.length > 0);
    assert.deepEqual(found, ['dying']);
    assert.equal(await stateOf(store, 'theirs'), 'running');
    assert.equal(await stateOf(store, 'ours'), 'running');
  });

  it('registers anew when it was taken for dead, says so, and takes its runs back', async () => {
    const told: string[] = [];
    const store = await testStore.open({ clock, tell: (_, message) => void told.push(message) });
    await begin(store, 'r1');
    await testStore.sql("UPDATE instances SET ended_at = '2026-05-01T12:00:05.000Z'");
    await testStore.sql(
      "UPDATE runs SET state = 'failed', error_code = 'aborted', error_message = 'dead', finished_at = '2026-05-01T12:00:05.000Z'",
    );
    await passes(async () => (await stateOf(store, 'r1')) === 'running');
    assert.match(told.join('\n'), /taken for dead.*registered anew/);
    const [run] = await store.runs();
    assert.deepEqual([run?.error, run?.finishedAt], [null, null]);
    const rows = await testStore.sql<{ living: number }>(
      'SELECT count(*) AS living FROM instances JOIN runs ON runs.instance = instances.id WHERE ended_at IS NULL',
    );
    assert.equal(Number(rows[0]?.living), 1);
    // What it still has under way belongs to its new id.
    await store.close();
    const again = await testStore.open();
    assert.equal(await stateOf(again, 'r1'), 'failed');
    assert.deepEqual(again.interrupted, []);
  });

  it('records a run that was begun before it registered anew', async () => {
    const store = await testStore.open({ clock });
    await testStore.sql("UPDATE instances SET ended_at = '2026-05-01T12:00:05.000Z'");
    await begin(store, 'r1');
    await passes(async () => {
      const rows = await testStore.sql<{ id: string }>(
        'SELECT runs.id FROM runs JOIN instances ON instances.id = runs.instance WHERE ended_at IS NULL',
      );
      return rows.length === 1;
    });
    assert.equal(await stateOf(store, 'r1'), 'running');
  });

  it('fails a run that a process began after it was taken for dead, and then died', async () => {
    await (await testStore.open()).close();
    await deadInstance('late');
    await testStore.sql("UPDATE instances SET ended_at = '2026-05-01T11:30:00.000Z' WHERE id = 'dead'");
    const store = await testStore.open({ clock });
    assert.deepEqual(store.interrupted, ['late']);
  });

  it('leaves no timer behind when it is closed', async () => {
    const store = await testStore.open({ clock });
    assert.equal(clock.waiting, 1);
    await store.close();
    assert.equal(clock.waiting, 0);
  });
});
