import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { ActiveRun } from '../../lib/engine/backup-engine.ts';
import { BackupError } from '../../lib/errors.ts';
import type { HealthState } from '../../lib/health/check.ts';
import { FreshValue } from '../../lib/health/fresh-value.ts';
import { Health } from '../../lib/health/health.ts';
import { QueueCheck } from '../../lib/health/queue-check.ts';
import { RunWatch } from '../../lib/health/run-watch.ts';
import { scheduleVerdict } from '../../lib/health/schedule-check.ts';
import { spaceVerdict } from '../../lib/health/space-check.ts';
import { SpaceWatch } from '../../lib/health/space-watch.ts';
import { StoreCheck } from '../../lib/health/store-check.ts';
import type { QueuePlace } from '../../lib/queue/run-queue.ts';
import type { EngineEvents } from '../../lib/runs/outcome.ts';
import type { RunState } from '../../lib/runs/states.ts';
import { answerOperation } from '../../nodes/operations/answer.ts';
import { FlowsCheck } from '../../nodes/operations/flows-check.ts';
import { leastFreeBytes } from '../../nodes/package-settings.ts';
import { FakeClock } from '../support/fake-clock.ts';

const START = '2026-05-01T12:00:00.000Z';
const MINUTE_MS = 60_000;
const MIB = 1024 * 1024;

