import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DueFires } from '../../lib/schedule/due-fires.ts';
import { Timetable } from '../../lib/schedule/timetable.ts';
import { SchedulerWorld, type WorldOptions } from '../support/scheduler-world.ts';
import { firesOf, zoneOracle } from '../support/zone-oracle.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const nightly: WorldOptions = { cron: '30 2 * * *', start: '2026-05-01T12:00:00Z' };
const hourly: WorldOptions = { cron: '0 * * * *', start: '2026-05-01T12:30:00Z' };

describe('a scheduler', () => {
  it('fires at its time and not before, and shows the next one', async () => {
    const world = new SchedulerWorld(nightly);
    await world.clock.until('2026-05-02T02:29:59.999Z');
    assert.deepEqual(world.told, []);
    assert.deepEqual(world.view, { state: 'waiting', next: Date.parse('2026-05-02T02:30:00Z') });
    await world.clock.until('2026-05-02T02:30:00Z');
    assert.deepEqual(world.told, ['2026-05-02T02:30 schedule']);
    await world.clock.until('2026-05-04T12:00:00Z');
    assert.deepEqual(world.told, [
      '2026-05-02T02:30 schedule',
      '2026-05-03T02:30 schedule',
      '2026-05-04T02:30 schedule',
    ]);
    assert.deepEqual(world.view, { state: 'waiting', next: Date.parse('2026-05-05T02:30:00Z') });
  });

  it('waits for a time that is further away than a timer can wait', async () => {
    const world = new SchedulerWorld({ ...nightly, cron: '0 0 1 1 *', longestSleepMs: HOUR_MS });
    await world.clock.until('2026-12-31T23:59:00Z');
    assert.deepEqual(world.told, []);
    await world.clock.until('2027-01-01T00:00:00Z');
    assert.deepEqual(world.told, ['2027-01-01T00:00 schedule']);
  });

  it('does nothing any more when it was stopped', async () => {
    const world = new SchedulerWorld(nightly);
    await world.clock.pass(1000);
    world.scheduler.stop();
    assert.equal(world.clock.waiting, 0);
    await world.clock.pass(3 * DAY_MS);
    world.scheduler.wake();
    await world.clock.pass(DAY_MS);
    assert.deepEqual(world.told, []);
  });

  describe('over ten years of a clock', function () {
    this.timeout(300_000);
    const from = Date.parse('2026-01-01T00:00:00Z');
    const to = Date.parse('2036-01-01T00:00:00Z');
    for (const zone of [
      'Europe/Berlin',
      'America/New_York',
      'America/Santiago',
      'Australia/Lord_Howe',
      'Asia/Kolkata',
    ]) {
      it(`fires nothing twice and leaves nothing out: ${zone}`, async () => {
        const world = new SchedulerWorld({ cron: '30 2 * * *', zone, start: from, longestSleepMs: DAY_MS });
        await world.clock.until(to);
        const oracle = zoneOracle(zone, from - 3 * DAY_MS, to + 3 * DAY_MS);
        assert.deepEqual(
          world.fires.map(({ at }) => at),
          firesOf(oracle, [{ hour: 2, minute: 30 }], from, to),
        );
        assert.ok(world.fires.every(({ reason, missed }) => reason === 'schedule' && missed === 0));
        assert.equal(world.memory.claims, world.fires.length);
        assert.equal(world.clock.waiting, 1, 'it leaves no timer behind');
      });
    }
  });

  describe('that was down', () => {
    it('makes up for one missed fire as soon as it is back', async () => {
      const world = new SchedulerWorld(nightly);
      await world.clock.until('2026-05-02T12:00:00Z');
      await world.down('2026-05-03T09:00:00Z');
      assert.deepEqual(world.told.slice(1), ['2026-05-03T02:30 catch-up']);
    });

    it('makes up once for many', async () => {
      const world = new SchedulerWorld(hourly);
      await world.clock.until('2026-05-01T13:30:00Z');
      await world.down('2026-05-02T08:20:00Z');
      await world.clock.until('2026-05-02T09:30:00Z');
      assert.deepEqual(world.told, [
        '2026-05-01T13:00 schedule',
        '2026-05-02T08:00 catch-up +18',
        '2026-05-02T09:00 schedule',
      ]);
    });

    it('says that what is too old is not made up for', async () => {
      const world = new SchedulerWorld({ ...nightly, policy: { catchUpMs: 6 * HOUR_MS } });
      await world.clock.until('2026-05-02T12:00:00Z');
      await world.down('2026-05-10T09:00:00Z');
      assert.deepEqual(world.told, ['2026-05-02T02:30 schedule']);
      assert.deepEqual(world.events, ['dropped 8 2026-05-10T02:30']);
      await world.down('2026-05-11T08:00:00Z');
      assert.deepEqual(world.told.slice(1), ['2026-05-11T02:30 catch-up']);
    });

    it('makes up for nothing when it shall not', async () => {
      const world = new SchedulerWorld({ ...nightly, policy: { catchUpMs: 0 } });
      await world.clock.pass(0);
      await world.down('2026-05-02T02:36:00Z');
      assert.deepEqual([world.told, world.events], [[], ['dropped 1 2026-05-02T02:30']]);
    });

    it('takes a few minutes for being on time', async () => {
      const world = new SchedulerWorld({ ...nightly, policy: { catchUpMs: 0 } });
      await world.clock.pass(0);
      await world.down('2026-05-02T02:34:00Z');
      assert.deepEqual(world.told, ['2026-05-02T02:30 schedule']);
    });

    it('was there before its first fire: that one is made up for, too', async () => {
      const world = new SchedulerWorld(nightly);
      await world.clock.pass(1);
      await world.down('2026-05-02T10:00:00Z');
      assert.deepEqual(world.told, ['2026-05-02T02:30 catch-up']);
    });
  });

  it('makes up for nothing when it is new, or has another timetable', async () => {
    const world = new SchedulerWorld(nightly);
    await world.clock.until('2026-05-02T12:00:00Z');
    assert.equal(world.memory.record?.timetable, '30 2 * * * UTC');
    const other = new SchedulerWorld({ ...nightly, cron: '0 9 * * *', start: world.clock.now() });
    other.memory.record = world.memory.record;
    await other.clock.until('2026-05-03T08:59:00Z');
    assert.deepEqual(other.told, []);
    await other.clock.until('2026-05-03T09:00:00Z');
    assert.deepEqual(other.told, ['2026-05-03T09:00 schedule']);
  });

  describe('whose flow still runs', () => {
    it('skips what comes meanwhile, and shows it until the flow has ended', async () => {
      const world = new SchedulerWorld(hourly);
      await world.clock.until('2026-05-01T13:00:00Z');
      world.busy = true;
      await world.clock.until('2026-05-01T13:30:00Z');
      assert.equal(world.view?.state, 'running');
      await world.clock.until('2026-05-01T15:30:00Z');
      assert.deepEqual(world.told, ['2026-05-01T13:00 schedule']);
      assert.deepEqual(world.events, ['skipped 2026-05-01T14:00', 'skipped 2026-05-01T15:00']);
      const at = Date.parse('2026-05-01T15:00:00Z');
      assert.deepEqual(world.view, { state: 'skipped', at, next: at + HOUR_MS });
      world.busy = false;
      world.scheduler.wake();
      await world.clock.pass(0);
      assert.deepEqual(world.view, { state: 'waiting', next: at + HOUR_MS });
      await world.clock.until('2026-05-01T16:00:00Z');
      assert.deepEqual(world.told.slice(1), ['2026-05-01T16:00 schedule'], 'what was skipped was not missed');
    });

    it('queues one: the last, fired when the flow has ended, however late that is', async () => {
      const world = new SchedulerWorld({ ...hourly, policy: { overlap: 'queue', catchUpMs: 0 } });
      await world.clock.until('2026-05-01T13:00:00Z');
      world.busy = true;
      await world.clock.until('2026-05-01T15:40:00Z');
      assert.deepEqual(world.view, { state: 'queued', at: Date.parse('2026-05-01T15:00:00Z') });
      assert.deepEqual([world.told.length, world.events], [1, []]);
      world.busy = false;
      world.scheduler.wake();
      await world.clock.pass(0);
      assert.deepEqual(world.told.slice(1), ['2026-05-01T15:00 schedule +1']);
      await world.clock.until('2026-05-01T16:00:00Z');
      assert.deepEqual(world.told.slice(2), ['2026-05-01T16:00 schedule']);
    });

    it('fires what was queued after a restart as missed', async () => {
      const world = new SchedulerWorld({ ...hourly, policy: { overlap: 'queue' } });
      await world.clock.until('2026-05-01T13:00:00Z');
      world.busy = true;
      await world.clock.until('2026-05-01T14:20:00Z');
      await world.down('2026-05-01T14:30:00Z');
      assert.deepEqual(world.told.slice(1), ['2026-05-01T14:00 catch-up']);
    });
  });

  describe('that is paused', () => {
    it('fires nothing until it is resumed, and makes up for nothing', async () => {
      const world = new SchedulerWorld(hourly);
      await world.clock.pass(0);
      await world.scheduler.pause();
      await world.clock.until('2026-05-01T15:30:00Z');
      assert.deepEqual([world.told, world.view], [[], { state: 'paused' }]);
      await world.scheduler.resume();
      await world.clock.until('2026-05-01T16:00:00Z');
      assert.deepEqual(world.told, ['2026-05-01T16:00 schedule']);
    });

    it('stays so when it is started anew, and tells the others', async () => {
      const world = new SchedulerWorld(hourly);
      await world.scheduler.pause();
      await world.down('2026-05-01T18:30:00Z');
      assert.equal(world.view?.state, 'paused');
      const other = world.create();
      await other.resume();
      await world.clock.until('2026-05-01T19:00:00Z');
      other.stop();
      assert.deepEqual(world.told, ['2026-05-01T19:00 schedule']);
    });

    it('is not made to forget what was due when it is resumed without having been paused', async () => {
      const world = new SchedulerWorld(nightly);
      await world.clock.pass(0);
      world.scheduler.stop();
      await world.clock.until('2026-05-02T09:00:00Z');
      world.scheduler = world.create();
      await world.scheduler.resume();
      world.scheduler.wake();
      await world.clock.pass(0);
      assert.deepEqual(world.told, ['2026-05-02T02:30 catch-up']);
    });

    it('is not made to fire by a resumption where nobody has let it begin', async () => {
      const world = new SchedulerWorld(nightly);
      await world.clock.pass(0);
      world.scheduler.stop();
      const idle = world.create();
      await idle.pause();
      await idle.resume();
      await world.clock.until('2026-05-04T09:00:00Z');
      assert.deepEqual(world.told, []);
    });
  });

  describe('whose clock is set, or whose machine sleeps', () => {
    it('notices within a minute that time has leapt, and makes up once', async () => {
      const world = new SchedulerWorld(hourly);
      await world.clock.pass(0);
      world.clock.set('2026-05-02T07:40:00Z');
      await world.clock.pass(60_000);
      assert.deepEqual(world.told, ['2026-05-02T07:00 catch-up +18']);
    });

    it('fires nothing again when the clock goes back', async () => {
      const world = new SchedulerWorld(hourly);
      await world.clock.until('2026-05-01T15:10:00Z');
      world.clock.set('2026-05-01T12:50:00Z');
      await world.clock.until('2026-05-01T16:10:00Z');
      assert.deepEqual(world.told.slice(-2), ['2026-05-01T15:00 schedule', '2026-05-01T16:00 schedule']);
      assert.equal(world.told.length, 4);
    });

    it('believes a clock that goes back for long after a quarter of an hour, not at once', async () => {
      const world = new SchedulerWorld({ ...hourly, start: '2035-05-01T12:30:00Z' });
      await world.clock.until('2035-05-01T13:10:00Z');
      world.clock.set('2026-05-01T13:10:00Z');
      await world.clock.pass(10 * 60_000);
      assert.deepEqual(world.events, []);
      await world.clock.pass(10 * 60_000);
      assert.deepEqual(world.events, ['back from 2035-05-01T13:00']);
      await world.clock.until('2026-05-01T14:00:00Z');
      assert.deepEqual(world.told.slice(1), ['2026-05-01T14:00 schedule']);
    });

    it('forgets nothing when a machine without a clock of its own learns the time late', async () => {
      const world = new SchedulerWorld(nightly);
      await world.clock.until('2026-05-02T12:00:00Z');
      await world.down('2026-05-02T12:01:00Z');
      world.clock.set('1970-01-01T00:00:05Z');
      await world.clock.pass(120_000);
      world.clock.set('2026-05-02T12:05:00Z');
      await world.clock.pass(120_000);
      assert.deepEqual(world.told, ['2026-05-02T02:30 schedule']);
      assert.deepEqual(world.events, []);
    });
  });

  describe('whose memory fails', () => {
    it('fires nothing, says so once, and goes on when it works again', async () => {
      const world = new SchedulerWorld(nightly);
      await world.clock.pass(0);
      world.memory.broken = new Error('the disk is full');
      await world.clock.until('2026-05-02T04:00:00Z');
      assert.deepEqual([world.told, world.events], [[], ['failed the disk is full']]);
      assert.equal(world.view?.state, 'failed');
      world.memory.broken = undefined;
      await world.clock.pass(60_000);
      assert.deepEqual(world.told, ['2026-05-02T02:30 schedule']);
      await world.clock.until('2026-05-03T02:30:00Z');
      assert.equal(world.told.length, 2);
    });

    it('hands the error on to who pauses it', async () => {
      const world = new SchedulerWorld(nightly);
      await world.clock.pass(0);
      world.memory.broken = new Error('the disk is full');
      await assert.rejects(world.scheduler.pause(), /the disk is full/);
    });
  });

  it('records a fire before it starts it: who dies in between fires nothing twice', async () => {
    const world = new SchedulerWorld(nightly);
    const claim = world.memory.claim.bind(world.memory);
    let died = false;
    world.memory.claim = async (at) => {
      assert.deepEqual(world.fires, []);
      await claim(at);
      died = true;
      // The process ends here: whoever waits for the answer does so for ever.
      return new Promise(() => undefined);
    };
    await world.clock.until('2026-05-02T02:30:00Z');
    assert.equal(died, true);
    world.memory.claim = claim;
    await world.down('2026-05-02T09:00:00Z');
    assert.deepEqual(world.told, []);
    await world.clock.until('2026-05-03T02:30:00Z');
    assert.deepEqual(world.told, ['2026-05-03T02:30 schedule']);
  });

  it('of several processes with one memory fires each time in one of them', async () => {
    const world = new SchedulerWorld(hourly);
    const others = [world.create(), world.create()];
    for (const other of others) other.wake();
    await world.clock.until('2026-05-03T12:30:00Z');
    for (const other of others) other.stop();
    assert.equal(world.fires.length, 48);
    assert.equal(new Set(world.fires.map(({ at }) => at)).size, 48);
  });

  describe('with jitter', () => {
    const jittered = { ...hourly, jitterMs: 600_000 };

    it('fires later by the same time each time that it is asked', async () => {
      const when = async () => {
        const world = new SchedulerWorld(jittered);
        const late: number[] = [];
        for (let minute = 0; minute < 600; minute += 1) {
          const before = world.fires.length;
          await world.clock.pass(60_000);
          if (world.fires.length > before) {
            late.push(Math.ceil((world.clock.now() - (world.fires.at(-1)?.at ?? 0)) / 60_000));
          }
        }
        return late;
      };
      const [first, second] = [await when(), await when()];
      assert.deepEqual(first, second);
      assert.ok(new Set(first).size > 2, first.join());
      assert.ok(
        first.every((minutes) => minutes >= 0 && minutes <= 10),
        first.join(),
      );
    });

    it('stays between its planned time and the next one, whatever the jitter is', () => {
      const cron = fc.constantFrom('* * * * *', '0 * * * *', '30 2 * * *', '0 0 29 2 *');
      const jitter = fc.integer({ min: 0, max: 86_400_000 });
      const id = fc.string();
      fc.assert(
        fc.property(cron, jitter, id, fc.integer({ min: 0, max: 2e12 }), (text, jitterMs, name, from) => {
          const timetable = new Timetable(text, 'Europe/Berlin');
          const fires = new DueFires(name, timetable, jitterMs);
          const at = timetable.next(from);
          const due = fires.dueAt(at);
          assert.ok(due >= at && due <= at + jitterMs && due < timetable.next(at));
          assert.equal(fires.lastDue(from, due), at);
          assert.notEqual(fires.lastDue(from, due - 1), at);
        }),
      );
    });
  });

  it('keeps its word whatever happens: nothing twice, in order, nothing while paused, each missed time told', async function () {
    this.timeout(120_000);
    const minutes = (min: number, max: number) => fc.integer({ min, max }).map((count) => count * 60_000);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('pass' as const), ms: minutes(1, 3000) }),
      fc.record({ kind: fc.constant('down' as const), ms: minutes(1, 5000) }),
      fc.record({ kind: fc.constant('sleep' as const), ms: minutes(1, 3000) }),
      fc.record({ kind: fc.constant('back' as const), ms: minutes(1, 100) }),
      fc.record({
        kind: fc.constantFrom('pause', 'resume', 'busy', 'free', 'break', 'mend'),
        ms: fc.constant(0),
      }),
    );
    const options = fc.record({
      cron: fc.constantFrom('0 * * * *', '*/20 1-3 * * *', '30 2 * * *'),
      zone: fc.constantFrom('Europe/Berlin', 'America/Santiago'),
      start: fc.constantFrom('2026-03-27T12:00:00Z', '2026-10-23T12:00:00Z', '2026-09-04T12:00:00Z'),
      jitterMs: fc.constantFrom(0, 900_000),
      overlap: fc.constantFrom('skip' as const, 'queue' as const),
      catchUpMs: fc.constantFrom(0, 6 * HOUR_MS, 2 * DAY_MS),
    });
    await fc.assert(
      fc.asyncProperty(options, fc.array(step, { maxLength: 12 }), async (chosen, steps) => {
        const { overlap, catchUpMs, ...given } = chosen;
        const policy = { overlap, catchUpMs };
        const world = new SchedulerWorld({ ...given, policy, longestSleepMs: 600_000 });
        for (const { kind, ms } of steps) {
          const { clock, scheduler, memory } = world;
          if (kind === 'pass') await clock.pass(ms);
          if (kind === 'down') await world.down(clock.now() + ms);
          if (kind === 'sleep') clock.set(clock.now() + ms);
          if (kind === 'back') clock.set(clock.now() - ms);
          if (kind === 'busy') world.busy = true;
          if (kind === 'free') world.busy = false;
          if (kind === 'break') memory.broken = new Error('broken');
          if (kind === 'mend') memory.broken = undefined;
          const paused = memory.record?.paused === true;
          const before = world.fires.length;
          if (kind === 'pause') await scheduler.pause().catch(() => undefined);
          if (kind === 'resume') await scheduler.resume().catch(() => undefined);
          await clock.pass(601_000);
          if (paused && kind !== 'resume') assert.equal(world.fires.length, before);
        }
        world.memory.broken = undefined;
        const ats = world.fires.map(({ at }) => at);
        assert.deepEqual(
          ats,
          [...new Set(ats)].sort((a, b) => a - b),
          'in order and none twice',
        );
        const timetable = new Timetable(given.cron, given.zone);
        for (const at of ats) assert.equal(timetable.next(at - 1), at, 'only planned times');
      }),
      { numRuns: 80 },
    );
  });
});
