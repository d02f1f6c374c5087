import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { openStore } from '../../lib/store/store.ts';
import { MissedSchedule } from '../support/missed-schedule.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';

interface Listed {
  readonly job: string;
  readonly state: string;
  readonly failures: number;
  readonly lastSuccessAt: string | null;
  readonly errors: readonly { readonly message: string }[];
}

describe('dbackup with a job that fails', function () {
  this.timeout(240_000);
  const missed = new MissedSchedule();
  let work: RunnerWorkspace;
  let running: RunnerProcess | undefined;

  beforeEach(() => {
    work = new RunnerWorkspace(10_000);
    // The disk of the only destination is not mounted.
    rmSync(work.first, { recursive: true });
  });

  afterEach(async () => {
    running?.kill('SIGKILL');
    await running?.finished;
    running = undefined;
    work.remove();
  });

  const ask = (...args: string[]) => dbackup(args, { env: work.env() });
  const flow = (settings: object = {}) =>
    work.flow({ key: null, stores: ['near'], settings: { go: { ...missed.settings }, ...settings } });
  /** Runs it by hand so often, in a process each. */
  async function runs(count: number): Promise<void> {
    for (let run = 0; run < count; run++) {
      const { code, stderr } = await ask('run', flow(), '--attempts', '1');
      assert.equal(code, 1, stderr);
    }
  }
  async function listed(): Promise<Listed | undefined> {
    const { code, stdout, stderr } = await ask('jobs', '--json');
    assert.equal(code, 0, stderr);
    return (JSON.parse(stdout) as { jobs: Listed[] }).jobs[0];
  }
  const states = async () => {
    const { stdout } = await ask('runs', '--json');
    return (JSON.parse(stdout) as { runs: { state: string }[] }).runs.map(({ state }) => state).sort();
  };

  it('counts its failures over several processes, begins it no more by itself, and begins it again when it is put back', async () => {
    await runs(3);
    const dead = await listed();
    assert.deepEqual(
      [dead?.job, dead?.state, dead?.failures, dead?.lastSuccessAt, dead?.errors.length],
      ['shop', 'dead-lettered', 3, null, 3],
    );
    await missed.recordIn(work.data, 'go');
    running = new RunnerProcess(['serve', flow(), '--port', '0', '--json'], { env: work.env() });
    await running.seen((stdout) => (/is dead-lettered since/.test(stdout) ? true : undefined));
    running.kill('SIGTERM');
    const { stdout } = await running.finished;
    assert.deepEqual(
      eventsOf(stdout).filter(({ event }) => event === 'run-opened'),
      [],
    );
    assert.deepEqual(await states(), ['failed', 'failed', 'failed', 'skipped']);
    const skipped = await ask('runs', '--state', 'skipped');
    assert.match(skipped.stdout, /skipped .*The job shop is dead-lettered since 20.*after 3 failures/);

    const requeued = await ask('jobs', 'requeue', 'shop');
    assert.equal(requeued.code, 0, requeued.stderr);
    assert.match(requeued.stdout, /^shop is requeued/);
    assert.deepEqual([(await listed())?.state, (await listed())?.failures], ['healthy', 0]);
    await missed.recordIn(work.data, 'go');
    running = new RunnerProcess(['serve', flow(), '--port', '0', '--json'], { env: work.env() });
    assert.equal((await running.event('run-finished')).state, 'failed', 'the disk is still not there');
    running.kill('SIGTERM');
    await running.finished;
    assert.equal((await listed())?.state, 'failing');
  });

  it('shows it with its errors, and forgets it', async () => {
    await runs(1);
    const table = await ask('jobs');
    assert.match(
      table.stdout,
      /^JOB +STATE +FAILURES +SINCE +LAST SUCCESS +LAST ERROR\nshop +failing +1 +20/,
    );
    assert.match(table.stdout, / never +dbackup-local "near": The storage folder .* does not exist/);
    const shown = await ask('jobs', 'show', 'shop');
    assert.match(shown.stdout, /^State +failing since 20.*\nFailures +1 in a row$/m);
    assert.match(shown.stdout, /^RUN +FAILED +ERROR\n20\w+_\w+ +20.* dbackup-local "near"/m);
    assert.equal((await ask('jobs', '--state', 'dead-lettered')).stdout, 'No job is dead-lettered\n');
    assert.equal((await ask('jobs', 'discard', 'shop')).code, 0);
    assert.equal((await ask('jobs')).stdout, 'No job has run\n');
    assert.deepEqual(await states(), ['failed'], 'the history stays');
  });

  it('says what is wrong with a question, and makes no history by one', async () => {
    for (const args of [
      ['show', 'shop'],
      ['requeue', 'shop'],
      ['discard', 'shop'],
    ]) {
      const { code, stderr } = await ask('jobs', ...args);
      assert.equal(code, 1);
      assert.match(stderr, /There is no job "shop": dbackup jobs lists those that have run/);
    }
    assert.equal((await ask('jobs')).stdout, 'No job has run\n');
    assert.equal(existsSync(work.data), false);
    assert.equal((await ask('jobs', '--state', 'broken')).code, 2);
    const wrong = await dbackup(['run', flow()], { env: work.env({ DBACKUP_DEAD_LETTER_AFTER: 'never' }) });
    assert.match(wrong.stderr, /DBACKUP_DEAD_LETTER_AFTER is "never": give it a number of failures/);
  });

  it('takes the number of failures from the environment', async () => {
    const env = work.env({ DBACKUP_DEAD_LETTER_AFTER: '1' });
    await dbackup(['run', flow(), '--attempts', '1'], { env });
    assert.equal((await listed())?.state, 'dead-lettered');
    const store = await openStore(work.data);
    const found = await store.jobs.find('shop');
    await store.close();
    assert.equal(found?.failures, 1);
  });
});
