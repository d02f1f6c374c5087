import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import type { BackupEvent, EventName } from '../../lib/events/run-event.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { type NodesRuntime, payloadOf, startNodes } from '../support/backup-nodes.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { backupFlow } from '../support/runner-flows.ts';
import { until } from '../support/until.ts';

type Event<Name extends EventName> = BackupEvent & { readonly event: Name };

const ALL: readonly EventName[] = [
  'started',
  'progress',
  'succeeded',
  'partial',
  'failed',
  'cancelled',
  'recovered',
  'storage-threshold',
  'schedule-missed',
];

describe('run events nodes in Node-RED', function () {
  this.timeout(120_000);
  let root: string;
  let dataDir: string;
  let places: { database: string; first: string; second: string };
  let nodes: NodesRuntime | undefined;

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'dbackup-events-'));
    createSampleDatabase(join(root, 'shop.sqlite'), 500_000);
  });

  after(() => rmSync(root, { recursive: true, force: true }));

  beforeEach(() => {
    dataDir = mkdtempSync(join(root, 'data-'));
    const folder = (name: string) => mkdtempSync(join(root, `${name}-`));
    places = { database: join(root, 'shop.sqlite'), first: folder('first'), second: folder('second') };
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
  });

  const at = (id: string, type: string, wires: readonly string[], settings: object): FlowEntry => ({
    ...{ id, type, z: 'tab', x: 1, y: 1, name: id, schemaVersion: 1 },
    wires: [wires],
    ...settings,
  });
  const listener = (id: string, settings: object = {}) => [
    at(id, 'dbackup-run-events', [`${id} got`], {
      events: ALL,
      jobs: [],
      severity: 'info',
      onChange: false,
      ...settings,
    }),
    at(`${id} got`, 'debug', [], {}),
  ];

  async function start(more: readonly FlowEntry[], settings: object = {}, options: object = {}) {
    const flow = backupFlow(places, { key: null, more, settings: settings as never });
    nodes = await startNodes(flow, {
      settings: { dbackup: { dataDir, minFreeMiB: 0, schedules: false, ...options } },
    });
    return nodes;
  }

  /** Backs up, and waits until everything that follows is done, as `dbackup run` does. */
  async function backUp(): Promise<void> {
    const { existingRuntime } = await import('../../nodes/runtime.ts');
    const runtime = nodes?.runtime;
    assert.ok(runtime !== undefined);
    const backup = existingRuntime(runtime);
    runtime.fire('go');
    await runtime.tracker.idle();
    await backup?.engine.idle();
    await backup?.telling.idle();
    await runtime.tracker.idle();
  }

  const events = (id: string) =>
    (nodes?.recorded(`${id} got`) ?? []).map((message) => payloadOf<BackupEvent>(message));
  const names = (id: string) =>
    events(id)
      .map(({ event }) => event)
      .filter((event) => event !== 'progress');
  function only<Name extends EventName>(id: string, name: Name): Event<Name> {
    const found = events(id).filter((event): event is Event<Name> => event.event === name);
    assert.equal(found.length, 1, `${name}: ${names(id)}`);
    return found[0] as Event<Name>;
  }

  it('tell of a run, from its beginning to its end', async () => {
    await start(listener('all'));
    await backUp();
    assert.deepEqual(names('all'), ['started', 'succeeded']);
    const [first] = nodes?.recorded('all got') ?? [];
    assert.deepEqual(Object.keys(first ?? {}).sort(), ['_msgid', 'payload', 'topic']);
    assert.equal(first?.topic, 'started');
    const progress = events('all').filter(({ event }) => event === 'progress');
    assert.ok(progress.length >= 1, 'it got on');
    const ended = only('all', 'succeeded');
    assert.deepEqual([ended.job, ended.trigger, ended.severity], ['shop', 'message', 'info']);
    assert.ok(ended.durationSeconds > 0 && ended.rawBytes >= 500_000);
    const [database] = ended.databases;
    assert.deepEqual(ended.databases.length, 1);
    assert.deepEqual([database?.name, database?.rawBytes], ['shop.sqlite', ended.rawBytes]);
    assert.deepEqual(
      ended.destinations.map(({ label, status, attempts, verified, storage }) => ({
        label,
        status,
        attempts,
        verified,
        storage,
      })),
      [
        {
          label: 'dbackup-local "near"',
          status: 'complete',
          attempts: 1,
          verified: false,
          storage: `file://${places.first}`,
        },
        {
          label: 'dbackup-local "far"',
          status: 'complete',
          attempts: 1,
          verified: false,
          storage: `file://${places.second}`,
        },
      ],
    );
    assert.ok(ended.destinations.every(({ path, storedBytes = 0 }) => path !== undefined && storedBytes > 0));
    assert.equal(ended.previous, undefined);
  });

  it('let nobody behind them change what others get', async () => {
    const change = at('change', 'change', ['change got'], {
      rules: [{ t: 'set', p: 'payload.job', pt: 'msg', to: 'changed', tot: 'str' }],
    });
    await start([
      at('one', 'dbackup-run-events', ['change'], { events: ['succeeded'], jobs: [], severity: 'info' }),
      change,
      at('change got', 'debug', [], {}),
      ...listener('two', { events: ['succeeded'] }),
    ]);
    await backUp();
    assert.equal(only('change', 'succeeded').job, 'changed');
    assert.equal(only('two', 'succeeded').job, 'shop');
  });

  it('choose by name, job and severity', async () => {
    await start([
      ...listener('named', { events: ['succeeded'] }),
      ...listener('others', { jobs: ['crm*'] }),
      ...listener('ours', { jobs: ['sh?p'], events: ['started'] }),
      ...listener('bad', { severity: 'warning' }),
    ]);
    await backUp();
    assert.deepEqual(names('named'), ['succeeded']);
    assert.deepEqual(names('others'), []);
    assert.deepEqual(names('ours'), ['started']);
    assert.deepEqual(names('bad'), []);
  });

  it('tell what is missing of a run that succeeded in part', async () => {
    await start(listener('all'));
    rmSync(places.second, { recursive: true });
    await backUp();
    assert.deepEqual(names('all'), ['started', 'partial']);
    const { severity, error, destinations, summary } = only('all', 'partial');
    assert.equal(severity, 'warning');
    const [near, far] = destinations;
    assert.equal(near?.status, 'complete');
    assert.equal(far?.status, 'failed');
    assert.ok((far?.attempts ?? 0) >= 1);
    assert.equal(far?.path, undefined);
    assert.deepEqual(far?.error, error);
    assert.match(summary, /^shop was backed up in part \(1 of 2 destinations failed\): /);
  });

  it('tell of failures, and across a restart that a job works again', async () => {
    const changes = listener('changes', {
      events: ['succeeded', 'partial', 'failed', 'recovered'],
      onChange: true,
    });
    const flow = [...listener('all'), ...changes];
    await start(flow);
    await backUp();
    renameSync(places.database, `${places.database}.away`);
    try {
      await backUp();
      await backUp();
    } finally {
      renameSync(`${places.database}.away`, places.database);
    }
    assert.deepEqual(
      names('all').filter((name) => name !== 'started'),
      ['succeeded', 'failed', 'failed'],
    );
    assert.deepEqual(names('changes'), ['failed']);
    const failed = events('all').filter((event): event is Event<'failed'> => event.event === 'failed');
    assert.equal(failed[0]?.severity, 'error');
    assert.equal(failed[0]?.error?.code, 'not-found');
    assert.equal(failed[1]?.previous?.runId, failed[0]?.runId);
    const succeededAt = failed[0]?.previous?.finishedAt;
    await nodes?.stop();
    await start(flow);
    await backUp();
    assert.deepEqual(names('all'), ['started', 'succeeded', 'recovered']);
    const recovered = only('all', 'recovered');
    assert.deepEqual(recovered.previous, {
      runId: failed[1]?.runId,
      state: 'failed',
      finishedAt: failed[1]?.finishedAt,
    });
    assert.equal(recovered.lastSuccessAt, succeededAt);
    assert.deepEqual(names('changes'), ['succeeded', 'recovered']);
    await backUp();
    assert.equal(names('changes').length, 2);
  });

  it('tell of a run that was cancelled, also by the end of Node-RED', async () => {
    await start(listener('all'), { near: { rate: 0.05 } });
    const recorded = nodes;
    recorded?.runtime.fire('go');
    await until(() => events('all').some(({ event }) => event === 'progress'));
    await recorded?.runtime.stop('the test ends it');
    const cancelled = only('all', 'cancelled');
    assert.equal(cancelled.severity, 'warning');
    assert.match(cancelled.summary, /^The backup of shop was cancelled: .*the test ends it/);
  });

  it('tell at the next start of a run whose process died', async () => {
    const script = fileURLToPath(new URL('store-process.ts', import.meta.url));
    const args = [script, dataDir, '20260501T120000Z_0badf00d', 'hold'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await start(listener('all'));
    await until(() => names('all').length > 0);
    const failed = only('all', 'failed');
    assert.deepEqual([failed.job, failed.runId], ['held', '20260501T120000Z_0badf00d']);
    assert.equal(failed.error?.code, 'aborted');
    assert.match(failed.summary, /^The backup of held failed: The process that ran it/);
  });

  it('tell what began a run, and which fires a schedule has missed', async () => {
    const clock = new FakeClock('2026-05-01T12:30:00Z');
    const hourly = {
      every: 'hours',
      hours: '1',
      minute: 0,
      zone: 'UTC',
      catchUp: 2,
      overlap: 'skip',
      jitter: 0,
    };
    const flow = backupFlow(places, {
      key: null,
      more: [...listener('all'), at('hourly', 'dbackup-schedule', ['src'], hourly)],
    });
    const settings = { dbackup: { dataDir, minFreeMiB: 0 } };
    nodes = await startNodes(flow, { clock, settings });
    await clock.pass(60_000);
    await clock.until('2026-05-01T13:00:00Z');
    await until(() => names('all').includes('succeeded'));
    assert.equal(only('all', 'succeeded').trigger, 'schedule');
    await nodes.stop();
    clock.set('2026-05-01T15:20:00Z');
    nodes = await startNodes(flow, { clock, settings });
    await clock.pass(60_000);
    await until(() => names('all').includes('succeeded'));
    assert.equal(only('all', 'succeeded').trigger, 'catch-up');
    await nodes.stop();
    const daily = { ...hourly, every: 'day', time: '04:00' };
    const nightly = backupFlow(places, {
      key: null,
      more: [...listener('all', { jobs: ['shop'] }), at('nightly', 'dbackup-schedule', ['src'], daily)],
    });
    nodes = await startNodes(nightly, { clock, settings });
    await clock.pass(60_000);
    await nodes.stop();
    clock.set('2026-05-04T15:20:00Z');
    nodes = await startNodes(nightly, { clock, settings });
    await clock.pass(60_000);
    await until(() => names('all').length > 0);
    const missed = only('all', 'schedule-missed');
    assert.deepEqual(
      [missed.schedule, missed.jobs, missed.plannedFor, missed.count, missed.severity],
      ['nightly', ['shop'], '2026-05-04T04:00:00.000Z', 3, 'warning'],
    );
  });

  it('tell that a storage has too little space', async () => {
    await start(listener('all', { jobs: ['other'] }), {}, { minFreeMiB: 2 ** 30, schedules: true });
    await until(() => names('all').length >= 2);
    const told = events('all').filter((event): event is Event<'storage-threshold'> => 'crossed' in event);
    assert.deepEqual(
      told.map(({ storage, crossed }) => [storage, crossed]).sort(),
      [places.first, places.second].sort().map((folder) => [`file://${folder}`, 'below']),
    );
    assert.deepEqual(told.flatMap(({ destinations }) => destinations.map(({ label }) => label)).sort(), [
      'far',
      'near',
    ]);
  });

  it('say what is wrong with them', async () => {
    await start(listener('empty', { events: [] }));
    assert.ok(nodes?.lines.some(({ message }) => /"empty" is not set up: events is missing/.test(message)));
  });
});
