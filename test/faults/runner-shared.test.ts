import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type StorePlace, storePlace } from '../../lib/store/place.ts';
import { openStore, type Store } from '../../lib/store/store.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { MissedSchedule } from '../support/missed-schedule.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { stored } from '../support/runner-moments.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';
import { listedSets, processesWithTemp } from '../support/runner-traces.ts';
import { until } from '../support/until.ts';

/** MB/s at which a run takes some seconds. */
const SLOW = 0.3;
const PATIENCE_MS = 180_000;

describe('three runners that share a store', function () {
  this.timeout(600_000);
  const missed = new MissedSchedule();
  let server: TestPostgres;
  let work: RunnerWorkspace;
  let place: StorePlace;
  let env: NodeJS.ProcessEnv;
  let databases = 0;
  const runners: RunnerProcess[] = [];

  before(async () => {
    server = await startPostgres();
  });
  after(() => server.stop());

  beforeEach(async () => {
    databases += 1;
    await server.query(`CREATE DATABASE shared_${databases}`);
    work = new RunnerWorkspace(3_000_000);
    const shared = {
      DBACKUP_STORE: `postgresql://postgres@127.0.0.1:${server.settings.port}/shared_${databases}`,
      DBACKUP_STORE_PASSWORD: server.password,
    };
    env = work.env({ ...shared, DBACKUP_LEASE_SECONDS: '10' });
    place = storePlace(work.data, shared);
    await missed.recordIn(place, 'go');
  });

  afterEach(async () => {
    for (const runner of runners) runner.kill('SIGKILL');
    await Promise.all(runners.splice(0).map(({ finished }) => finished));
    work.remove();
  });

  const flow = () => work.flow({ rate: SLOW, settings: { go: missed.settings } });

  async function start(file: string): Promise<RunnerProcess> {
    const runner = new RunnerProcess(['serve', file, '--port', '0', '--json'], { env });
    runners.push(runner);
    await runner.event('listening');
    return runner;
  }

  async function startThree(): Promise<void> {
    const file = flow();
    await Promise.all([start(file), start(file), start(file)]);
  }

  /** The runner that begins the run, when its first bytes are stored. */
  async function busyRunner(): Promise<RunnerProcess> {
    return await Promise.any(
      runners.map(async (runner) => {
        await stored(runner, 'near');
        return runner;
      }),
    );
  }

  async function withStore<T>(use: (store: Store) => Promise<T>): Promise<T> {
    const store = await openStore(place);
    try {
      return await use(store);
    } finally {
      await store.close();
    }
  }

  const statesOfRuns = () =>
    withStore(async (store) => (await store.runs()).map(({ state }) => state).toReversed());

  async function untilStates(...states: readonly string[]): Promise<void> {
    await until(async () => (await statesOfRuns()).join() === states.join(), PATIENCE_MS);
  }

  async function endAll(): Promise<void> {
    for (const runner of runners) runner.kill('SIGTERM');
    for (const { finished, child } of runners) {
      const { code, stderr } = await finished;
      if (child.signalCode === null) assert.equal(code, 143, stderr);
    }
  }

  it('begin each fire in one of them', async () => {
    await startThree();
    const runner = await busyRunner();
    await runner.event('run-finished');
    await untilStates('succeeded');
    await endAll();
    const opened = runners.map(async ({ finished }) =>
      eventsOf((await finished).stdout).filter(({ event }) => event === 'run-opened'),
    );
    assert.equal((await Promise.all(opened)).flat().length, 1);
    assert.equal((await listedSets(work.first)).length, 1);
    assert.deepEqual(await statesOfRuns(), ['succeeded']);
  });

  it('fail the run of one that is killed, and begin it again elsewhere', async () => {
    await startThree();
    const runner = await busyRunner();
    runner.kill('SIGKILL');
    await runner.finished;
    await untilStates('failed', 'succeeded');
    await endAll();
    const [failed, succeeded] = await withStore(async (store) => (await store.runs()).toReversed());
    assert.match(failed?.error?.message ?? '', /ended before the run did; it was last seen dumping shop/);
    assert.deepEqual(
      succeeded?.destinations.map(({ set }) => set?.path),
      [...(await listedSets(work.first)), ...(await listedSets(join(work.second, 'deep', 'er')))],
    );
    const { stdout } = await dbackup(['runs', '--json'], { env });
    assert.deepEqual(
      (JSON.parse(stdout) as { runs: { state: string }[] }).runs.map(({ state }) => state),
      ['succeeded', 'failed'],
    );
    await until(() => processesWithTemp(work.temp).length === 0);
  });

  it('begin the run elsewhere that one of them had to cancel, since it was stopped', async () => {
    await startThree();
    const runner = await busyRunner();
    runner.kill('SIGTERM');
    assert.equal((await runner.finished).code, 143);
    await untilStates('cancelled', 'succeeded');
    await endAll();
    assert.equal((await listedSets(work.first)).length, 1);
  });

  it('do not begin a run again that a person has cancelled', async () => {
    await startThree();
    await busyRunner();
    const [run] = await withStore((store) => store.runs());
    assert.ok(run);
    const { code, stdout, stderr } = await dbackup(['cancel', run.id], { env });
    assert.equal(code, 0, stdout + stderr);
    await untilStates('cancelled');
    // The queue is asked every five seconds.
    const { rows } = await withQueue();
    assert.deepEqual(rows, ['completed']);
    await endAll();
    assert.deepEqual(await statesOfRuns(), ['cancelled']);
  });

  it('do not open the run of a message that one of them has held for longer than its fire was its own', async () => {
    const delay = { id: 'wait', type: 'delay', z: 'tab', x: 1, y: 1, wires: [['src']], pauseType: 'delay' };
    const file = work.flow({
      settings: { go: { ...missed.settings, wires: [['wait']] } },
      more: [{ ...delay, timeout: '12', timeoutUnits: 'seconds' }],
    });
    const first = await start(file);
    await until(async () => (await fires()).join() === 'active 0', PATIENCE_MS);
    first.kill('SIGSTOP');
    await start(file);
    // It goes on when the time of the message is over as well as its lease.
    await until(async () => (await fires()).join() === 'active 1', PATIENCE_MS);
    first.kill('SIGCONT');
    await untilStates('skipped', 'succeeded');
    const [skipped] = await withStore((store) => store.runs({ state: 'skipped' }));
    assert.match(skipped?.error?.message ?? '', /A run of shop was not begun here: .* another one's by now/);
    await endAll();
    const { stdout, stderr } = await first.finished;
    assert.deepEqual(
      eventsOf(stdout).filter(({ event }) => event === 'run-opened'),
      [],
    );
    assert.match(stdout + stderr, /A run of shop was not begun here/);
    assert.equal((await listedSets(work.first)).length, 1);
  });

  describe('one of which a person has told to fire', () => {
    const schedule = (overlap: string) => ({ ...missed.settings, overlap });

    /** It runs, and the planned fire comes in the second runner. */
    async function startBoth(overlap: 'skip' | 'queue'): Promise<RunnerProcess> {
      await record(Date.now());
      const press = { id: 'press', type: 'inject', z: 'tab', x: 1, y: 1, wires: [['go']], once: true };
      const first = await start(
        work.flow({
          file: 'first.json',
          // Longer than it takes to start another runner.
          rate: SLOW / 3,
          settings: { go: schedule(overlap) },
          more: [
            { ...press, onceDelay: 0.1, props: [{ p: 'payload' }], payload: 'fire', payloadType: 'str' },
          ],
        }),
      );
      await stored(first, 'near');
      await record(missed.handled);
      await start(work.flow({ rate: SLOW, settings: { go: schedule(overlap) } }));
      return first;
    }

    const record = (handled: number) => withStore((store) => store.schedule('go').restart(handled));

    it('skip the planned fire meanwhile', async () => {
      await startBoth('skip');
      await untilStates('succeeded', 'skipped');
      await endAll();
      assert.equal((await listedSets(work.first)).length, 1);
    });

    it('let the planned fire wait until that has ended', async () => {
      await startBoth('queue');
      await untilStates('succeeded', 'succeeded');
      const [second, first] = await withStore((store) => store.runs());
      assert.ok(first?.finishedAt && second && second.openedAt >= first.finishedAt);
      await endAll();
    });

    it('do not wait any longer when that one is killed, and do not begin again what a person began', async () => {
      const first = await startBoth('queue');
      await until(async () => (await fires()).includes('created 0'), PATIENCE_MS);
      first.kill('SIGKILL');
      await untilStates('failed', 'succeeded');
      await endAll();
      assert.deepEqual(await statesOfRuns(), ['failed', 'succeeded']);
    });
  });

  /** Each fire that is known: its state, and how often it was begun again. */
  async function fires(): Promise<string[]> {
    const text = `SELECT state || ' ' || retry_count AS fire FROM dbackup_queue.job`;
    // The first runner makes the table.
    const rows = await server.query<{ fire: string }>(text, `shared_${databases}`).catch(() => []);
    return rows.map(({ fire }) => fire);
  }

  async function withQueue(): Promise<{ rows: string[] }> {
    const database = `shared_${databases}`;
    const states = async () =>
      (await server.query<{ state: string }>('SELECT state::text FROM dbackup_queue.job', database)).map(
        ({ state }) => state,
      );
    await until(async () => !(await states()).includes('active'), PATIENCE_MS);
    return { rows: await states() };
  }
});
