import assert from 'node:assert/strict';
import { once } from 'node:events';
import { BackupEvents } from '../../lib/events/event-bus.ts';
import { EventFeed } from '../../lib/events/event-feed.ts';
import {
  type BackupEvent,
  EVENT_NAMES,
  isAtLeast,
  severityOf,
  type ToldEvent,
} from '../../lib/events/run-event.ts';
import { FakeClock } from '../support/fake-clock.ts';

const AT = '2026-05-01T12:00:00.000Z';
const started = (runId: string): ToldEvent => ({ event: 'started', job: 'shop', runId, summary: 'begins' });

describe('the bus of events', () => {
  let bus: BackupEvents;
  let heard: BackupEvent[];

  beforeEach(() => {
    bus = new BackupEvents(new FakeClock(AT));
    heard = [];
    bus.listen((event) => heard.push(event));
  });

  it('adds the time and how bad an event is', () => {
    bus.tell(started('r'));
    bus.tell({ ...started('q'), at: '2026-01-01T00:00:00.000Z' });
    assert.deepEqual(
      heard.map(({ at, severity }) => ({ at, severity })),
      [
        { at: AT, severity: 'info' },
        { at: '2026-01-01T00:00:00.000Z', severity: 'info' },
      ],
    );
  });

  it('tells all that listen, whatever one of them does', async () => {
    const warned = once(process, 'warning');
    const seen: string[] = [];
    const leave = bus.listen(() => {
      throw new Error('broken');
    });
    bus.listen(async () => {
      throw new Error('broken later');
    });
    bus.listen((event) => seen.push(event.event));
    bus.tell(started('r'));
    assert.deepEqual(seen, ['started']);
    assert.match(String((await warned)[0]), /"started": broken/);
    leave();
    bus.tell(started('r'));
    assert.equal(seen.length, 2);
  });

  it('lets nobody change what others get', () => {
    const error = { code: 'no-space', message: 'full', transient: false } as const;
    const storage = { event: 'prune-refused', job: 'shop', storage: 's3://b', error, summary: 's' } as const;
    const told = bus.tell({ ...storage, sets: ['shop/1'] });
    assert.ok(told.event === 'prune-refused');
    assert.throws(() => (told.sets as string[]).push('shop/2'), TypeError);
    assert.throws(() => Object.assign(told.error, { message: 'x' }), TypeError);
  });

  it('knows how bad each event is', () => {
    const severities = EVENT_NAMES.map((event) => severityOf({ event } as ToldEvent));
    assert.deepEqual(
      severities.join(' '),
      [
        'info info info warning error warning info error warning error warning warning warning warning',
      ].join(),
    );
    const above = { event: 'storage-threshold', crossed: 'above' } as ToldEvent;
    assert.equal(severityOf(above), 'info');
    assert.ok(isAtLeast('error', 'warning') && isAtLeast('info', 'info') && !isAtLeast('info', 'warning'));
  });
});

describe('the feed of events', () => {
  it('gives those who come back what they have missed, as far as it is kept', () => {
    const bus = new BackupEvents(new FakeClock(AT));
    const feed = new EventFeed(bus, 3);
    const ids: (string | undefined)[] = [];
    const leave = feed.follow(({ id }) => ids.push(id));
    for (const run of ['a', 'b', 'c', 'd']) bus.tell(started(run));
    leave();
    bus.tell(started('e'));
    assert.equal(ids.length, 4);
    const since = (id: string | undefined) =>
      feed.since(id).map(({ event }) => ('runId' in event ? event.runId : ''));
    assert.deepEqual(since(ids[2]), ['d', 'e']);
    assert.deepEqual(since(feed.since(ids[2]).at(-1)?.id), []);
    assert.deepEqual(since(ids[0]), ['c', 'd', 'e'], 'what is gone is gone');
    assert.deepEqual(since(undefined), [], 'a new client has missed nothing');
    assert.deepEqual(since('0123-2'), ['c', 'd', 'e'], 'an id of another process');
    assert.deepEqual(since('nonsense'), ['c', 'd', 'e']);
  });

  it('keeps of progress only the last of each run that goes on', () => {
    const bus = new BackupEvents(new FakeClock(AT));
    const feed = new EventFeed(bus);
    const progress = (rawBytes: number): ToldEvent => ({
      event: 'progress',
      job: 'shop',
      runId: 'r',
      summary: 'p',
      stage: 'dumping',
      database: 'orders',
      index: 1,
      count: 1,
      rawBytes,
      rate: 1,
      destinations: [],
    });
    bus.tell(progress(1));
    bus.tell(progress(2));
    assert.equal(feed.progressOf('r')?.rawBytes, 2);
    assert.deepEqual(feed.since('other-0'), []);
    const end = { openedAt: AT, finishedAt: AT, durationSeconds: 1, rawBytes: 2, databases: [] };
    const fields = { ...end, job: 'shop', runId: 'r', destinations: [], summary: 'done' };
    bus.tell({ event: 'succeeded', ...fields });
    assert.equal(feed.progressOf('r'), undefined);
    assert.equal(feed.since('other-0').length, 1);
    feed.dispose();
    bus.tell({ event: 'succeeded', ...fields });
    assert.equal(feed.since('other-0').length, 1);
  });
});
