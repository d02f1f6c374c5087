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

  async function startThree(): Promise<void> {
    const file = flow();
    for (let count = 0; count < 3; count += 1) {
      runners.push(new RunnerProcess(['serve', file, '--port', '0', '--json'], { env }));
    }
    await Promise.all(runners.map((runner) => runner.event('listening')));
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
