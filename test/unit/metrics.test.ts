import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BackupError } from '../../lib/errors.ts';
import { METRICS } from '../../lib/metrics/catalogue.ts';
import { LabelBound } from '../../lib/metrics/label-bound.ts';
import { prometheusLibrary } from '../../lib/metrics/prometheus-library.ts';
import { MetricRegistry } from '../../lib/metrics/registry.ts';
import { RunMetrics } from '../../lib/metrics/run-metrics.ts';
import { setStanding } from '../../lib/metrics/state-metrics.ts';
import type { EngineEvents, RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import type { RunState } from '../../lib/runs/states.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { sampleOf } from '../support/metric-samples.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const DOCS = join(import.meta.dirname, '..', '..', 'docs');
const NOW = Date.parse('2026-05-01T12:00:00Z');
const SHOP = { backup_job: 'shop' };

describe('metrics', () => {
  let registry: MetricRegistry;
  let events: EventEmitter<EngineEvents>;
  let runs: RunMetrics;

  beforeEach(async () => {
    registry = new MetricRegistry(await prometheusLibrary());
    events = new EventEmitter();
    runs = new RunMetrics(registry, events, (node) => `disk ${node}`);
  });

  it('count runs by job and state, from 0 on', async () => {
    runs.know('shop');
    for (const state of ['succeeded', 'partial', 'failed', 'cancelled']) {
      assert.equal(
        sampleOf(await registry.text(), 'dbackup_runs_total', { backup_job: 'shop', state }),
        0,
        state,
      );
    }
    events.emit('finished', result({ state: 'failed' }));
    events.emit('finished', result({ runId: 'r2', state: 'failed' }));
    assert.equal(
      sampleOf(await registry.text(), 'dbackup_runs_total', { backup_job: 'shop', state: 'failed' }),
      2,
    );
  });

  it('measure runs in seconds and bytes', async () => {
    events.emit('finished', result({ rawBytes: 5e6 }));
    events.emit('finished', result({ runId: 'r2', rawBytes: 1, state: 'failed' }));
    const text = await registry.text();
    assert.equal(sampleOf(text, 'dbackup_run_duration_seconds_sum', SHOP), 180);
    assert.equal(sampleOf(text, 'dbackup_run_duration_seconds_bucket', { ...SHOP, le: '60' }), 0);
    assert.equal(sampleOf(text, 'dbackup_run_duration_seconds_bucket', { ...SHOP, le: '300' }), 2);
    assert.equal(sampleOf(text, 'dbackup_run_raw_bytes_count', SHOP), 1, 'only of what was stored');
    assert.equal(sampleOf(text, 'dbackup_job_last_run_raw_bytes', SHOP), 1);
    assert.equal(sampleOf(text, 'dbackup_job_last_run_duration_seconds', SHOP), 90);
  });

  it('keep the last success while later runs fail', async () => {
    events.emit('finished', result({}));
    const later = new Date(NOW + 3600_000);
    events.emit('finished', result({ runId: 'r2', state: 'failed', finishedAt: later }));
    const text = await registry.text();
    assert.equal(sampleOf(text, 'dbackup_job_last_success_timestamp_seconds', SHOP), NOW / 1000);
    assert.equal(sampleOf(text, 'dbackup_job_last_run_timestamp_seconds', SHOP), NOW / 1000 + 3600);
    assert.equal(sampleOf(text, 'dbackup_job_last_run_succeeded', SHOP), 0);
  });

  it('recall what the history knows; a job that never succeeded has no last success', async () => {
    const last = { openedAt: '2026-05-01T11:59:00Z', finishedAt: '2026-05-01T12:00:00Z', rawBytes: null };
    runs.recall({ job: 'shop', state: 'failed', ...last, succeededAt: '2026-04-30T12:00:00Z' });
    runs.recall({ job: 'new', state: 'failed', ...last, succeededAt: null });
    const text = await registry.text();
    const success = 'dbackup_job_last_success_timestamp_seconds';
    assert.equal(sampleOf(text, success, SHOP), NOW / 1000 - 86_400);
    assert.equal(sampleOf(text, success, { backup_job: 'new' }), undefined);
    assert.equal(sampleOf(text, 'dbackup_job_last_run_duration_seconds', SHOP), 60);
  });

  it('tell of each destination: attempts, failures, raw and stored bytes', async () => {
    const set = {
      reference: { node: 'a', storage: 'file:///a', path: 'shop/x', status: 'complete' },
      manifest: sampleManifest(),
      healed: false,
    } as const;
    const error = new BackupError('no-space', 'It is full');
    const destinations = [
      { node: 'a', label: 'a', set, attempts: 3 },
      { node: 'b', label: 'b', error },
    ];
    const artifacts = [
      { node: 's', database: 'one' },
      { node: 's', database: 'two', error },
    ];
    events.emit('finished', result({ state: 'partial', destinations, artifacts }));
    const text = await registry.text();
    const of = (name: string, node: string) => sampleOf(text, name, { ...SHOP, destination: `disk ${node}` });
    assert.equal(of('dbackup_destination_attempts_total', 'a'), 3);
    assert.equal(of('dbackup_destination_failures_total', 'a'), 0);
    assert.equal(of('dbackup_destination_failures_total', 'b'), 1);
    assert.ok(Number(of('dbackup_destination_raw_bytes_total', 'a')) > 0);
    assert.ok(Number(of('dbackup_destination_stored_bytes_total', 'a')) > 0);
    assert.equal(of('dbackup_destination_stored_bytes_total', 'b'), 0);
    assert.equal(sampleOf(text, 'dbackup_databases_failed_total', SHOP), 1);
  });

  it('count each pause before a new attempt once, however often it is told of', async () => {
    for (const [nodes, attempt] of [
      [['a', 'b'], 2],
      [['b', 'a'], 2],
      [['a', 'b'], 3],
      [['src'], 2],
    ] as const) {
      events.emit('progress', waiting({ nodes, attempt, attempts: 5, seconds: 3 }));
      events.emit('progress', waiting({ nodes, attempt, attempts: 5, seconds: 2 }));
    }
    assert.equal(sampleOf(await registry.text(), 'dbackup_retries_total', SHOP), 3);
    events.emit('finished', result({}));
    events.emit('progress', waiting({ nodes: ['src'], attempt: 2, attempts: 5, seconds: 1 }));
    assert.equal(sampleOf(await registry.text(), 'dbackup_retries_total', SHOP), 4, 'the next run');
  });

  it('measure how long runs waited for their turn, as far as it came', async () => {
    const clock = new FakeClock(NOW);
    const queue = new EventEmitter<EngineEvents>();
    new RunMetrics(registry, queue, (node) => node, clock);
    const enter = (runId: string, state: RunState) =>
      queue.emit('state', { runId, job: 'shop', state, nodes: [] });
    enter('a', 'queued');
    enter('b', 'queued');
    await clock.pass(7_000);
    enter('a', 'running');
    enter('b', 'cancelled');
    enter('a', 'verifying');
    const text = await registry.text();
    assert.equal(sampleOf(text, 'dbackup_queue_wait_seconds_sum', SHOP), 7);
    assert.equal(sampleOf(text, 'dbackup_queue_wait_seconds_count', SHOP), 1);
    assert.equal(sampleOf(text, 'dbackup_queue_wait_seconds_bucket', { ...SHOP, le: '5' }), 0);
  });

  it('tell how things stand: what is gone is not told of any more', async () => {
    const watch = { lookedAt: NOW, latenessMs: 2000 };
    const none = { now: NOW, ready: true, active: [], jobs: [], destinations: [], schedules: [] };
    setStanding(registry, {
      ...none,
      ready: false,
      active: ['running', 'running', 'queued'],
      jobs: [
        { name: 'shop', state: 'dead-lettered' },
        { name: 'app', state: 'healthy' },
      ],
      destinations: [
        { name: 'near', freeBytes: 5 },
        { name: 'far', freeBytes: undefined },
      ],
      schedules: [
        { name: 'hourly', watch: { ...watch, view: { state: 'waiting', next: NOW + 5000 } } },
        { name: 'late', watch: { ...watch, view: { state: 'waiting', next: NOW - 60_000 } } },
        { name: 'queued', watch: { ...watch, view: { state: 'queued', at: NOW - 9000 } } },
        { name: 'off', watch: { ...watch, view: { state: 'paused' } } },
      ],
    });
    const text = await registry.text();
    assert.equal(sampleOf(text, 'dbackup_ready', {}), 0);
    assert.equal(sampleOf(text, 'dbackup_runs_active', { state: 'running' }), 2);
    assert.equal(sampleOf(text, 'dbackup_runs_active', { state: 'planning' }), 0);
    assert.equal(sampleOf(text, 'dbackup_queue_depth', {}), 1);
    const states = ['healthy', 'failing', 'dead-lettered'];
    const jobStates = (job: string) =>
      states.map((state) => sampleOf(text, 'dbackup_job_state', { backup_job: job, state }));
    assert.deepEqual(
      [jobStates('shop'), jobStates('app')],
      [
        [0, 0, 1],
        [1, 0, 0],
      ],
    );
    assert.equal(sampleOf(text, 'dbackup_destination_free_bytes', { destination: 'near' }), 5);
    assert.equal(sampleOf(text, 'dbackup_destination_free_bytes', { destination: 'far' }), undefined);
    const lag = (schedule: string) => sampleOf(text, 'dbackup_schedule_lag_seconds', { schedule });
    assert.deepEqual(['hourly', 'late', 'queued'].map(lag), [2, 60, 9]);
    assert.equal(sampleOf(text, 'dbackup_schedule_paused', { schedule: 'off' }), 1);
    const next = (schedule: string) =>
      sampleOf(text, 'dbackup_schedule_next_fire_timestamp_seconds', { schedule });
    assert.deepEqual([next('hourly'), next('off')], [NOW / 1000 + 5, undefined]);

    setStanding(registry, none);
    const after = await registry.text();
    assert.equal(sampleOf(after, 'dbackup_job_state', { ...SHOP, state: 'dead-lettered' }), undefined);
    assert.equal(sampleOf(after, 'dbackup_destination_free_bytes', { destination: 'near' }), undefined);
    assert.equal(sampleOf(after, 'dbackup_schedule_paused', { schedule: 'off' }), undefined);
  });

  it('count dead letters and skipped runs, from 0 on', async () => {
    runs.know('shop');
    const change = { job: 'shop', failures: 3, at: new Date(NOW), errors: [] };
    const skipped = { runId: 'r2', job: 'shop', at: new Date(NOW), message: 'm', nodes: [] };
    const of = async (name: string, labels: object) =>
      sampleOf(await registry.text(), name, { ...SHOP, ...labels });
    assert.equal(await of('dbackup_dead_letters_total', {}), 0);
    assert.equal(await of('dbackup_runs_skipped_total', { reason: 'overlap' }), 0);
    events.emit('jobChanged', { ...change, from: 'healthy', to: 'failing', cause: 'failed' });
    events.emit('jobChanged', { ...change, from: 'failing', to: 'dead-lettered', cause: 'failed' });
    events.emit('jobChanged', { ...change, from: 'dead-lettered', to: 'healthy', cause: 'requeued' });
    for (const reason of ['dead-lettered', 'dead-lettered', 'overlap'] as const) {
      events.emit('runSkipped', { ...skipped, reason });
    }
    assert.equal(await of('dbackup_dead_letters_total', {}), 1);
    assert.equal(await of('dbackup_runs_skipped_total', { reason: 'dead-lettered' }), 2);
    assert.equal(await of('dbackup_runs_skipped_total', { reason: 'overlap' }), 1);
  });

  it('have labels with a bounded number of values', async () => {
    const bound = new LabelBound(2);
    assert.deepEqual(
      ['a', 'b', 'c', 'a', 'd'].map((value) => bound.value(value)),
      ['a', 'b', 'others', 'a', 'others'],
    );
    for (let job = 0; job < 1000; job += 1) runs.know(`job ${job}`);
    const series = (await registry.text())
      .split('\n')
      .filter((line) => line.startsWith('dbackup_retries_total'));
    assert.equal(series.length, 201);
  });

  it('are the ones that docs/metrics.md lists', () => {
    const rows = readFileSync(join(DOCS, 'metrics.md'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `dbackup_'));
    const documented = rows.map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
    const real = Object.entries(METRICS).map(([name, { type, labels, help }]) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ]);
    assert.deepEqual(documented, real);
  });

  function waiting(retry: RunProgress['retry'] & object): RunProgress {
    const bytes = { rawBytes: 0, rate: 0, storedBytes: {} };
    const place = { database: 'd', index: 1, count: 1, nodes: [] };
    return { runId: 'r1', job: 'shop', stage: 'waiting', retry, ...place, ...bytes };
  }

  function result(more: Partial<RunResult>): RunResult {
    const openedAt = new Date((more.finishedAt?.getTime() ?? NOW) - 90_000);
    return {
      runId: 'r1',
      job: 'shop',
      state: 'succeeded',
      openedAt,
      finishedAt: new Date(NOW),
      rawBytes: 1,
      artifacts: [],
      destinations: [],
      ...more,
    };
  }
});
