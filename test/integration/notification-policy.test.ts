import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { BackupError } from '../../lib/errors.ts';
import type { NotificationContent } from '../../lib/notifiers/content.ts';
import { NotificationDispatcher, type Outcome } from '../../lib/notifiers/dispatcher.ts';
import type { Delivery } from '../../lib/notifiers/notifier.ts';
import { contentOfText } from '../../lib/notifiers/own-content.ts';
import { type PolicyOptions, policyOptions } from '../../lib/notifiers/policy.ts';
import { openStore, type Store } from '../../lib/store/store.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { contentOf, sampleEvent, sampleProgress } from '../support/sample-events.ts';
import { until } from '../support/until.ts';

const NODE = 'notifier-1';
const HOUR = 3_600_000;

describe('the policy of notifications', () => {
  let folder: string;
  let store: Store;
  let clock: FakeClock;
  let sent: NotificationContent[];
  let failing: boolean;
  /** What the service does with progress. */
  let hangsAtProgress: boolean;
  let reported: string[];
  let warned: string[];
  let running: NotificationDispatcher[];
  let closing: AbortController;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dbackup-policy-'));
    store = await openStore(folder);
    clock = new FakeClock('2026-11-23T10:00:00Z');
    sent = [];
    failing = false;
    hangsAtProgress = false;
    reported = [];
    warned = [];
    running = [];
    closing = new AbortController();
  });

  afterEach(async () => {
    closing.abort();
    for (const dispatcher of running) dispatcher.stop();
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A notifier with this policy, as a node makes it; it does not begin by itself. */
  const start = (
    policy: Partial<PolicyOptions>,
    memory = () => Promise.resolve(store.notifications(NODE)),
  ) => {
    const dispatcher = new NotificationDispatcher({
      id: NODE,
      notifier: {
        channel: 'webhook',
        describe: () => 'a test',
        async send(content, signal): Promise<Delivery> {
          if (hangsAtProgress && content.event === 'progress') await once(signal, 'abort');
          if (failing) {
            const error = new BackupError('unavailable', 'nobody is there');
            return { status: 'failed', attempts: 5, notes: [], error };
          }
          sent.push(content);
          return { status: 'delivered', attempts: 1, notes: [], responseId: String(sent.length) };
        },
      },
      policy: policyOptions.parse({ digestZone: 'UTC', ...policy }),
      clock,
      memory,
      digestMemory: store.schedule(`${NODE}/digest`),
      links: [],
      closing: closing.signal,
      delivered: () => undefined,
      overtaken: () => undefined,
      failed: (error) => reported.push(error.message),
      warn: (message) => warned.push(message),
    });
    running.push(dispatcher);
    return dispatcher;
  };

  const event = (name: Parameters<typeof sampleEvent>[0], job = 'shop') =>
    contentOf({ ...sampleEvent(name), at: clock.text, job });
  const statuses = async (outcomes: Promise<Outcome>[]) =>
    (await Promise.all(outcomes)).map(({ status }) => status);
  const titles = () => sent.map(({ title }) => title);

  /** Lets the clock of the test pass, and what the store does in between, until that holds. */
  const passUntil = (condition: () => boolean) =>
    until(async () => {
      await clock.pass(0);
      return condition();
    });

  it('filters by event and severity, but not what people wire by hand', async () => {
    const dispatcher = start({ severity: 'warning', events: ['succeeded', 'failed'] });
    const text = contentOfText({ at: new Date(clock.now()), title: 'x', summary: 'y' });
    assert.deepEqual(
      await statuses([
        dispatcher.handle(event('succeeded')),
        dispatcher.handle(event('partial')),
        dispatcher.handle(event('failed')),
        dispatcher.handle(text),
      ]),
      ['suppressed', 'suppressed', 'delivered', 'delivered'],
    );
  });

  it('tells changes: the first failure, a worse one, and the recovery', async () => {
    const dispatcher = start({ deliver: 'changes' });
    for (const name of [
      'succeeded',
      'partial',
      'partial',
      'failed',
      'failed',
      'succeeded',
      'succeeded',
    ] as const) {
      await dispatcher.handle(event(name));
    }
    assert.deepEqual(titles(), [
      'shop: backup is incomplete',
      'shop: backup failed',
      'shop: backups work again',
    ]);
    assert.equal(sent[2]?.event, 'recovered');
  });

  it('tells each job of its own, and those who were told of a failure that it is over', async () => {
    const dispatcher = start({ deliver: 'changes', severity: 'error' });
    await dispatcher.handle(event('failed', 'a'));
    await dispatcher.handle(event('partial', 'b'));
    await dispatcher.handle(event('succeeded', 'a'));
    await dispatcher.handle(event('succeeded', 'b'));
    assert.deepEqual(titles(), ['a: backup failed', 'a: backups work again'], 'nobody was told of b');
  });

  it('tells a failure again that nobody could be told', async () => {
    const dispatcher = start({ deliver: 'changes' });
    failing = true;
    assert.equal((await dispatcher.handle(event('failed'))).status, 'failed');
    failing = false;
    assert.equal((await dispatcher.handle(event('failed'))).status, 'delivered');
    assert.equal((await dispatcher.handle(event('failed'))).status, 'suppressed');
  });

  it('tells one of several failures that come at once', async () => {
    const dispatcher = start({ deliver: 'changes' });
    const outcomes = await statuses([1, 2, 3].map(() => dispatcher.handle(event('failed'))));
    assert.deepEqual(outcomes.sort(), ['delivered', 'suppressed', 'suppressed']);
  });

  it('tells a failure that nobody could be told, also while progress of the job is under way', async () => {
    const dispatcher = start({ deliver: 'changes', events: ['progress', 'failed'] });
    failing = true;
    await dispatcher.handle(event('failed'));
    failing = false;
    hangsAtProgress = true;
    const progress = dispatcher.handle(contentOf(sampleProgress(1)));
    assert.equal((await dispatcher.handle(event('failed'))).status, 'delivered');
    assert.deepEqual(await statuses([progress]), ['delivered']);
  });

  it('lets go of progress when its run ends, also when nobody is told of the end', async () => {
    const dispatcher = start({ events: ['progress'] });
    hangsAtProgress = true;
    const first = dispatcher.handle(contentOf(sampleProgress(1)));
    await setImmediate();
    const second = dispatcher.handle(contentOf(sampleProgress(2)));
    await setImmediate();
    assert.equal((await dispatcher.handle(event('succeeded'))).status, 'suppressed');
    await Promise.all([first, second]);
    assert.equal(sent.length, 1, 'the second one is not sent');
  });

  it('puts no progress into digests and the history, which keep few', async () => {
    const dispatcher = start({ deliver: 'digest-and-changes', events: ['progress', 'failed'] });
    await dispatcher.handle(event('failed'));
    for (let bytes = 0; bytes < 105; bytes += 1) await dispatcher.handle(contentOf(sampleProgress(bytes)));
    assert.equal(sent.length, 106);
    const memory = store.notifications(NODE);
    assert.deepEqual(
      (await memory.collected()).entries.map((entry) => entry.event),
      ['failed'],
    );
    assert.deepEqual(
      (await memory.deliveries(1000)).map((delivery) => delivery.event),
      ['failed'],
    );
  });

  it('remembers across a restart what was told', async () => {
    await start({ deliver: 'changes' }).handle(event('failed'));
    await store.close();
    store = await openStore(folder);
    const dispatcher = start({ deliver: 'changes' });
    assert.equal((await dispatcher.handle(event('failed'))).status, 'suppressed');
    assert.equal((await dispatcher.handle(event('succeeded'))).status, 'delivered');
    assert.deepEqual(await store.notifications(NODE).standings(), []);
  });

  it('tells all the same when nothing can be remembered', async () => {
    const broken = () => Promise.reject(new BackupError('no-space', 'No space left for the store'));
    const dispatcher = start({ deliver: 'digest-and-changes' }, broken);
    assert.equal((await dispatcher.handle(event('failed'))).status, 'delivered');
    assert.equal((await dispatcher.handle(event('succeeded'))).status, 'delivered', 'no digest will tell it');
    assert.match(warned.join('\n'), /cannot be recorded: No space left/);
  });

  it('reminds of a job that goes on failing, every so many hours, until it succeeds', async () => {
    const dispatcher = start({ reminderHours: 6 });
    dispatcher.begin();
    await dispatcher.handle(event('failed'));
    await clock.pass(5.9 * HOUR);
    await passUntil(() => clock.waiting > 0);
    assert.equal(sent.length, 1);
    for (const count of [2, 3]) {
      const begun = clock.now();
      await until(async () => {
        // It waits again when what it began is done.
        if (clock.waiting > 0) await clock.pass(60_000);
        return sent.length >= count;
      });
      const hours = (clock.now() - begun) / HOUR;
      assert.ok(hours < 6.5, `${hours} hours`);
    }
    assert.equal(sent[1]?.event, 'reminder');
    assert.match(sent[1]?.summary ?? '', /has not succeeded for 6 h\. .*shop: the backup has failed/);
    await dispatcher.handle(event('succeeded'));
    const before = sent.length;
    await clock.pass(13 * HOUR);
    await passUntil(() => clock.waiting > 0);
    assert.equal(sent.length, before);
  });

  it('reminds of a failure that nobody could be told, and of none that nobody is to be told', async () => {
    const dispatcher = start({ deliver: 'changes', severity: 'error', reminderHours: 6 });
    dispatcher.begin();
    failing = true;
    await dispatcher.handle(event('partial', 'a'));
    await dispatcher.handle(event('failed', 'b'));
    failing = false;
    await until(async () => {
      if (clock.waiting > 0) await clock.pass(60_000);
      return sent.length > 0;
    });
    await dispatcher.handle(event('succeeded', 'a'));
    await dispatcher.handle(event('succeeded', 'b'));
    assert.deepEqual(titles(), ['b: still not backed up', 'b: backups work again']);
  });

  it('lets one of several processes remind', async () => {
    const memory = store.notifications(NODE);
    await start({ reminderHours: 6 }).handle(event('failed'));
    const [standing] = await memory.standings();
    assert.ok(standing?.told);
    const now = '2026-11-23T17:00:00.000Z';
    assert.equal(await memory.remind('shop', standing.remindedAt, now), true);
    assert.equal(await memory.remind('shop', standing.remindedAt, now), false);
  });

  it('sends a digest a day, of a day without any backup, too', async () => {
    const dispatcher = start({ deliver: 'digest', digestTime: '08:00' });
    dispatcher.begin();
    await passUntil(() => clock.waiting > 0);
    for (const name of ['succeeded', 'failed', 'succeeded'] as const) {
      assert.equal((await dispatcher.handle(event(name))).status, 'suppressed');
    }
    await clock.until('2026-11-24T08:00:30Z');
    await passUntil(() => sent.length === 1);
    const [digest] = sent;
    assert.equal(digest?.title, 'Backups: 2 succeeded, 1 failed');
    assert.equal(digest?.severity, 'error');
    assert.match(JSON.stringify(digest?.facts), /2 succeeded, 1 failed, last 2026-11-23 10:00 UTC/);
    assert.match(digest?.errors.join() ?? '', /2026-11-23 10:00 UTC shop: the backup has failed/);
    await passUntil(() => clock.waiting > 0);
    await clock.until('2026-11-25T08:00:30Z');
    await passUntil(() => sent.length === 2);
    assert.equal(sent[1]?.title, 'Backups: nothing has run');
    assert.equal(sent[1]?.severity, 'warning');
  });

  it('sends the digest of a restarted process, and one that was missed', async () => {
    const first = start({ deliver: 'digest' });
    first.begin();
    await passUntil(() => clock.waiting > 0);
    await first.handle(event('failed'));
    first.stop();
    await store.close();
    clock.set('2026-11-24T11:00:00Z');
    store = await openStore(folder);
    start({ deliver: 'digest' }).begin();
    await passUntil(() => sent.length === 1);
    assert.equal(sent[0]?.title, 'Backups: 1 failed');
  });

  it('keeps for the next digest what could not be delivered, and reports it', async () => {
    const dispatcher = start({ deliver: 'digest' });
    dispatcher.begin();
    await passUntil(() => clock.waiting > 0);
    await dispatcher.handle(event('failed'));
    failing = true;
    await clock.until('2026-11-24T08:00:30Z');
    await passUntil(() => reported.length === 1);
    failing = false;
    await passUntil(() => clock.waiting > 0);
    await clock.until('2026-11-25T08:00:30Z');
    await passUntil(() => sent.length === 1);
    assert.equal(sent[0]?.title, 'Backups: 1 failed');
    assert.deepEqual(reported, ['nobody is there']);
  });

  it('tells changes at once beside a digest', async () => {
    const dispatcher = start({ deliver: 'digest-and-changes' });
    for (const name of ['succeeded', 'failed', 'failed', 'succeeded'] as const)
      await dispatcher.handle(event(name));
    assert.deepEqual(titles(), ['shop: backup failed', 'shop: backups work again']);
    const { entries } = await store.notifications(NODE).collected();
    assert.deepEqual(
      entries.map((entry) => entry.event),
      ['succeeded', 'failed', 'failed', 'succeeded'],
    );
  });

  it('keeps the last deliveries of each notifier, with their errors', async () => {
    const dispatcher = start({});
    for (let count = 0; count < 105; count += 1) await dispatcher.handle(event('succeeded'));
    failing = true;
    await dispatcher.handle(event('failed'));
    const deliveries = await store.notifications(NODE).deliveries(1000);
    assert.equal(deliveries.length, 100);
    assert.deepEqual(
      [deliveries[0]?.status, deliveries[0]?.error, deliveries[0]?.attempts, deliveries[1]?.responseId],
      ['failed', 'nobody is there', 5, '105'],
    );
    assert.deepEqual(await store.notifications('another').deliveries(5), []);
  });
});
