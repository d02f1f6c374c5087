import assert from 'node:assert/strict';
import { partialResult } from '../support/run-results.ts';
import { describeStores } from '../support/stores.ts';

describeStores('runs that somebody wants to end', (store) => {
  const openedAt = new Date('2026-03-01T10:00:00Z');

  it('are told to the process that runs them, with the first reason', async () => {
    const [owner, other] = [await store.open(), await store.open()];
    await owner.journal.opened({ id: 'r1', job: 'shop', openedAt });
    await owner.journal.opened({ id: 'r2', job: 'shop', openedAt });
    assert.equal(await other.cancellations.request('r1', 'too slow'), 'planning');
    assert.equal(await other.cancellations.request('r1', 'again'), 'planning');
    assert.deepEqual(await owner.cancellations.requested(['r1', 'r2', 'r3']), new Map([['r1', 'too slow']]));
    assert.deepEqual(await owner.cancellations.requested([]), new Map());
    await owner.close();
    await other.close();
  });

  it('are told as they are when they have ended, or are unknown', async () => {
    const opened = await store.open();
    await opened.journal.opened({ id: 'r1', job: 'shop', openedAt });
    await opened.journal.finished({ ...partialResult('r1'), state: 'cancelled' });
    assert.equal(await opened.cancellations.request('r1', 'late'), 'cancelled');
    assert.deepEqual(await opened.cancellations.requested(['r1']), new Map());
    assert.equal(await opened.cancellations.request('none', 'why'), undefined);
    assert.equal(await opened.cancellations.stateOf('r1'), 'cancelled');
    assert.equal(await opened.cancellations.stateOf('none'), undefined);
    await opened.close();
  });

  it('are listed while they wait and go on, whichever process runs them', async () => {
    const [one, two] = [await store.open(), await store.open()];
    await one.journal.opened({ id: 'r1', job: 'shop', openedAt });
    await one.journal.state('r1', 'queued');
    await one.journal.state('r1', 'running');
    await two.journal.opened({ id: 'r2', job: 'wiki', openedAt: new Date(openedAt.getTime() + 1000) });
    await two.journal.state('r2', 'queued');
    await two.journal.opened({ id: 'r3', job: 'wiki', openedAt });
    await two.journal.finished({ ...partialResult('r3'), state: 'failed' });
    await one.cancellations.request('r2', 'not today');
    const runs = await one.activeRuns();
    assert.deepEqual(
      runs.map(({ id, job, state, cancelReason, pid, startedAt }) => [
        id,
        job,
        state,
        cancelReason,
        pid,
        startedAt !== null,
      ]),
      [
        ['r1', 'shop', 'running', null, process.pid, true],
        ['r2', 'wiki', 'queued', 'not today', process.pid, false],
      ],
    );
    await one.close();
    await two.close();
  });
});
