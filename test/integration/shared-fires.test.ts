import assert from 'node:assert/strict';
import { FireWorker } from '../../lib/queue/fire-worker.ts';
import { SharedFires, type TakenFire } from '../../lib/queue/shared-fires.ts';
import type { Fire, HandOver, SchedulePolicy } from '../../lib/schedule/scheduler.ts';
import { type PostgresPlace, storePlace } from '../../lib/store/place.ts';
import { openStore, type Store } from '../../lib/store/store.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { until } from '../support/until.ts';

const NODE = 'a schedule/with "any" id';
/** Whose lease ends after a day, as the library would have it. */
const SHORT = 'another schedule';
const TIMETABLE = '0 2 * * * UTC';
const HOUR = 3_600_000;
const START = Date.parse('2026-03-01T02:00:00Z');

describe('fires that processes share', function () {
  this.timeout(240_000);
  let server: TestPostgres;
  let place: PostgresPlace;
  let store: Store;
  let databases = 0;
  const open: SharedFires[] = [];
  const warnings: string[] = [];

  before(async () => {
    server = await startPostgres();
  });
  after(() => server.stop());

  beforeEach(async () => {
    databases += 1;
    await server.query(`CREATE DATABASE queue_${databases}`);
    const found = storePlace('/nowhere', {
      DBACKUP_STORE: `postgresql://postgres@127.0.0.1:${server.settings.port}/queue_${databases}`,
      DBACKUP_STORE_PASSWORD: server.password,
    });
    assert.equal(found.kind, 'postgresql');
    place = found;
    store = await openStore(place);
    await store.schedule(NODE).open(TIMETABLE, START - HOUR);
    warnings.length = 0;
  });

  afterEach(async () => {
    for (const each of open.splice(0)) await each.close();
    await store.close();
    assert.deepEqual(warnings, []);
  });

  async function join(): Promise<SharedFires> {
    const fires = await SharedFires.open(place, { leaseMs: 10_000, warn: (text) => warnings.push(text) });
    open.push(fires);
    return fires;
  }

  const fireAt = (hours: number): Fire => ({ at: START + hours * HOUR, reason: 'schedule', missed: 0 });

  async function handOver(
    fires: SharedFires,
    fire: Fire,
    overlap: SchedulePolicy['overlap'] = 'skip',
    node = NODE,
  ): Promise<HandOver> {
    await fires.prepare(node, overlap);
    return await store.handOver(node, fire.at, (connection) => fires.offer(node, overlap, fire, connection));
  }

  async function takenBy(
    fires: SharedFires,
    overlap: SchedulePolicy['overlap'] = 'skip',
  ): Promise<TakenFire> {
    const taken = await fires.take(NODE, overlap);
    assert.ok(taken);
    return taken;
  }

  async function takenLater(
    fires: SharedFires,
    withinMs?: number,
    overlap: SchedulePolicy['overlap'] = 'skip',
  ): Promise<TakenFire> {
    let taken: TakenFire | undefined;
    await until(async () => {
      taken = await fires.take(NODE, overlap);
      return taken !== undefined;
    }, withinMs);
    assert.ok(taken);
    return taken;
  }

  it('are handed over once by whoever notices them, and taken once', async () => {
    const members = await Promise.all([join(), join(), join()]);
    const outcomes = await Promise.all(members.map((fires) => handOver(fires, fireAt(0))));
    assert.deepEqual(outcomes.sort(), ['handed', 'others', 'others']);
    const taken = await Promise.all(members.map((fires) => fires.take(NODE, 'skip')));
    assert.deepEqual(
      taken.flatMap((each) => (each === undefined ? [] : [[each.fire, each.attempt]])),
      [[fireAt(0), 1]],
    );
  });

  it('are neither recorded nor handed over when the process dies in between', async () => {
    const fires = await join();
    await fires.prepare(NODE, 'skip');
    const failing = store.handOver(NODE, START, async (connection) => {
      assert.equal(await fires.offer(NODE, 'skip', fireAt(0), connection), true);
      throw new Error('the connection is gone');
    });
    await assert.rejects(failing, /the connection is gone/);
    assert.equal(await fires.take(NODE, 'skip'), undefined);
    assert.equal(await handOver(fires, fireAt(0)), 'handed');
  });

  it('are busy while an earlier one waits or is at work, and not afterwards', async () => {
    const fires = await join();
    assert.equal(await handOver(fires, fireAt(0)), 'handed');
    assert.equal(await handOver(fires, fireAt(1)), 'busy');
    const taken = await takenBy(fires);
    assert.equal(await handOver(fires, fireAt(2)), 'busy');
    await taken.done();
    assert.equal(await handOver(fires, fireAt(3)), 'handed');
  });

  it('queue one behind the one that is at work, when they shall', async () => {
    const fires = await join();
    assert.equal(await handOver(fires, fireAt(0), 'queue'), 'handed');
    const first = await takenBy(fires, 'queue');
    assert.equal(await handOver(fires, fireAt(1), 'queue'), 'handed');
    assert.equal(await handOver(fires, fireAt(2), 'queue'), 'busy');
    assert.equal(await fires.take(NODE, 'queue'), undefined, 'not before the first one has ended');
    await first.done();
    assert.deepEqual((await takenBy(fires, 'queue')).fire, fireAt(1));
  });

  it('are taken when they wait since before it was changed what happens when they overlap', async () => {
    const fires = await join();
    await handOver(fires, fireAt(0), 'queue');
    const first = await takenBy(fires, 'queue');
    await handOver(fires, fireAt(1), 'queue');
    assert.equal(await fires.take(NODE, 'skip'), undefined, 'not before the first one has ended');
    await first.done();
    const second = await takenBy(fires, 'skip');
    assert.deepEqual([second.fire, await second.keep()], [fireAt(1), true]);
    await second.done();
    assert.equal(await fires.take(NODE, 'queue'), undefined);
  });

  it('are busy while something is at work that was fired by hand, in whatever process', async () => {
    const [here, there] = await Promise.all([join(), join()]);
    const one = await here.holdByHand(NODE);
    const another = await there.holdByHand(NODE);
    assert.equal(await handOver(there, fireAt(0)), 'busy');
    await one.done();
    assert.equal(await handOver(there, fireAt(1)), 'busy');
    await another.done();
    assert.equal(await handOver(there, fireAt(2)), 'handed');
    assert.deepEqual((await takenBy(there)).fire, fireAt(2));
  });

  it('wait until what was fired by hand has ended, when they shall or were handed over before', async () => {
    const [here, there] = await Promise.all([join(), join()]);
    assert.equal(await handOver(there, fireAt(0), 'skip'), 'handed');
    const hold = await here.holdByHand(NODE);
    assert.equal(await there.take(NODE, 'skip'), undefined);
    assert.equal(await handOver(there, fireAt(1), 'queue'), 'handed');
    assert.equal(await there.take(NODE, 'queue'), undefined);
    await hold.done();
    assert.deepEqual((await takenBy(there, 'queue')).fire, fireAt(1));
  });

  it('do not wait for what a process has fired by hand that fell silent, unless it goes on', async () => {
    const [silent, other] = await Promise.all([join(), join()]);
    const hold = await silent.holdByHand(NODE);
    await handOver(other, fireAt(0), 'queue');
    await takenLater(other, 120_000, 'queue');
    assert.equal(await handOver(other, fireAt(1)), 'handed');
    assert.equal(await hold.keep(), true);
    assert.equal(await handOver(other, fireAt(2)), 'busy');
    assert.equal(await other.take(NODE, 'skip'), undefined);
    await hold.done();
    assert.deepEqual((await takenBy(other)).fire, fireAt(1));
  });

  it('do not wait for what was fired by hand and has ended while its process said that it goes on', async () => {
    const fires = await join();
    const hold = await fires.holdByHand(NODE);
    await server.query(`DELETE FROM dbackup_queue.job`, `queue_${databases}`);
    await Promise.all([hold.keep(), hold.done()]);
    assert.equal(await handOver(fires, fireAt(0)), 'handed');
    await hold.keep();
    assert.ok(await fires.take(NODE, 'skip'));
  });

  it('are not handed over while the schedule is paused', async () => {
    const fires = await join();
    await store.schedule(NODE).pause();
    assert.equal(await handOver(fires, fireAt(0)), 'others');
    assert.equal(await fires.take(NODE, 'skip'), undefined);
  });

  it('are taken again by another process when they are given back', async () => {
    const [one, other] = await Promise.all([join(), join()]);
    await handOver(one, fireAt(0));
    await (await takenBy(one)).giveBack('it is stopped');
    const again = await takenLater(other);
    assert.deepEqual([again.fire, again.attempt], [fireAt(0), 2]);
    assert.equal(await again.keep(), true);
  });

  it('are taken by another process when the first one has fallen silent, which then knows it', async () => {
    const [silent, other] = await Promise.all([join(), join()]);
    await handOver(silent, fireAt(0));
    const lost = await takenBy(silent);
    assert.equal(await other.take(NODE, 'skip'), undefined, 'its lease has not ended');
    const again = await takenLater(other, 120_000);
    assert.equal(again.attempt, 2);
    assert.equal(await lost.keep(), false);
    await lost.done();
    assert.equal(await again.keep(), true, 'what the first one does is not done to the second attempt');
  });

  it('keep their lease for days, as long as their process says that it lives', async () => {
    const [alive, other] = await Promise.all([join(), join()]);
    await handOver(alive, fireAt(0));
    const taken = await takenBy(alive);
    await store.schedule(SHORT).open(TIMETABLE, START - HOUR);
    await handOver(other, fireAt(0), 'skip', SHORT);
    assert.ok(await other.take(SHORT, 'skip'));
    const database = `queue_${databases}`;
    await server.query(
      `UPDATE dbackup_queue.job SET started_on = now() - interval '20 days', heartbeat_on = now() + interval '1 hour'`,
      database,
    );
    await server.query(
      `UPDATE dbackup_queue.job SET expire_seconds = 86400 WHERE created_on > (SELECT min(created_on) FROM dbackup_queue.job)`,
      database,
    );
    // It comes again once the library has looked for leases that have lasted too long.
    await until(async () => (await other.take(SHORT, 'skip')) !== undefined, 60_000);
    assert.equal(await taken.keep(), true);
    assert.equal(await other.take(NODE, 'skip'), undefined);
  });

  it('keep their lease while a worker is at work, and are another process’s when it was lost', async () => {
    const fires = await join();
    await handOver(fires, fireAt(0));
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: string[] = [];
    const worker = new FireWorker({
      beatMs: 200,
      askMs: 100,
      take: () => fires.take(NODE, 'skip'),
      mayTake: () => true,
      async run({ at }, attempt, { lost }) {
        seen.push(`${new Date(at).toISOString()} ${attempt}`);
        lost.addEventListener('abort', () => seen.push('lost'));
        await promise;
        return 'done';
      },
      failed: (error) => seen.push(error.message),
    });
    worker.wake();
    await until(() => seen.length > 0);
    // An administrator takes it away.
    await server.query(`UPDATE dbackup_queue.job SET retry_count = retry_count + 1`, `queue_${databases}`);
    await until(() => seen.includes('lost'));
    resolve();
    await worker.stop();
    assert.deepEqual(seen, ['2026-03-01T02:00:00.000Z 1', 'lost']);
  });

  it('are taken by a worker only when it may, and given back when it is stopped', async () => {
    const fires = await join();
    await handOver(fires, fireAt(0));
    let may = false;
    let asked = 0;
    const worker = new FireWorker({
      beatMs: 1000,
      askMs: 20,
      take: () => fires.take(NODE, 'skip'),
      mayTake: () => {
        asked += 1;
        return may;
      },
      run: async () => {
        may = false;
        return 'again';
      },
      failed: (error) => assert.fail(error),
    });
    worker.wake();
    await until(() => asked > 3);
    may = true;
    await until(() => !may);
    await worker.stop();
    const other = await takenLater(fires);
    assert.equal(other.attempt, 2);
  });

  it('are dealt with once, although the server was away when the first one had ended', async () => {
    const fires = await join();
    await handOver(fires, fireAt(0));
    const database = `queue_${databases}`;
    let tries = 0;
    const worker = new FireWorker({
      beatMs: 2000,
      take: async () => {
        const taken = await fires.take(NODE, 'skip');
        const done = async () => {
          tries += 1;
          try {
            await taken?.done();
          } finally {
            if (tries === 1)
              await server.query('ALTER TABLE dbackup_queue.away RENAME TO job_common', database);
          }
        };
        return taken && { ...taken, done };
      },
      mayTake: () => true,
      async run() {
        await server.query('ALTER TABLE dbackup_queue.job_common RENAME TO away', database);
        return 'done';
      },
      failed: (error) => assert.fail(error),
    });
    worker.wake();
    await until(() => tries > 0);
    await worker.stop();
    assert.equal(tries, 2);
    assert.equal(await handOver(fires, fireAt(1)), 'handed');
    warnings.length = 0;
  });

  it('say so once when the server is gone, and go on when it is back', async () => {
    const fires = await join();
    const failures: string[] = [];
    let asked = 0;
    const worker = new FireWorker({
      beatMs: 1000,
      askMs: 20,
      take: () => {
        asked += 1;
        return fires.take(NODE, 'skip');
      },
      mayTake: () => true,
      run: async () => 'done',
      failed: (error) => failures.push(error.message),
    });
    await handOver(fires, fireAt(0));
    await server.query(`ALTER TABLE dbackup_queue.queue RENAME TO away`, `queue_${databases}`);
    await server.query(`ALTER TABLE dbackup_queue.job_common RENAME TO away_too`, `queue_${databases}`);
    worker.wake();
    await until(() => asked > 5);
    assert.equal(failures.length, 1, failures.join('\n'));
    await server.query(`ALTER TABLE dbackup_queue.away RENAME TO queue`, `queue_${databases}`);
    await server.query(`ALTER TABLE dbackup_queue.away_too RENAME TO job_common`, `queue_${databases}`);
    await until(async () => (await handOver(fires, fireAt(asked))) === 'handed');
    await worker.stop();
    warnings.length = 0;
  });
});
