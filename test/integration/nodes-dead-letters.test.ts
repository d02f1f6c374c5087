import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import type { JobChange, SkippedRun } from '../../lib/runs/jobs.ts';
import { openStore } from '../../lib/store/store.ts';
import { type BackupRuntime, existingRuntime } from '../../nodes/runtime.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { type NodesRuntime, startNodes } from '../support/backup-nodes.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { sampleOf } from '../support/metric-samples.ts';
import { until } from '../support/until.ts';

const MINUTE_MS = 60_000;
const NOON = Date.parse('2026-05-01T12:00:00Z');
const HOUR_MS = 60 * MINUTE_MS;

const at = (id: string, type: string, wires: readonly string[], settings: object = {}): FlowEntry => ({
  ...{ id, type, z: 'tab', x: 100, y: 100, name: id, wires: [wires] },
  ...settings,
});

describe('jobs that fail', function () {
  this.timeout(120_000);
  let root: string;
  let dataDir: string;
  /** Where the backups go, when it is there. */
  let disk: string;
  let clock: FakeClock;
  let nodes: NodesRuntime;
  let changes: JobChange[];
  let skipped: SkippedRun[];
  let told: string[];

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'dbackup-jobs-'));
    createSampleDatabase(join(root, 'shop.sqlite'), 100_000);
  });

  after(() => rmSync(root, { recursive: true, force: true }));

  beforeEach(() => {
    const folder = mkdtempSync(join(root, 'test-'));
    dataDir = join(folder, 'data');
    disk = join(folder, 'disk');
    clock = new FakeClock('2026-05-01T12:30:00Z');
    changes = [];
    skipped = [];
    told = [];
  });

  afterEach(() => nodes.stop());

  /** A job that a schedule begins every hour, and stores on a disk that is not mounted. */
  function flow(more: readonly FlowEntry[] = []): FlowEntry[] {
    const files = [join(root, 'shop.sqlite')];
    const storage = { name: 'Disk', root: disk, create: false, reserveMiB: 0 };
    return [
      { id: 'tab', type: 'tab', label: 'Test' },
      at('clock', 'dbackup-schedule', ['src'], { every: 'hours', hours: '1', minute: 0, zone: 'UTC' }),
      at('src', 'dbackup-sqlite', ['dest'], { job: 'shop', files }),
      at('dest', 'dbackup-local', ['stored'], { storage: 'disk', folder: '' }),
      at('stored', 'debug', []),
      at('catch', 'catch', ['errors'], { scope: ['src'] }),
      at('errors', 'debug', []),
      at('status', 'status', ['shown'], { scope: ['src', 'clock'] }),
      at('shown', 'debug', []),
      { id: 'disk', type: 'dbackup-local-storage', ...storage },
      ...more,
    ];
  }

  async function start(flows: readonly FlowEntry[], settings: object = {}): Promise<void> {
    nodes = await startNodes(flows, {
      clock,
      settings: { dbackup: { dataDir, retrySeconds: 0, ...settings } },
    });
    const { events } = running().engine;
    events.on('jobChanged', (change) => changes.push(change));
    events.on('runSkipped', (run) => skipped.push(run));
    running().happenings.listen(({ event }) => told.push(event));
    await clock.pass(MINUTE_MS);
  }

  const running = (): BackupRuntime => existingRuntime(nodes.runtime) ?? assert.fail();

  /** Lets the schedule fire at that hour, and waits until nothing goes on any more. */
  async function fireAt(hour: number): Promise<void> {
    const time = NOON + (hour - 12) * HOUR_MS;
    await clock.until(time);
    await until(async () => {
      await clock.pass(0);
      const view = running().watched.schedules()[0]?.schedule.watch().view;
      return view !== undefined && 'next' in view && view.next > time;
    });
    await settle();
  }

  async function settle(): Promise<void> {
    await until(async () => {
      await clock.pass(0);
      await nodes.runtime.tracker.idle();
      await running().engine.idle();
      return !running().launches.isActive('clock');
    });
  }

  async function states(): Promise<string[]> {
    const store = await running().store();
    return (await store.runs({ job: 'shop' })).map(({ state }) => state).sort();
  }

  const loud = () =>
    nodes.recorded('errors').filter(({ error }) => /is dead-lettered/.test(error?.message ?? ''));
  const shownBy = (id: string) =>
    nodes
      .recorded('shown')
      .filter(({ status }) => (status as { source?: { id?: string } }).source?.id === id)
      .map(({ status }) => (status as { text?: string }).text ?? '');
  const lastShownBy = (id: string) => shownBy(id).at(-1) ?? '';

  async function failThreeTimes(): Promise<void> {
    for (const hour of [13, 14, 15]) await fireAt(hour);
    assert.deepEqual(await states(), ['failed', 'failed', 'failed']);
  }

  it('run no more by themselves after three failures, which is told once', async () => {
    await start(flow());
    await fireAt(13);
    await fireAt(14);
    assert.equal(loud().length, 0);
    assert.deepEqual(
      changes.map(({ from, to }) => `${from} → ${to}`),
      ['healthy → failing'],
    );
    await fireAt(15);
    await until(() => loud().length === 1);
    const [message] = loud();
    assert.match(
      message?.error?.message ?? '',
      /^The job shop is dead-lettered: 3 failures in a row, the last one: dbackup-local "dest": The storage folder .*disk does not exist.*\. No schedule begins it any more: requeue it with "dbackup jobs requeue shop"/,
    );
    assert.deepEqual(
      (message?.payload as { reason?: string } | undefined)?.reason,
      'schedule',
      'with the message of the run',
    );
    const [, change] = changes;
    assert.deepEqual(
      [change?.from, change?.to, change?.cause, change?.failures, change?.errors.length],
      ['failing', 'dead-lettered', 'failed', 3, 3],
    );
    for (const hour of [16, 17]) await fireAt(hour);
    assert.deepEqual(await states(), ['failed', 'failed', 'failed', 'skipped', 'skipped']);
    assert.equal(loud().length, 1);
    assert.equal(changes.length, 2);
    await running().telling.idle();
    assert.deepEqual(
      told.filter((event) => event === 'dead-lettered' || event === 'skipped'),
      ['dead-lettered', 'skipped', 'skipped'],
    );
    assert.equal(told[told.indexOf('dead-lettered') - 1], 'failed');
    const [run] = await (await running().store()).runs({ state: 'skipped' });
    assert.match(
      run?.error?.message ?? '',
      /^The job shop is dead-lettered since 2026-05-01 15:00 UTC, after 3 failures/,
    );
    assert.deepEqual(
      skipped.map(({ runId, job, reason, nodes: ids }) => [typeof runId, job, reason, ...ids]),
      [
        ['string', 'shop', 'dead-lettered', 'src'],
        ['string', 'shop', 'dead-lettered', 'src'],
      ],
    );
    assert.match(lastShownBy('src'), /^✗ dead-lettered after 3 failures$/);
    assert.match(lastShownBy('clock'), /^✗ shop dead-lettered · next 18:00$/);
  });

  it('stay so across a restart, and show it at once', async () => {
    await start(flow());
    await failThreeTimes();
    await nodes.stop();
    await start(flow());
    await until(() => /dead-lettered/.test(lastShownBy('src')));
    await until(async () => {
      await clock.pass(MINUTE_MS);
      return /^✗ shop dead-lettered/.test(lastShownBy('clock'));
    });
    mkdirSync(disk);
    await fireAt(16);
    assert.deepEqual(await states(), ['failed', 'failed', 'failed', 'skipped']);
    assert.equal(loud().length, 0, 'it was told before the restart');
    const { text } = await running().operations.metrics();
    assert.equal(sampleOf(text, 'dbackup_job_state', { backup_job: 'shop', state: 'dead-lettered' }), 1);
  });

  it('run when a person asks for it, and by themselves again after a success', async () => {
    await start(flow());
    await failThreeTimes();
    nodes.runtime.fire('src', { topic: 'webhook' });
    await settle();
    nodes.runtime.fire('clock', { payload: 'fire' });
    await settle();
    assert.equal((await states()).filter((state) => state === 'failed').length, 5);
    assert.equal(loud().length, 1, 'a dead letter that fails again is no news');
    mkdirSync(disk);
    nodes.runtime.fire('src', {});
    await settle();
    await until(() => changes.at(-1)?.to === 'healthy');
    const last = changes.at(-1);
    assert.deepEqual([last?.from, last?.cause, last?.failures], ['dead-lettered', 'succeeded', 5]);
    await fireAt(16);
    assert.deepEqual((await states()).filter((state) => state === 'succeeded').length, 2);
    assert.deepEqual(skipped, []);
    assert.match(lastShownBy('clock'), /^next 17:00$/);
  });

  it('tell of a success after a failure that made them no dead letter yet', async () => {
    await start(flow());
    await fireAt(13);
    mkdirSync(disk);
    await fireAt(14);
    assert.deepEqual(
      changes.map(({ from, to, cause, runId }) => [from, to, cause, typeof runId]),
      [
        ['healthy', 'failing', 'failed', 'string'],
        ['failing', 'healthy', 'succeeded', 'string'],
      ],
    );
  });

  it('go on for ever where that is wanted, and as early as is wanted', async () => {
    await start(flow(), { deadLetterAfter: 0 });
    for (const hour of [13, 14, 15, 16]) await fireAt(hour);
    assert.equal((await states()).length, 4);
    await nodes.stop();
    await start(flow(), { deadLetterAfter: 1 });
    await fireAt(17);
    await until(() => loud().length === 1);
    await fireAt(18);
    assert.deepEqual((await states()).at(-1), 'skipped');
    await nodes.stop();
    await start(flow(), { deadLetterAfter: 0 });
    await fireAt(19);
    assert.equal((await states()).filter((state) => state === 'failed').length, 6);
  });

  it('run again when another process has put them back', async () => {
    await start(flow());
    await failThreeTimes();
    await fireAt(16);
    const other = await openStore(dataDir);
    await other.jobs.requeue('shop', new Date());
    await other.close();
    mkdirSync(disk);
    await fireAt(17);
    assert.deepEqual(await states(), ['failed', 'failed', 'failed', 'skipped', 'succeeded']);
    assert.match(lastShownBy('clock'), /^next 18:00$/);
  });

  it('leave out only themselves: another job behind the schedule runs', async () => {
    mkdirSync(`${disk}-2`, { recursive: true });
    const other = [
      at('src2', 'dbackup-sqlite', ['dest2'], { job: 'app', files: [join(root, 'shop.sqlite')] }),
      at('dest2', 'dbackup-local', ['stored'], { storage: 'disk2', folder: '' }),
      {
        id: 'disk2',
        type: 'dbackup-local-storage',
        name: 'B',
        root: `${disk}-2`,
        create: false,
        reserveMiB: 0,
      },
    ];
    const flows = flow(other).map((entry) =>
      entry.id === 'clock' ? { ...entry, wires: [['src', 'src2']] } : entry,
    );
    await start(flows);
    await failThreeTimes();
    await fireAt(16);
    assert.equal(nodes.recorded('stored').length, 4);
    assert.deepEqual(
      skipped.map(({ job }) => job),
      ['shop'],
    );
  });

  describe('and a jobs node', () => {
    const jobs = (settings: object) => [
      at('jobs', 'dbackup-jobs', ['answer'], settings),
      at('answer', 'debug', []),
      at('wrong', 'catch', ['wrongs'], { scope: ['jobs'] }),
      at('wrongs', 'debug', []),
    ];
    const ask = async (message: Record<string, unknown>): Promise<Record<string, unknown>[]> => {
      const count = nodes.recorded('answer').length + 1;
      nodes.runtime.fire('jobs', message);
      return (await nodes.records('answer', count)).at(-1)?.payload as Record<string, unknown>[];
    };
    const refusal = async (message: Record<string, unknown>): Promise<string> => {
      const count = nodes.recorded('wrongs').length + 1;
      nodes.runtime.fire('jobs', message);
      return (await nodes.records('wrongs', count)).at(-1)?.error?.message ?? '';
    };

    it('that puts them back: they run again', async () => {
      await start(flow(jobs({ operation: 'requeue', job: 'shop' })));
      await failThreeTimes();
      await fireAt(16);
      const [job] = await ask({});
      assert.deepEqual([job?.state, job?.failures, job?.since], ['healthy', 0, clock.text]);
      assert.deepEqual(
        [changes.at(-1)?.from, changes.at(-1)?.to, changes.at(-1)?.cause],
        ['dead-lettered', 'healthy', 'requeued'],
      );
      await until(() => lastShownBy('src') === '' && lastShownBy('clock') === 'next 17:00');
      await fireAt(17);
      assert.deepEqual(await states(), ['failed', 'failed', 'failed', 'failed', 'skipped']);
      const [again] = await running().jobs.list();
      assert.deepEqual([again?.state, again?.failures], ['failing', 1]);
    });

    it('that does what the message says', async () => {
      await start(flow(jobs({ operation: 'message' })));
      assert.deepEqual(await ask({ topic: 'list' }), []);
      await fireAt(13);
      const [job] = await ask({ topic: 'list', state: 'failing' });
      assert.deepEqual(
        [job?.job, job?.failures, (job?.errors as object[] | undefined)?.length],
        ['shop', 1, 1],
      );
      assert.deepEqual(await ask({ topic: 'list', state: 'healthy' }), []);
      const [run] = await ask({ topic: 'runs', job: 'shop', limit: 1 });
      assert.deepEqual([run?.job, run?.state], ['shop', 'failed']);
      assert.deepEqual(await ask({ topic: 'runs', state: 'skipped' }), []);
      assert.deepEqual(await ask({ topic: 'discard', job: 'shop' }), []);
      assert.deepEqual(await ask({ topic: 'list' }), []);
      assert.equal((await ask({ topic: 'runs' })).length, 1, 'the history stays');
      assert.match(await refusal({ topic: 'requeue', job: 'shop' }), /There is no job "shop"/);
      assert.match(
        await refusal({ topic: 'delete' }),
        /msg\.topic is nothing .* send list, runs, requeue or discard/,
      );
      assert.match(await refusal({ topic: 'list', state: 'dead' }), /msg\.state is nothing/);
      assert.match(await refusal({ topic: 'runs', limit: -1 }), /msg\.limit is nothing/);
      assert.match(
        await refusal({ topic: 'requeue' }),
        /does not know which job to requeue: name it in msg\.job/,
      );
    });

    it('that takes the job from the message where its settings leave it open', async () => {
      await start(flow(jobs({ operation: 'runs', job: '', runState: 'failed', limit: 5 })));
      await fireAt(13);
      assert.equal((await ask({ job: 'shop', topic: 'requeue' })).length, 1);
      assert.equal((await ask({ job: 'other' })).length, 0);
    });
  });

  it('are recorded as skipped when an earlier fire still goes on', async () => {
    mkdirSync(disk);
    const slow = flow().map((entry) => (entry.id === 'dest' ? { ...entry, rate: 0.05 } : entry));
    await start(slow);
    await clock.until('2026-05-01T13:00:00Z');
    await until(() =>
      running()
        .engine.activeRuns()
        .some(({ state }) => state === 'running'),
    );
    await clock.until('2026-05-01T14:00:00Z');
    await until(() => skipped.length === 1);
    const [run] = skipped;
    assert.deepEqual([run?.job, run?.reason, run?.nodes], ['shop', 'overlap', ['clock', 'src']]);
    const [recorded] = await (await running().store()).runs({ state: 'skipped' });
    assert.match(
      recorded?.error?.message ?? '',
      /^The fire of dbackup-schedule "clock" at 2026-05-01 14:00 was skipped: .*in: "dest" \(dbackup-local\)/,
    );
    await until(() => /^14:00 skipped: still running · next 15:00$/.test(lastShownBy('clock')));
    for (const { runId } of running().engine.activeRuns()) running().engine.cancel(runId, 'the test ends');
    await settle();
    assert.deepEqual(await (await running().store()).jobs.find('shop').then((job) => job?.state), 'healthy');
  });
});
