import assert from 'node:assert/strict';
import type { NotificationContent } from '../../lib/notifiers/content.ts';
import type { DeliveryRecord, DigestEntry } from '../../lib/notifiers/memory.ts';
import type { Standing } from '../../lib/notifiers/policy.ts';
import { describeStores } from '../support/stores.ts';

const NODE = 'a notifier';

const content: NotificationContent = {
  id: 'n1',
  event: 'failed',
  severity: 'error',
  at: '2026-03-01T10:00:00.000Z',
  job: 'shop',
  host: 'here',
  title: 'shop failed',
  summary: 'It has "no" space: 100 % – ü',
  facts: [],
  databases: [],
  destinations: [],
  errors: [],
  links: [],
  more: { databases: 0, destinations: 0, errors: 0 },
};

const standing: Standing = {
  level: 2,
  since: '2026-03-01T10:00:00.000Z',
  told: false,
  remindedAt: '2026-03-01T10:00:00.000Z',
  last: content,
};

const entry = (summary: string): DigestEntry => ({
  at: '2026-03-01T10:00:00.000Z',
  event: 'failed',
  severity: 'error',
  job: 'shop',
  summary,
});

const delivery = (title: string): DeliveryRecord => ({
  at: '2026-03-01T10:00:00.000Z',
  channel: 'webhook',
  event: 'failed',
  job: null,
  title,
  status: 'delivered',
  attempts: 1,
  responseId: null,
  error: 'it took\0two attempts',
});

describeStores('what the store remembers of notifiers', (store) => {
  it('keeps how jobs stand, for each notifier on its own', async () => {
    const opened = await store.open();
    const memory = opened.notifications(NODE);
    assert.equal(await memory.standing('shop'), undefined);
    await memory.keep('shop', standing);
    await memory.keep('shop', { ...standing, level: 3 });
    await memory.keep('wiki', standing);
    await opened.notifications('another').keep('shop', { ...standing, level: 1 });
    assert.deepEqual(await memory.standing('shop'), { ...standing, level: 3 });
    await memory.told('shop', '2026-03-01T11:00:00.000Z');
    await memory.keep('wiki', undefined);
    await opened.close();

    const again = await store.open();
    assert.deepEqual(await again.notifications(NODE).standings(), [
      { job: 'shop', ...standing, level: 3, told: true, remindedAt: '2026-03-01T11:00:00.000Z' },
    ]);
    assert.equal((await again.notifications('another').standing('shop'))?.level, 1);
  });

  it('lets one of several processes remind', async () => {
    const [one, other] = [await store.open(), await store.open()];
    await one.notifications(NODE).keep('shop', standing);
    const now = '2026-03-02T10:00:00.000Z';
    const claims = [one, other].map((each) =>
      each.notifications(NODE).remind('shop', standing.remindedAt, now),
    );
    assert.deepEqual((await Promise.all(claims)).sort(), [false, true]);
    assert.equal((await other.notifications(NODE).standing('shop'))?.remindedAt, now);
  });

  it('gathers the lines of a digest, and forgets those that were told', async () => {
    const memory = (await store.open()).notifications(NODE);
    assert.deepEqual(await memory.collected(), { entries: [], last: 0 });
    for (const summary of ['first', 'second']) await memory.collect(entry(summary));
    const { entries, last } = await memory.collected();
    assert.deepEqual(entries, [entry('first'), entry('second')]);
    await memory.collect(entry('third'));
    await memory.clear(last);
    assert.deepEqual((await memory.collected()).entries, [entry('third')]);
  });

  it('keeps the last 5000 lines of a digest that cannot be delivered', async () => {
    const opened = await store.open();
    const memory = opened.notifications(NODE);
    await opened.notifications('another').collect(entry('theirs'));
    await store.sql(`WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5002)
      INSERT INTO notification_entries (node, at, event, severity, job, summary)
      SELECT '${NODE}', '2026-03-01T10:00:00.000Z', 'failed', 'error', 'shop', 'line ' || n FROM numbers RETURNING id`);
    await memory.collect(entry('the last'));
    const { entries } = await memory.collected();
    assert.deepEqual([entries.length, entries[0]?.summary], [5000, 'line 4']);
    assert.equal(entries.at(-1)?.summary, 'the last');
    assert.equal((await store.sql('SELECT id FROM notification_entries')).length, 5001, 'none is hidden');
    assert.equal((await opened.notifications('another').collected()).entries.length, 1);
  });

  it('keeps the last 100 deliveries of each notifier', async () => {
    const opened = await store.open();
    const memory = opened.notifications(NODE);
    await opened.notifications('another').record(delivery('theirs'));
    for (let count = 1; count <= 103; count += 1) await memory.record(delivery(`${count}`));
    const kept = await memory.deliveries(1000);
    assert.equal(kept.length, 100);
    assert.deepEqual(
      (await memory.deliveries(2)).map(({ title }) => title),
      ['103', '102'],
    );
    const told = store.kind === 'sqlite' ? 'it took\0two attempts' : 'it took\u{fffd}two attempts';
    assert.deepEqual(kept.at(-1), { ...delivery('4'), error: told });
    assert.equal((await opened.notifications('another').deliveries(1000)).length, 1);
  });
});
