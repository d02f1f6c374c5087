import assert from 'node:assert/strict';
import { partialResult } from '../support/run-results.ts';
import { describeStores } from '../support/stores.ts';

describeStores('what the store remembers', (store) => {
  it('remembers a run with what became of each database and destination', async () => {
    const opened = await store.open();
    await opened.journal.opened({ id: 'r1', job: 'shop', openedAt: new Date('2026-03-01T10:00:00Z') });
    await opened.journal.state('r1', 'running');
    await opened.journal.finished(partialResult('r1'));
    await opened.close();

    const again = await store.open();
    const [run, ...others] = await again.runs();
    await again.close();
    assert.deepEqual(others, []);
    assert.ok(run);
    assert.equal(run.state, 'partial');
    assert.equal(run.rawBytes, 4096);
    assert.equal(run.finishedAt, '2026-03-01T10:00:05.000Z');
    assert.notEqual(run.startedAt, null);
    assert.deepEqual(
      run.artifacts.map(({ database, error }) => [database, error?.code]),
      [
        ['shop.db', undefined],
        ['stock.db', 'corrupt'],
      ],
    );
    assert.deepEqual(
      run.destinations.map(({ label, set, error }) => [label, set?.storedBytes, error?.code]),
      [
        ['near', 1000, undefined],
        ['far', undefined, 'no-space'],
      ],
    );
    assert.deepEqual(run.destinations[0]?.set, {
      storage: 'file:///near',
      path: 'shop/x',
      status: 'partial',
      healed: false,
      rawBytes: 8192,
      storedBytes: 1000,
    });
  });

  it('lists the newest runs first, by job and up to a limit', async () => {
    const opened = await store.open();
    for (const [id, job, day] of [
      ['a', 'shop', 1],
      ['b', 'wiki', 2],
      ['c', 'shop', 3],
      ['d', 'shop', 4],
    ] as const) {
      await opened.journal.opened({ id, job, openedAt: new Date(Date.UTC(2026, 2, day)) });
    }
    const ids = async (query: Parameters<typeof opened.runs>[0]) =>
      (await opened.runs(query)).map((run) => run.id);
    assert.deepEqual(await ids({}), ['d', 'c', 'b', 'a']);
    assert.deepEqual(await ids({ job: 'shop', limit: 2 }), ['d', 'c']);
    assert.deepEqual(await ids({ job: 'none' }), []);
    await opened.close();
  });

  it('takes no run for dead that has stored a set', async () => {
    const opened = await store.open();
    for (const id of ['r1', 'r2']) await opened.journal.opened({ id, job: 'shop', openedAt: new Date() });
    await opened.journal.finished({ ...partialResult('r1'), state: 'failed' });
    await opened.close();
    const again = await store.open();
    assert.deepEqual([...(await again.fates(['r1', 'r2', 'r3']))], [['r2', 'dead']]);
    await again.close();
  });

  it('marks what a closing instance has under way as failed', async () => {
    const opened = await store.open();
    await opened.journal.opened({ id: 'r1', job: 'shop', openedAt: new Date() });
    await opened.close();
    const again = await store.open();
    const [run] = await again.runs();
    assert.equal(run?.state, 'failed');
    assert.match(run?.error?.message ?? '', /stopped before the run ended/);
    assert.deepEqual(again.interrupted, []);
    await again.close();
  });
});
