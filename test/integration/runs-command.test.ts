import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RunDetails } from '../../lib/store/run-details.ts';
import { STORE_FILE } from '../../lib/store/store.ts';
import { type RunsInput, runs } from '../../runner/commands/runs.ts';
import { createOutput } from '../../runner/output.ts';
import { captured } from '../support/captured-output.ts';
import { partialResult } from '../support/run-results.ts';
import { describeStores } from '../support/stores.ts';

const HOUR_MS = 3_600_000;

describeStores('dbackup runs', (testStore) => {
  const ask = async (input: Partial<RunsInput> = {}) => {
    const { streams, stdout } = captured();
    await runs(
      { data: testStore.dataDir, limit: 20, ...input },
      {
        output: createOutput(streams.stdout, streams.stderr),
        signal: new AbortController().signal,
        stopCode: () => undefined,
        onStop: () => undefined,
        env: testStore.env,
      },
    );
    return stdout();
  };
  const asked = async (input: Partial<RunsInput>) => {
    const { runs: found } = JSON.parse(await ask({ ...input, json: true })) as { runs: { id: string }[] };
    return found.map(({ id }) => id);
  };

  it('finds runs by job, states and time', async () => {
    const store = await testStore.open();
    const now = Date.now();
    for (const [id, job, hours] of [
      ['old', 'shop', 50],
      ['new', 'shop', 2],
      ['wiki', 'wiki', 1],
    ] as const) {
      const openedAt = new Date(now - hours * HOUR_MS);
      await store.journal.opened({ id, job, openedAt });
      await store.journal.finished({ ...partialResult(id), job, openedAt });
    }
    await store.journal.opened({ id: 'now', job: 'shop', openedAt: new Date(now) });
    assert.deepEqual(await asked({}), ['now', 'wiki', 'new', 'old']);
    assert.deepEqual(await asked({ job: 'shop', limit: 2 }), ['now', 'new']);
    assert.deepEqual(await asked({ state: ['planning', 'queued'] }), ['now']);
    assert.deepEqual(await asked({ state: ['planning', 'partial'], since: '24h' }), ['now', 'wiki', 'new']);
    const between = new Date(now - 10 * HOUR_MS).toISOString();
    assert.deepEqual(await asked({ since: between, state: ['partial'] }), ['wiki', 'new']);
    assert.deepEqual(await asked({ since: '2100-01-01' }), []);
    assert.equal(await ask({ job: 'none' }), 'No such runs are recorded\n');
    for (const since of ['yesterday', '2026-13-45', '5']) {
      await assert.rejects(ask({ since }), { code: 'invalid-config', message: /is not a moment/ });
    }
  });

  it('shows all that is known of one', async () => {
    const store = await testStore.open();
    await store.journal.opened({ id: 'r1', job: 'shop', openedAt: new Date('2026-03-01T10:00:00Z') });
    await store.journal.state('r1', 'running');
    await store.journal.stage('r1', 'dumping stock.db (2 of 2)');
    assert.match(await ask({ run: 'r1' }), /^Doing +dumping stock\.db \(2 of 2\)$/m);
    await store.journal.finished(partialResult('r1'));
    const text = await ask({ run: 'r1' });
    for (const line of [
      /^Run +r1$/m,
      /^State +partial$/m,
      /^Finished +2026-03-01 10:00:05 UTC, took 5\.0 s$/m,
      new RegExp(`^Process +pid ${process.pid} on `, 'm'),
      /^Database +shop\.db$/m,
      /^Database +stock\.db: FAILED: stock\.db is not a database$/m,
      /^Stored +near: file:\/\/\/near\/shop\/x \(partial, 1\.0 kB\)$/m,
      /^Stored +far: FAILED: far is full$/m,
      /dbackup logs r1/,
    ]) {
      assert.match(text, line);
    }
    const details = JSON.parse(await ask({ run: 'r1', json: true })) as RunDetails;
    assert.deepEqual(
      [details.id, details.process.pid, details.stage],
      ['r1', process.pid, 'dumping stock.db (2 of 2)'],
    );
    await assert.rejects(ask({ run: 'r2' }), { code: 'not-found', message: /no run "r2"/ });
  });

  if (testStore.kind === 'postgresql') return;

  it('does not make a history by asking', async () => {
    assert.equal(await ask(), 'No such runs are recorded\n');
    assert.equal(existsSync(join(testStore.dataDir, STORE_FILE)), false);
  });
});
