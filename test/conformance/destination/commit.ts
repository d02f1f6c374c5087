import assert from 'node:assert/strict';
import type { PendingObject } from '../../../lib/destinations/driver.ts';
import { noise, sha256 } from '../../support/byte-streams.ts';
import { type Harness, never, rejectsWith } from './fixture.ts';

/** Nothing visible before the commit, everything after it, and never over something else. */
export function commitTests(harness: Harness): void {
  describe('commit', () => {
    const content = noise(3_000_000, 7);

    it('tells what it is, and where without secrets', async () => {
      assert.match(harness.driver.kind, /^[a-z][a-z0-9-]*$/);
      assert.ok(harness.driver.describe().length > 0);
      const { ranges, atomicReplace, concurrency } = harness.driver.properties;
      assert.ok(concurrency >= 1);
      assert.equal(ranges, harness.has('ranges'));
      assert.equal(atomicReplace, harness.has('atomic replace'));
      const free = await harness.driver.freeSpace?.(never);
      assert.equal(free !== undefined, harness.has('free space'), `${free} bytes free`);
    });

    it('shows nothing before the commit, and everything after it', async () => {
      const pending = await harness.write('job/set/a.bin', content);
      assert.equal(pending.bytes, content.length);
      assert.deepEqual(await harness.paths(), []);
      assert.equal(await harness.driver.stat('job/set/a.bin', never), undefined);
      await rejectsWith(harness.get('job/set/a.bin'), 'not-found');

      await pending.commit();
      assert.deepEqual(await harness.paths(), ['job/set/a.bin']);
      const info = await harness.driver.stat('job/set/a.bin', never);
      assert.equal(info?.path, 'job/set/a.bin');
      assert.equal(info.bytes, content.length);
      assert.ok(Math.abs(Date.now() - info.modified.getTime()) < 300_000, 'modified about now');
      assert.equal(sha256(await harness.get('job/set/a.bin')), sha256(content));
    });

    it('leaves no temporary name after the commit', async () => {
      await harness.put('job/set/a.bin', content);
      const traces = await harness.storage.traces();
      assert.deepEqual(
        traces.filter((trace) => !trace.endsWith('/')),
        ['job/set/a.bin'],
      );
    });

    it('leaves nothing after an abort, however often it is called', async () => {
      await harness.put('job/other', Buffer.from('stays'));
      const before = await harness.storage.traces();
      const pending = await harness.write('job/set/deep/a.bin', content);
      await pending.abort();
      await pending.abort();
      assert.deepEqual(await harness.storage.traces(), before);
    });

    it('does not take a committed object back when abort is called late', async () => {
      const pending = await harness.write('a', content);
      await pending.commit();
      await pending.abort();
      assert.equal(sha256(await harness.get('a')), sha256(content));
    });

    it('refuses to commit after an abort', async () => {
      const pending = await harness.write('a', content);
      await pending.abort();
      await assert.rejects(pending.commit());
      assert.deepEqual(await harness.paths(), []);
    });

    it('refuses to overwrite, before a byte is taken', async () => {
      await harness.put('a', Buffer.from('first'));
      let taken = 0;
      async function* counted(): AsyncGenerator<Buffer> {
        taken += 1;
        yield Buffer.from('second');
      }
      await rejectsWith(harness.write('a', counted()), 'already-exists');
      assert.equal(taken, 0);
      assert.equal((await harness.get('a')).toString(), 'first');
    });

    it('lets exactly one of several racing writers win', async () => {
      const contents = [1, 2, 3, 4, 5, 6].map((seed) => noise(100_000 + seed, seed));
      const drivers = [harness.driver, harness.storage.again()];
      const pending: PendingObject[] = await Promise.all(
        contents.map(async (each, index) => {
          const driver = drivers[index % 2] ?? harness.driver;
          return await driver.write('race/a', streamOf(each), { signal: never });
        }),
      );
      const results = await Promise.allSettled(pending.map(async (each) => await each.commit()));
      const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []));
      assert.equal(winners.length, 1, `${winners.length} writers won`);
      for (const [index, result] of results.entries()) {
        if (result.status === 'fulfilled') continue;
        await rejectsWith(Promise.reject(result.reason), 'already-exists');
        await pending[index]?.abort();
      }
      const expected = contents[winners[0] ?? 0] ?? Buffer.alloc(0);
      assert.equal(sha256(await harness.get('race/a')), sha256(expected));
      const files = (await harness.storage.traces()).filter((trace) => !trace.endsWith('/'));
      assert.deepEqual(files, ['race/a']);
    });

    it('replaces when asked to, and shows the old content until then', async () => {
      const old = noise(400_000, 1);
      const next = noise(500_000, 2);
      await harness.put('job/annotations.json', old);
      const pending = await harness.write('job/annotations.json', next, { replace: true });
      assert.equal(sha256(await harness.get('job/annotations.json')), sha256(old));
      await pending.commit();
      assert.equal(sha256(await harness.get('job/annotations.json')), sha256(next));
      assert.deepEqual(await harness.paths(), ['job/annotations.json']);
    });

    it('keeps the old content when a replacement is aborted', async () => {
      await harness.put('a', Buffer.from('old'));
      const pending = await harness.write('a', Buffer.from('new'), { replace: true });
      await pending.abort();
      assert.equal((await harness.get('a')).toString(), 'old');
    });

    it('replaces what is not there yet', async () => {
      await harness.put('a', Buffer.from('new'), { replace: true });
      assert.equal((await harness.get('a')).toString(), 'new');
    });

    const atomically = harness.has('atomic replace') ? it : () => {};
    atomically('never shows a mixture while it replaces', async () => {
      const versions = [noise(200_000, 1), noise(200_000, 2)];
      const hashes = versions.map((version) => sha256(version));
      await harness.put('a', versions[0] ?? Buffer.alloc(0));
      let replacing = true;
      const readers = (async () => {
        while (replacing) assert.ok(hashes.includes(sha256(await harness.get('a'))), 'a whole version');
      })();
      for (let turn = 1; turn <= 10; turn += 1) {
        await harness.put('a', versions[turn % 2] ?? Buffer.alloc(0), { replace: true });
      }
      replacing = false;
      await readers;
    });
  });
}

async function* streamOf(content: Buffer): AsyncGenerator<Buffer> {
  yield content;
}
