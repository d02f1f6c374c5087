import assert from 'node:assert/strict';
import type { RecordedVerification } from '../../lib/store/verifications.ts';
import { describeStores } from '../support/stores.ts';

describeStores('the history of verifications', (testStore) => {
  const found = (path: string, more: Partial<RecordedVerification> = {}): RecordedVerification => ({
    at: '2026-11-22T14:30:00.000Z',
    job: 'shop',
    run: '20261122T143000Z_9f86d081',
    storage: 'file:///backups',
    path,
    level: 'hash',
    ok: true,
    message: null,
    ...more,
  });

  it('keeps each, and finds those of a job or of a run, the newest first', async () => {
    const { verifications } = await testStore.open();
    const [first, second, third] = [
      found('a', { level: 'restore', message: 'restored' }),
      found('b', { ok: false, message: 'it is gone' }),
      found('c', { job: 'blog', run: 'other' }),
    ];
    for (const each of [first, second, third]) await verifications.record(each);
    assert.deepEqual(await verifications.list(), [third, second, first]);
    assert.deepEqual(await verifications.list({ job: 'shop', limit: 1 }), [second]);
    assert.deepEqual(await verifications.list({ run: 'other' }), [third]);
  });

  it('keeps no more than the newest thousand of a job', async () => {
    const { verifications } = await testStore.open();
    await testStore.sql(
      `INSERT INTO verifications (at, job, run, storage, path, level, ok)
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1005)
       SELECT '2026', CASE WHEN i > 3 THEN 'shop' ELSE 'blog' END, 'r', 's', 'p', 'hash', 1 FROM n`,
    );
    await verifications.record(found('last'));
    const [{ count } = { count: 0 }] = await testStore.sql<{ count: number }>(
      "SELECT count(*) AS count FROM verifications WHERE job = 'shop'",
    );
    assert.equal(Number(count), 1000);
    assert.equal((await verifications.list({ job: 'blog' })).length, 3);
    assert.equal((await verifications.list({ limit: 1 }))[0]?.path, 'last');
  });
});
