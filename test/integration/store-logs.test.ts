import assert from 'node:assert/strict';
import { BackupError } from '../../lib/errors.ts';
import type { LogLevel, LogLine } from '../../lib/logs/log-line.ts';
import { readLog } from '../../lib/logs/read-log.ts';
import type { Store } from '../../lib/store/store.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { describeStores } from '../support/stores.ts';

const AT = '2026-03-01T10:00:00.000Z';

describeStores('logs in the store', (testStore) => {
  let store: Store;

  beforeEach(async () => {
    store = await testStore.open();
  });

  const open = (id: string) => store.journal.opened({ id, job: 'shop', openedAt: new Date(AT) });
  const end = (runId: string) =>
    store.journal.finished({
      runId,
      job: 'shop',
      state: 'failed',
      openedAt: new Date(AT),
      finishedAt: new Date(AT),
      rawBytes: 0,
      artifacts: [],
      destinations: [],
      error: new BackupError('unavailable', 'no server'),
    });
  const line = (run: string, message: string, level: LogLevel = 'info'): LogLine => ({
    run,
    at: AT,
    level,
    node: 'n1',
    message,
  });
  const read = (run: string, level: LogLevel = 'debug', follow = false, clock = new FakeClock(AT)) =>
    readLog(store, run, { level, follow, clock, signal: new AbortController().signal });

  it('gives them back in order, by level and page', async () => {
    await open('r1');
    await open('r2');
    await store.writeLog([
      line('r1', 'one', 'debug'),
      line('r2', 'of another run'),
      line('r1', 'two', 'warn'),
      line('r1', 'three', 'error'),
    ]);
    const page = await store.log('r1', { limit: 2 });
    assert.ok(page !== undefined);
    assert.deepEqual(
      page.lines.map(({ number: _, ...rest }) => rest),
      [line('r1', 'one', 'debug'), line('r1', 'two', 'warn')],
    );
    const more = await store.log('r1', { after: page.lines[1]?.number });
    assert.deepEqual(
      more?.lines.map(({ message }) => message),
      ['three'],
    );
    const worst = await store.log('r1', { level: 'warn' });
    assert.deepEqual(
      worst?.lines.map(({ level }) => level),
      ['warn', 'error'],
    );
    assert.deepEqual([worst?.job, worst?.state, worst?.error], ['shop', 'planning', null]);
  });

  it('refuses lines of a run that it does not know, all of the batch', async () => {
    await open('r3');
    await assert.rejects(store.writeLog([line('r3', 'known'), line('r-unknown', 'unknown')]), BackupError);
    assert.deepEqual((await store.log('r3'))?.lines, []);
    assert.equal(await store.log('r-unknown'), undefined);
  });

  it('takes thousands of lines, which are read page by page', async () => {
    await open('r4');
    await store.writeLog(Array.from({ length: 2002 }, (_, index) => line('r4', `line ${index}`)));
    const sizes: number[] = [];
    for await (const page of read('r4')) sizes.push(page.lines.length);
    assert.deepEqual(sizes, [1000, 1000, 2]);
  });

  it('is followed until the run has ended, with the lines that came just before', async () => {
    await open('r5');
    await store.writeLog([line('r5', 'first')]);
    const clock = new FakeClock(AT);
    const seen: string[] = [];
    const following = (async () => {
      for await (const page of read('r5', 'debug', true, clock)) {
        seen.push(...page.lines.map(({ message }) => message), page.state);
      }
    })();
    await clock.pass(1000);
    await store.writeLog([line('r5', 'second')]);
    await clock.pass(1000);
    await store.writeLog([line('r5', 'last')]);
    await end('r5');
    let ended = false;
    void following.then(() => (ended = true));
    while (!ended) await clock.pass(1000);
    assert.deepEqual(
      seen.filter((entry) => entry !== 'planning'),
      ['first', 'second', 'last', 'failed'],
    );
    assert.equal((await store.log('r5'))?.error, 'no server');
  });

  it('says that a run is not known', async () => {
    await assert.rejects(read('r-unknown').next(), /The history knows no run r-unknown/);
  });
});
