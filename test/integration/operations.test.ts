import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import type { HealthReport } from '../../lib/health/check.ts';
import { openStore } from '../../lib/store/store.ts';
import { type NodesRuntime, startNodes } from '../support/backup-nodes.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { sampleOf } from '../support/metric-samples.ts';
import { backupFlow } from '../support/runner-flows.ts';
import { until } from '../support/until.ts';

describe('health and metrics in Node-RED without its editor', function () {
  this.timeout(120_000);
  let root: string;
  let dataDir: string;
  let nodes: NodesRuntime | undefined;

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'dbackup-operations-'));
    createSampleDatabase(join(root, 'shop.sqlite'), 300_000);
  });

  after(() => rmSync(root, { recursive: true, force: true }));

  beforeEach(() => {
    dataDir = mkdtempSync(join(root, 'data-'));
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
  });

  const places = () => ({
    database: join(root, 'shop.sqlite'),
    first: mkdtempSync(join(root, 'first-')),
    second: mkdtempSync(join(root, 'second-')),
  });

  function flow() {
    const schedule = { every: 'hours', hours: '1', minute: 0, zone: 'UTC', schemaVersion: 1 };
    const at = { z: 'tab', x: 1, y: 1, wires: [['src']] };
    return [
      ...backupFlow(places(), { key: null }),
      { id: 'clock', type: 'dbackup-schedule', name: 'hourly', ...at, ...schedule },
    ];
  }

  async function start(settings: object = {}, clock = new FakeClock(Date.now())): Promise<string> {
    const dbackup = { dataDir, minFreeMiB: 0, ...settings };
    nodes = await startNodes(flow(), { http: { port: 0 }, clock, settings: { dbackup } });
    assert.ok(nodes.runtime.url !== undefined);
    return nodes.runtime.url;
  }

  const ready = async (url: string) => {
    const answer = await fetch(`${url}/readyz`);
    return { status: answer.status, report: (await answer.json()) as HealthReport };
  };
  const page = async (url: string) => (await fetch(`${url}/metrics`)).text();

  it('answers that it lives and is ready, with every check', async () => {
    const clock = new FakeClock('2026-05-01T12:30:00Z');
    const url = await start({}, clock);
    const alive = await fetch(`${url}/healthz`);
    assert.equal(alive.status, 200);
    assert.equal(((await alive.json()) as { state: string }).state, 'ok');
    // The schedule looks at the clock for the first time.
    await clock.pass(2000);
    await until(async () =>
      (await ready(url)).report.checks.every(
        ({ message }) => !/being asked|being opened|is starting/.test(message),
      ),
    );
    const { status, report } = await ready(url);
    assert.equal(status, 200, JSON.stringify(report));
    const checks = report.checks.map(({ name, subject, state }) => [name, subject, state]);
    assert.deepEqual(checks, [
      ['flows', undefined, 'ok'],
      ['store', undefined, 'ok'],
      ['engine', undefined, 'ok'],
      ['queue', undefined, 'ok'],
      ['schedule', 'hourly', 'ok'],
      ['free-space', 'near', 'ok'],
      ['free-space', 'far', 'ok'],
    ]);
    assert.match(report.checks[4]?.message ?? '', /2026-05-01T13:00:00\.000Z/);
    clock.set('2026-05-01T12:45:00Z');
    assert.equal((await ready(url)).status, 503, 'the schedule has not looked at the clock for long');
  });

  it('is not ready when a destination has less free space than is asked for', async () => {
    const url = await start({ minFreeMiB: 2 ** 30 });
    await until(async () => (await ready(url)).status === 503);
    const { report } = await ready(url);
    const failed = report.checks.filter(({ state }) => state === 'fail');
    assert.deepEqual(
      failed.map(({ name, subject }) => [name, subject]),
      [
        ['free-space', 'near'],
        ['free-space', 'far'],
      ],
    );
  });

  it('counts runs, and remembers the last success across a restart', async () => {
    const first = await start();
    assert.equal(
      sampleOf(await page(first), 'dbackup_runs_total', { backup_job: 'shop', state: 'succeeded' }),
      0,
    );
    nodes?.runtime.fire('go');
    const succeeded = { backup_job: 'shop', state: 'succeeded' };
    await until(async () => sampleOf(await page(first), 'dbackup_runs_total', succeeded) === 1);
    const text = await page(first);
    const shop = { backup_job: 'shop' };
    const near = { backup_job: 'shop', destination: 'near' };
    assert.equal(sampleOf(text, 'dbackup_run_duration_seconds_count', shop), 1);
    assert.equal(sampleOf(text, 'dbackup_job_last_run_succeeded', shop), 1);
    assert.equal(sampleOf(text, 'dbackup_destination_attempts_total', near), 1);
    const raw = sampleOf(text, 'dbackup_destination_raw_bytes_total', near) ?? 0;
    const stored = sampleOf(text, 'dbackup_destination_stored_bytes_total', near) ?? 0;
    assert.ok(raw >= 300_000 && stored > 0 && stored < raw, `${raw} ${stored}`);
    assert.equal(sampleOf(text, 'dbackup_runs_active', { state: 'running' }), 0);
    assert.equal(sampleOf(text, 'dbackup_ready', {}), 1);
    assert.ok(Number(sampleOf(text, 'dbackup_destination_free_bytes', { destination: 'near' })) > 0);
    assert.ok(!text.includes(root), 'no path is told');
    const success = sampleOf(text, 'dbackup_job_last_success_timestamp_seconds', shop);
    assert.ok(success !== undefined);
    await nodes?.stop();
    nodes = undefined;

    const store = await openStore(dataDir);
    await store.journal.opened({ id: 'gone', job: 'of an old flow', openedAt: new Date() });
    const ended = { state: 'succeeded', openedAt: new Date(), finishedAt: new Date(), rawBytes: 1 } as const;
    await store.journal.finished({
      runId: 'gone',
      job: 'of an old flow',
      ...ended,
      artifacts: [],
      destinations: [],
    });
    await store.close();
    const again = await page(await start());
    assert.equal(sampleOf(again, 'dbackup_job_last_success_timestamp_seconds', shop), success);
    assert.equal(sampleOf(again, 'dbackup_runs_total', succeeded), 0, 'counters begin again');
    assert.ok(!again.includes('of an old flow'));
  });

  it('forgets the last run of a job that a deploy has taken away', async () => {
    const url = await start();
    nodes?.runtime.fire('go');
    const success = async (job: string) =>
      sampleOf(await page(url), 'dbackup_job_last_success_timestamp_seconds', { backup_job: job });
    await until(async () => (await success('shop')) !== undefined);
    const renamed = (job: string) => flow().map((node) => (node.id === 'src' ? { ...node, job } : node));
    await nodes?.runtime.deploy(renamed('store'), 'full');
    assert.equal(await success('shop'), undefined);
    await nodes?.runtime.deploy(renamed('shop'), 'full');
    assert.notEqual(await success('shop'), undefined, 'the history knows it');
  });

  it('tells when schedules fire', async () => {
    const clock = new FakeClock('2026-05-01T12:30:00Z');
    const url = await start({}, clock);
    await clock.pass(2000);
    const next = 'dbackup_schedule_next_fire_timestamp_seconds';
    const fires = Date.parse('2026-05-01T13:00:00Z') / 1000;
    await until(async () => sampleOf(await page(url), next, { schedule: 'hourly' }) === fires);
    const text = await page(url);
    assert.equal(sampleOf(text, 'dbackup_schedule_paused', { schedule: 'hourly' }), 0);
    assert.equal(sampleOf(text, 'dbackup_schedule_lag_seconds', { schedule: 'hourly' }), 0);
  });

  it('answers only questions: everything else goes to the flow', async () => {
    const url = await start();
    assert.equal((await fetch(`${url}/metrics`, { method: 'POST' })).status, 404);
    assert.equal((await fetch(`${url}/healthz/more`)).status, 404);
    assert.equal((await fetch(`${url}/readyz?verbose`)).status, 200);
    assert.equal((await fetch(`${url}/healthz`, { method: 'HEAD' })).status, 200);
  });
});
