import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { BackupError } from '../../lib/errors.ts';
import type { JobOccurrence } from '../../lib/runs/jobs.ts';
import type { Store } from '../../lib/store/store.ts';
import { describeStores } from '../support/stores.ts';

const NOW = Date.parse('2026-05-01T12:00:00Z');
const HOUR_MS = 3_600_000;

describeStores('what the store keeps of jobs', (testStore) => {
  let runs = 0;
  const children: ChildProcess[] = [];
  const open = () => testStore.open();

  /** Lets something happen to the job `shop`, as many hours after noon. */
  const happen = (store: Store, occurrence: JobOccurrence, hours = 0, deadLetterAfter = 3) =>
    store.jobs.record({ job: 'shop', occurrence, at: new Date(NOW + hours * HOUR_MS), deadLetterAfter });

  async function failedRun(store: Store, hours: number, why: string): Promise<void> {
    const at = new Date(NOW + hours * HOUR_MS);
    const runId = `run-${++runs}`;
    await store.journal.opened({ id: runId, job: 'shop', openedAt: at });
    await store.journal.finished({
      runId,
      job: 'shop',
      state: 'failed',
      openedAt: at,
      finishedAt: at,
      rawBytes: 0,
      artifacts: [{ node: 's', database: 'db' }],
      destinations: [{ node: 'd', label: 'Disk', error: new BackupError('unavailable', why) }],
    });
    await happen(store, 'failed', hours);
  }

  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  it('counts failures across restarts, and since when the job is in its state', async () => {
    const first = await open();
    await happen(first, 'failed', 0);
    await happen(first, 'failed', 1);
    await first.close();
    const store = await open();
    assert.deepEqual(await store.jobs.find('shop'), {
      state: 'failing',
      failures: 2,
      since: '2026-05-01T12:00:00.000Z',
    });
    const step = await happen(store, 'failed', 2);
    assert.equal(step.before.state, 'failing');
    assert.deepEqual(step.after, { state: 'dead-lettered', failures: 3 });
    assert.deepEqual((await store.jobs.find('shop'))?.since, '2026-05-01T14:00:00.000Z');
    assert.equal(await store.jobs.find('other'), undefined);
  });

  it('lists jobs by name, with the errors of those that are not healthy', async () => {
    const store = await open();
    for (const [index, why] of ['no route', 'no login', 'no space'].entries()) {
      await failedRun(store, index, why);
    }
    await store.jobs.record({ job: 'app', occurrence: 'succeeded', at: new Date(NOW), deadLetterAfter: 3 });
    const [app, shop] = await store.jobs.list();
    assert.deepEqual([app?.job, app?.state, app?.errors], ['app', 'healthy', []]);
    assert.deepEqual(
      shop?.errors.map(({ at, code, message }) => `${at.slice(11, 16)} ${code} ${message}`),
      [
        '14:00 unavailable Disk: no space',
        '13:00 unavailable Disk: no login',
        '12:00 unavailable Disk: no route',
      ],
    );
    assert.deepEqual(shop?.lastRun, { state: 'failed', finishedAt: '2026-05-01T14:00:00.000Z' });
    assert.equal(shop?.lastSuccessAt, null);
    assert.equal((await store.jobs.list({ job: 'shop', errors: 2 }))[0]?.errors.length, 2);
    assert.deepEqual(
      (await store.jobs.list({ state: 'dead-lettered' })).map(({ job }) => job),
      ['shop'],
    );
  });

  it('puts a job back, and forgets one, but none that it does not know', async () => {
    const store = await open();
    for (const hours of [0, 1, 2]) await happen(store, 'failed', hours);
    const step = await store.jobs.requeue('shop', new Date(NOW + 3 * HOUR_MS));
    assert.deepEqual(step.after, { state: 'healthy', failures: 0 });
    assert.equal((await store.jobs.find('shop'))?.since, '2026-05-01T15:00:00.000Z');
    await happen(store, 'failed', 4);
    assert.deepEqual(await store.jobs.discard('shop'), { state: 'failing', failures: 1 });
    assert.equal(await store.jobs.find('shop'), undefined);
    await assert.rejects(store.jobs.discard('shop'), /There is no job "shop"/);
    await assert.rejects(store.jobs.requeue('shop', new Date(NOW)), /There is no job "shop"/);
    assert.deepEqual(await store.jobs.list(), [], 'a question makes no job');
    assert.deepEqual((await happen(store, 'failed', 5)).after, { state: 'failing', failures: 1 });
  });

  it('keeps skipped runs in the history, and apart from what has run', async () => {
    const store = await open();
    await failedRun(store, 0, 'no route');
    const at = new Date(NOW + HOUR_MS);
    await store.skipped({ runId: 'skipped-1', job: 'shop', at, reason: 'overlap', message: 'It still runs' });
    const [skipped, failed] = await store.runs({ job: 'shop' });
    assert.equal(skipped?.state, 'skipped');
    assert.equal(skipped?.openedAt, skipped?.finishedAt);
    assert.equal(skipped?.error?.message, 'It still runs');
    assert.equal(failed?.state, 'failed');
    assert.deepEqual(
      (await store.lastRuns()).map(({ state }) => state),
      ['failed'],
    );
    assert.deepEqual(
      (await store.runs({ state: 'skipped' })).map(({ id }) => id),
      ['skipped-1'],
    );
  });

  it('loses no failure of several processes, and makes a dead letter once', async function () {
    this.timeout(120_000);
    const script = fileURLToPath(new URL('job-counting-process.ts', import.meta.url));
    const counters = [1, 2, 3].map(() => {
      const child = spawn(process.execPath, [script, testStore.dataDir, '40', '60'], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, ...testStore.env },
      });
      children.push(child);
      return child;
    });
    const outputs = await Promise.all(counters.map(answerOf));
    const entered = outputs.map((output) => Number(output));
    assert.equal(
      entered.reduce((sum, each) => sum + each),
      1,
      `entered by ${entered.join(', ')}`,
    );
    const store = await open();
    const found = await store.jobs.find('shop');
    assert.deepEqual([found?.state, found?.failures], ['dead-lettered', 120]);
  });
});

async function answerOf(child: ChildProcess): Promise<string> {
  let output = '';
  child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  return output;
}
