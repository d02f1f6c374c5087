import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { BackupError } from '../../lib/errors.ts';
import { BackupEvents } from '../../lib/events/event-bus.ts';
import type { PriorRuns } from '../../lib/events/run-details.ts';
import type { BackupEvent } from '../../lib/events/run-event.ts';
import { RunNarrator } from '../../lib/events/run-narrator.ts';
import type { EngineEvents, RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const OPENED = new Date('2026-05-01T12:00:00.000Z');

const PROGRESS: RunProgress = {
  runId: 'r1',
  job: 'shop',
  stage: 'dumping',
  database: 'orders',
  index: 1,
  count: 2,
  nodes: ['source', 'disk'],
  rawBytes: 500,
  expectedBytes: 1000,
  rate: 100.4,
  etaSeconds: 4.2,
  storedBytes: { disk: 300 },
};

function result(
  state: RunResult['state'],
  id = 'r1',
  minute = 1,
  fields: Partial<RunResult> = {},
): RunResult {
  return {
    runId: id,
    job: 'shop',
    state,
    openedAt: OPENED,
    finishedAt: new Date(OPENED.getTime() + minute * 60_000),
    rawBytes: 8192,
    artifacts: [],
    destinations: [],
    ...fields,
  };
}

describe('the narrator of runs', () => {
  let events: EventEmitter<EngineEvents>;
  let clock: FakeClock;
  let heard: BackupEvent[];
  let narrator: RunNarrator;
  let history: Record<string, PriorRuns | Promise<PriorRuns> | Error>;

  beforeEach(() => {
    events = new EventEmitter();
    clock = new FakeClock(OPENED.getTime());
    heard = [];
    history = {};
    const happenings = new BackupEvents(clock);
    happenings.listen((event) => heard.push(event));
    narrator = new RunNarrator({
      events,
      happenings,
      clock,
      priorRun: async (_job, runId) => {
        const known = await history[runId];
        if (known instanceof Error) throw known;
        return known ?? {};
      },
    });
  });

  const state = (name: EngineEvents['state'][0]['state'], runId = 'r1') =>
    events.emit('state', { runId, job: 'shop', state: name, nodes: [] });
  const names = () => heard.map(({ event }) => event);
  async function end(...results: readonly RunResult[]): Promise<void> {
    for (const ended of results) events.emit('finished', ended);
    await narrator.idle();
  }

  it('tells that a run begins, once, and by what', () => {
    state('planning');
    narrator.begun('r1', 'catch-up');
    state('queued');
    state('running');
    state('running');
    assert.deepEqual(heard, [
      {
        event: 'started',
        at: OPENED.toISOString(),
        severity: 'info',
        job: 'shop',
        runId: 'r1',
        trigger: 'catch-up',
        summary: 'The backup of shop begins',
      },
    ]);
    assert.equal(narrator.triggerOf('r1'), 'catch-up');
  });

  it('tells of progress once a second, of the last of it always', async () => {
    events.emit('progress', PROGRESS);
    for (const rawBytes of [600, 700, 800]) events.emit('progress', { ...PROGRESS, rawBytes });
    assert.equal(heard.length, 1);
    await clock.pass(1000);
    await clock.pass(5000);
    const told = heard.map((event) => ('rawBytes' in event ? event.rawBytes : undefined));
    assert.deepEqual(told, [500, 800]);
    events.emit('progress', { ...PROGRESS, rawBytes: 900 });
    events.emit('progress', { ...PROGRESS, rawBytes: 1000 });
    await end(result('succeeded'));
    await clock.pass(5000);
    assert.deepEqual(names().slice(2), ['progress', 'succeeded'], 'nothing of a run comes after its end');
    assert.equal(clock.waiting, 0);
  });

  it('tells how far each run is by itself', () => {
    events.emit('progress', PROGRESS);
    events.emit('progress', { ...PROGRESS, runId: 'r2', job: 'crm' });
    assert.deepEqual(
      heard.map((event) => ('job' in event ? event.job : '')),
      ['shop', 'crm'],
    );
    const [first] = heard;
    assert.ok(first?.event === 'progress');
    const { at: _at, ...fields } = first;
    assert.deepEqual(fields, {
      event: 'progress',
      severity: 'info',
      job: 'shop',
      runId: 'r1',
      summary: 'shop: dumping, orders, 1 of 2, 50 %, 500 B, 100 B/s',
      stage: 'dumping',
      database: 'orders',
      index: 1,
      count: 2,
      rawBytes: 500,
      expectedBytes: 1000,
      percent: 50,
      rate: 100,
      etaSeconds: 5,
      destinations: [{ node: 'disk', storedBytes: 300 }],
    });
  });

  it('tells what a run waits for', async () => {
    const queued = {
      runId: 'r1',
      job: 'shop',
      nodes: [],
      position: 2,
      count: 3,
      server: 'postgres://db:5432',
    };
    events.emit('queued', queued);
    const retry = { nodes: ['disk'], attempt: 2, attempts: 5, seconds: 8 };
    events.emit('progress', { ...PROGRESS, stage: 'waiting', retry });
    await clock.pass(1000);
    const [first, second] = heard;
    assert.ok(first?.event === 'progress' && second?.event === 'progress');
    assert.deepEqual([first.stage, first.position], ['queued', 2]);
    assert.equal(first.summary, 'shop: waits for postgres://db:5432, place 2 of 3');
    assert.deepEqual([second.stage, second.retry], ['waiting', { attempt: 2, attempts: 5, seconds: 8 }]);
  });

  it('tells how a run ended, with each database and destination', async () => {
    const manifest = sampleManifest();
    const reference = { path: 'shop/1', node: 'disk', storage: 'file:///b', status: 'partial' } as const;
    const lost = new BackupError('corrupt', 'crm is damaged\nsee there');
    const full = new BackupError('no-space', 'The disk is full', { transient: true });
    const [stored] = manifest.artifacts;
    narrator.begun('r1', 'schedule');
    await end(
      result('partial', 'r1', 1.5, {
        artifacts: [
          { node: stored?.node ?? '', database: stored?.database ?? '' },
          { node: 's', database: 'crm', error: lost },
        ],
        destinations: [
          { node: 'disk', label: 'Disk', set: { reference, manifest, healed: true }, verified: true },
          { node: 'far', label: 'Far', error: full, attempts: 5 },
        ],
      }),
    );
    const [event] = heard;
    assert.deepEqual(JSON.parse(JSON.stringify(event)), event, 'it is plain JSON');
    assert.deepEqual(event, {
      event: 'partial',
      at: '2026-05-01T12:01:30.000Z',
      severity: 'warning',
      job: 'shop',
      runId: 'r1',
      trigger: 'schedule',
      openedAt: OPENED.toISOString(),
      finishedAt: '2026-05-01T12:01:30.000Z',
      durationSeconds: 90,
      rawBytes: 8192,
      databases: [
        { name: "o'rders", node: 's', status: 'ok', rawBytes: 8192 },
        {
          name: 'crm',
          node: 's',
          status: 'failed',
          error: { code: 'corrupt', message: 'crm is damaged\nsee there', transient: false },
        },
      ],
      destinations: [
        {
          label: 'Disk',
          node: 'disk',
          status: 'partial',
          storage: 'file:///b',
          path: 'shop/1',
          storedBytes: 1000,
          attempts: 1,
          verified: true,
          healed: true,
        },
        {
          label: 'Far',
          node: 'far',
          status: 'failed',
          attempts: 5,
          verified: false,
          healed: false,
          error: { code: 'no-space', message: 'The disk is full', transient: true },
        },
      ],
      error: { code: 'corrupt', message: 'crm is damaged\nsee there', transient: false },
      summary:
        'shop was backed up in part (1 of 2 databases failed, 1 of 2 destinations failed): crm is damaged see there',
    });
    assert.equal(narrator.triggerOf('r1'), undefined, 'it is forgotten');
  });

  it('tells that a job works again, by what the history knows', async () => {
    history.r2 = {
      previous: { runId: 'r1', state: 'failed', finishedAt: '2026-04-30T12:00:00.000Z' },
      lastSuccessAt: '2026-04-29T12:00:00.000Z',
    };
    await end(result('succeeded', 'r2'));
    assert.deepEqual(names(), ['succeeded', 'recovered']);
    assert.deepEqual(
      heard.map(({ summary }) => summary),
      [
        'shop was backed up: 0 databases (8.2 kB) to 0 destinations in 60 s',
        'The backup of shop works again: it failed at 2026-04-30T12:00:00.000Z; the last success before was at 2026-04-29T12:00:00.000Z',
      ],
    );
  });

  it('tells it by what it has seen itself, when the history cannot say', async () => {
    history.r2 = new BackupError('no-space', 'The disk is full');
    history.r3 = new BackupError('no-space', 'The disk is full');
    await end(
      result('failed', 'r1', 1),
      result('cancelled', 'r1b', 2),
      result('succeeded', 'r2', 3),
      result('succeeded', 'r3', 4),
    );
    assert.deepEqual(names(), ['failed', 'cancelled', 'succeeded', 'recovered', 'succeeded']);
    const last = heard.at(-1);
    assert.ok(last?.event === 'succeeded');
    assert.deepEqual(last.previous, {
      runId: 'r2',
      state: 'succeeded',
      finishedAt: '2026-05-01T12:03:00.000Z',
    });
  });

  it('believes what came later: another process may have run the job meanwhile', async () => {
    await end(result('failed', 'r1', 1));
    history.r3 = {
      previous: { runId: 'other', state: 'succeeded', finishedAt: '2026-05-01T12:02:00.000Z' },
      lastSuccessAt: '2026-05-01T12:02:00.000Z',
    };
    await end(result('succeeded', 'r3', 3));
    assert.deepEqual(names(), ['failed', 'succeeded']);
  });

  it('tells of ends in their order, however long the history takes', async () => {
    const slow = Promise.withResolvers<PriorRuns>();
    history.r1 = slow.promise;
    events.emit('finished', result('failed', 'r1', 1));
    events.emit('finished', result('succeeded', 'r2', 2));
    const idle = narrator.idle();
    await clock.pass(10);
    assert.deepEqual(names(), []);
    slow.resolve({});
    await idle;
    assert.deepEqual(names(), ['failed', 'succeeded', 'recovered']);
  });

  it('tells nothing after its end', async () => {
    narrator.dispose();
    state('running');
    events.emit('progress', PROGRESS);
    await end(result('failed'));
    assert.deepEqual(heard, []);
    assert.equal(clock.waiting, 0);
  });

  it('tells that a job is dead-lettered, after the failure that it comes of, and what was skipped', async () => {
    const { promise, resolve } = Promise.withResolvers<PriorRuns>();
    history.r1 = promise;
    const at = new Date(OPENED.getTime() + 60_000);
    const error = { runId: 'r1', at: at.toISOString(), code: 'unavailable', message: 'no\nroute' } as const;
    const change = { job: 'shop', failures: 3, at, runId: 'r1', errors: [error] };
    events.emit('finished', result('failed'));
    events.emit('jobChanged', { ...change, from: 'failing', to: 'dead-lettered', cause: 'failed' });
    assert.deepEqual(names(), []);
    resolve({});
    await narrator.idle();
    assert.deepEqual(names(), ['failed', 'dead-lettered']);
    const [, told] = heard;
    assert.ok(told?.event === 'dead-lettered');
    assert.deepEqual([told.job, told.runId, told.failures, told.severity], ['shop', 'r1', 3, 'error']);
    assert.deepEqual(told.errors[0]?.error, { code: 'unavailable', message: 'no\nroute', transient: false });
    assert.match(
      told.summary,
      /^The job shop is dead-lettered: 3 failures in a row, the last one: no route\./,
    );
    events.emit('jobChanged', { ...change, from: 'dead-lettered', to: 'healthy', cause: 'requeued' });
    const run = {
      runId: 's1',
      job: 'shop',
      at,
      reason: 'dead-lettered',
      message: 'It is dead',
      nodes: ['n'],
    };
    events.emit('runSkipped', run as never);
    await narrator.idle();
    assert.deepEqual(names(), ['failed', 'dead-lettered', 'skipped']);
    const last = heard.at(-1);
    assert.ok(last?.event === 'skipped');
    assert.deepEqual([last.runId, last.reason, last.summary], ['s1', 'dead-lettered', 'It is dead']);
  });
});