describe('health', () => {
  let clock: FakeClock;

  beforeEach(() => {
    clock = new FakeClock(START);
  });

  describe('report', () => {
    it('is as bad as the worst check, and says since when each is so', async () => {
      const health = new Health(clock);
      let second: HealthState = 'ok';
      const checks = [
        { name: 'one', look: () => ({ state: 'ok', message: 'fine' }) as const },
        { name: 'two', subject: 'disk', look: () => ({ state: second, message: second }) },
      ];
      assert.equal(health.report(checks).state, 'ok');
      await clock.pass(MINUTE_MS);
      second = 'warn';
      assert.equal(health.report(checks).state, 'warn');
      await clock.pass(MINUTE_MS);
      assert.deepEqual(health.report(checks).checks, [
        { name: 'one', state: 'ok', message: 'fine', since: START },
        { name: 'two', subject: 'disk', state: 'warn', message: 'warn', since: '2026-05-01T12:01:00.000Z' },
      ]);
      second = 'fail';
      assert.equal(health.report(checks).state, 'fail');
      assert.equal(health.report([]).state, 'ok');
    });
  });

  describe('a value that takes a while to ask', () => {
    it('is asked again only when it is too old, and is there at once meanwhile', async () => {
      let asked = 0;
      const value = new FreshValue({
        clock,
        maxAgeMs: 1000,
        timeoutMs: 5000,
        ask: async () => {
          asked += 1;
          return asked;
        },
      });
      assert.equal(value.peek(), undefined);
      await value.settled();
      assert.deepEqual([value.peek(), value.peek(), asked], [{ value: 1 }, { value: 1 }, 1]);
      await clock.pass(1000);
      assert.deepEqual(value.peek(), { value: 1 }, 'the old one');
      await value.settled();
      assert.deepEqual(value.peek(), { value: 2 });
    });

    it('is not asked a second time while the first question hangs', async () => {
      let asked = 0;
      const release = Promise.withResolvers<string>();
      const value = new FreshValue({
        clock,
        maxAgeMs: 10,
        timeoutMs: 5000,
        ask: () => {
          asked += 1;
          return asked === 1 ? release.promise : Promise.resolve('again');
        },
      });
      value.refresh();
      await clock.pass(5000);
      await value.settled();
      const late = value.peek();
      assert.ok(late !== undefined && 'error' in late && late.error.code === 'stalled');
      await clock.pass(MINUTE_MS);
      value.refresh();
      assert.equal(asked, 1);
      release.resolve('late');
      await clock.pass(0);
      value.refresh();
      await value.settled();
      assert.deepEqual(value.peek(), { value: 'again' });
    });

    it('is asked again after the clock was set back', async () => {
      let asked = 0;
      const ask = async () => (asked += 1);
      const value = new FreshValue({ clock, maxAgeMs: 1000, timeoutMs: 5000, ask });
      value.refresh();
      await value.settled();
      clock.set('2026-04-01T00:00:00Z');
      value.refresh();
      assert.equal(asked, 2);
    });
  });

  describe('of the store', () => {
    it('fails as long as nothing can be written', async () => {
      let full = true;
      const check = new StoreCheck(async () => {
        if (full) throw new BackupError('no-space', 'No space left for the store');
      }, clock);
      assert.equal(check.look().state, 'fail', 'nothing is known yet');
      await check.settled();
      assert.deepEqual(check.look(), { state: 'fail', message: 'No space left for the store' });
      full = false;
      await clock.pass(5000);
      check.look();
      await check.settled();
      assert.equal(check.look().state, 'ok');
    });
  });

  describe('over HTTP', () => {
    it('lives, but is not ready, while the flow starts', async () => {
      assert.equal((await answerOperation('healthz', undefined, true)).status, 200);
      const starting = await answerOperation('readyz', undefined, true);
      assert.equal(starting.status, 503);
      assert.match(starting.body, /The flow is starting or ending/);
      assert.equal((await answerOperation('readyz', undefined, false)).status, 200, 'a flow without backups');
      assert.equal((await answerOperation('metrics', undefined, true)).status, 503);
    });

    it('is not ready for long without a flow that has started again', async () => {
      const events = new EventEmitter();
      const closing = new AbortController();
      const check = new FlowsCheck({ events, clock, closing: closing.signal, isEmpty: () => false });
      assert.equal(check.look().state, 'fail');
      events.emit('flows:started');
      assert.equal(check.look().state, 'ok');
      events.emit('flows:stopping');
      assert.equal(check.look().state, 'warn');
      await clock.pass(MINUTE_MS);
      assert.equal(check.look().state, 'fail');
      events.emit('flows:started');
      assert.equal(check.look().state, 'ok');
      closing.abort();
      assert.equal(check.look().state, 'fail');
      check.dispose();
    });
  });

  describe('of the queue', () => {
    const run = (runId: string, state: RunState, place?: QueuePlace): ActiveRun => ({
      runId,
      job: 'shop',
      state,
      nodes: [],
      servers: ['db:1'],
      ...(place === undefined ? {} : { place }),
    });
    const place = { position: 1, count: 1, server: 'db:1' };
    const world = () => {
      const events = new EventEmitter<EngineEvents>();
      const active: ActiveRun[] = [];
      const limits = { concurrency: 2, perServer: 1 };
      const check = new QueueCheck({ events, clock, limits, activeRuns: () => active });
      return { events, active, check };
    };

    it('fails when a run waits although there is room', async () => {
      const { events, active, check } = world();
      assert.equal(check.look().state, 'ok');
      active.push(run('a', 'running'), run('b', 'queued', place));
      events.emit('queued', { runId: 'b', job: 'shop', nodes: [], ...place });
      await clock.pass(60 * MINUTE_MS);
      assert.deepEqual(check.look(), { state: 'ok', message: '1 run waits' });
      events.emit('state', { runId: 'a', job: 'shop', state: 'succeeded', nodes: [] });
      active.shift();
      assert.equal(check.look().state, 'ok', 'it may be about to begin');
      await clock.pass(MINUTE_MS);
      assert.equal(check.look().state, 'fail');
      assert.match(check.look().message, /Run b of shop waits although there is room/);
    });

    it('does not fail while too many go on at all', async () => {
      const { active, check } = world();
      const elsewhere = { servers: ['db:2'] };
      active.push({ ...run('a', 'running'), ...elsewhere }, { ...run('b', 'verifying'), ...elsewhere });
      active.push(run('c', 'queued', { ...place, server: undefined }));
      await clock.pass(60 * MINUTE_MS);
      assert.equal(check.look().state, 'ok');
    });

    it('warns of one that waits for hours', async () => {
      const { events, active, check } = world();
      active.push(run('a', 'running'), run('b', 'queued', place));
      events.emit('queued', { runId: 'b', job: 'shop', nodes: [], ...place });
      await clock.pass(3 * 60 * MINUTE_MS);
      events.emit('queued', { runId: 'b', job: 'shop', nodes: [], ...place });
      await clock.pass(3 * 60 * MINUTE_MS);
      assert.equal(check.look().state, 'warn');
      assert.match(check.look().message, /1 run waits, one of them for 6 hours/);
    });
  });

  describe('of runs', () => {
    const run = { runId: 'r1', job: 'shop', nodes: [] };

    it('warns of one that does not move, then fails', async () => {
      const events = new EventEmitter<EngineEvents>();
      const watch = new RunWatch(events, clock);
      assert.equal(watch.look().state, 'ok');
      events.emit('state', { ...run, state: 'planning' });
      await clock.pass(120 * MINUTE_MS);
      assert.equal(watch.look().state, 'ok', 'it has not begun');
      events.emit('state', { ...run, state: 'running' });
      await clock.pass(14 * MINUTE_MS);
      assert.equal(watch.look().state, 'ok');
      await clock.pass(MINUTE_MS);
      assert.equal(watch.look().state, 'warn');
      assert.match(watch.look().message, /r1 of shop has not moved for 15 minutes/);
      events.emit('progress', progress());
      assert.equal(watch.look().state, 'ok');
      await clock.pass(60 * MINUTE_MS);
      assert.equal(watch.look().state, 'fail');
      events.emit('state', { ...run, state: 'failed' });
      events.emit('finished', {
        ...run,
        state: 'failed',
        openedAt: new Date(),
        finishedAt: new Date(),
        rawBytes: 0,
        artifacts: [],
        destinations: [],
      });
      assert.deepEqual(watch.look(), { state: 'ok', message: 'No run is going on' });
    });

    it('only warns of one that may wait for another one', async () => {
      const events = new EventEmitter<EngineEvents>();
      const watch = new RunWatch(events, clock);
      events.emit('state', { ...run, state: 'running' });
      await clock.pass(59 * MINUTE_MS);
      events.emit('progress', { ...progress(), runId: 'r2' });
      await clock.pass(2 * MINUTE_MS);
      assert.equal(watch.look().state, 'warn');
      assert.match(watch.look().message, /r1 of shop has not moved/);
      await clock.pass(15 * MINUTE_MS);
      assert.equal(watch.look().state, 'fail');
    });

    function progress() {
      return {
        ...run,
        stage: 'dumping',
        database: 'shop',
        index: 1,
        count: 1,
        rawBytes: 1,
        rate: 1,
        storedBytes: {},
      } as const;
    }
  });

  describe('of a schedule', () => {
    const now = Date.parse(START);
    const watch = { lookedAt: now, latenessMs: undefined };

    it('holds as long as it looks at the clock', () => {
      const waiting = { ...watch, view: { state: 'waiting', next: now + 1000 } } as const;
      assert.equal(scheduleVerdict(waiting, now + 2 * MINUTE_MS).state, 'ok');
      assert.equal(scheduleVerdict(waiting, now + 6 * MINUTE_MS).state, 'fail');
      assert.equal(scheduleVerdict({ ...watch, view: undefined }, now + 6 * MINUTE_MS).state, 'fail');
      assert.equal(scheduleVerdict({ ...watch, view: { state: 'paused' } }, now).state, 'ok');
    });

    it('fails when it cannot record its fires', () => {
      const error = new BackupError('no-space', 'No space left');
      const verdict = scheduleVerdict({ ...watch, view: { state: 'failed', error } }, now);
      assert.deepEqual(verdict, { state: 'fail', message: 'No space left' });
    });
  });

  describe('of free space', () => {
    it('fails below the threshold only, not where nothing is known', () => {
      assert.equal(spaceVerdict(undefined, MIB).state, 'ok');
      assert.equal(spaceVerdict({ value: undefined }, MIB).state, 'ok');
      assert.equal(spaceVerdict({ value: MIB }, MIB).state, 'ok');
      assert.equal(spaceVerdict({ value: 0 }, 0).state, 'ok');
      const full = spaceVerdict({ value: MIB - 1 }, MIB);
      assert.deepEqual(full, {
        state: 'fail',
        message: 'Only 0 MiB are free, 1 MiB are asked for: free some, or lower minFreeMiB',
      });
      const gone = spaceVerdict({ error: new BackupError('unavailable', 'it is away') }, MIB);
      assert.deepEqual(gone, { state: 'warn', message: 'Its free space is not known: it is away' });
    });

    it('asks a storage once for all that share it, and another one for itself', async () => {
      const asked: string[] = [];
      const storage = (where: string) =>
        ({
          kind: 'sftp',
          describe: () => where,
          freeSpace: async () => asked.push(where),
        }) as unknown as DestinationDriver;
      const watch = new SpaceWatch(clock);
      for (const where of ['a', 'a', 'b']) watch.of(storage(where));
      await watch.settled();
      assert.deepEqual(asked, ['a', 'b']);
      assert.deepEqual(watch.of(storage('a')), { value: 1 });
      await clock.pass(MINUTE_MS);
      watch.keep([storage('b')]);
      assert.equal(watch.of(storage('a')), undefined, 'it was forgotten');
    });
  });

  describe('threshold of free space', () => {
    it('comes from the environment, else from settings.js, else it is 1 GiB', () => {
      assert.equal(leastFreeBytes({}, {}), 1024 * MIB);
      assert.equal(leastFreeBytes({ minFreeMiB: 5 }, { DBACKUP_MIN_FREE_MIB: '' }), 5 * MIB);
      assert.equal(leastFreeBytes({ minFreeMiB: 5 }, { DBACKUP_MIN_FREE_MIB: ' 0.5 ' }), MIB / 2);
    });

    for (const wrong of ['-1', '1 GiB', '5%', 'NaN', '1e30', '9999999999999']) {
      it(`is refused when it is ${wrong}`, () => {
        assert.throws(() => leastFreeBytes({}, { DBACKUP_MIN_FREE_MIB: wrong }), {
          code: 'invalid-config',
          message: /DBACKUP_MIN_FREE_MIB/,
        });
      });
    }
  });
});
