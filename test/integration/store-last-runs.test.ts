import assert from 'node:assert/strict';
import type { FinalState } from '../../lib/runs/states.ts';
import type { Store } from '../../lib/store/store.ts';
import { describeStores } from '../support/stores.ts';

describeStores('what the store is asked for health and metrics', (testStore) => {
  let store: Store;

  beforeEach(async () => {
    store = await testStore.open();
  });

  async function run(runId: string, job: string, state: FinalState, hour: number): Promise<void> {
    const openedAt = new Date(Date.UTC(2026, 2, 1, hour));
    const finishedAt = new Date(Date.UTC(2026, 2, 1, hour, 30));
    await store.journal.opened({ id: runId, job, openedAt });
    const result = { runId, job, state, openedAt, finishedAt, rawBytes: hour * 100 };
    await store.journal.finished({ ...result, artifacts: [], destinations: [] });
  }

  it('tells how the last run of each job ended, and when one last succeeded', async () => {
    assert.deepEqual(await store.lastRuns(), []);
    await run('r1', 'shop', 'succeeded', 1);
    await run('r2', 'shop', 'succeeded', 3);
    await run('r3', 'shop', 'failed', 5);
    await run('r4', 'files', 'partial', 2);
    await store.journal.opened({ id: 'r5', job: 'shop', openedAt: new Date('2026-03-01T07:00:00Z') });
    await store.journal.opened({ id: 'r6', job: 'new', openedAt: new Date('2026-03-01T07:00:00Z') });
    const last = (await store.lastRuns()).toSorted((a, b) => a.job.localeCompare(b.job));
    assert.deepEqual(last, [
      {
        job: 'files',
        state: 'partial',
        openedAt: '2026-03-01T02:00:00.000Z',
        finishedAt: '2026-03-01T02:30:00.000Z',
        rawBytes: 200,
        succeededAt: null,
      },
      {
        job: 'shop',
        state: 'failed',
        openedAt: '2026-03-01T05:00:00.000Z',
        finishedAt: '2026-03-01T05:30:00.000Z',
        rawBytes: 500,
        succeededAt: '2026-03-01T03:30:00.000Z',
      },
    ]);
  });
});
