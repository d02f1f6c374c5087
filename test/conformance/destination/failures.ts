import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver, ObjectInfo } from '../../../lib/destinations/driver.ts';
import { BackupError } from '../../../lib/errors.ts';
import { collect, noise } from '../../support/byte-streams.ts';
import { type Harness, hangingStream, never, type Operation, rejectsWith } from './fixture.ts';

/** How soon an abort must be through, in milliseconds. */
const ABORT_MS = 2000;
const ALL: readonly Operation[] = ['probe', 'write', 'read', 'list', 'stat', 'remove', 'sweep'];

/** What goes wrong leaves nothing behind and says what it was. */
export function failureTests(harness: Harness): void {
  describe('failures', () => {
    it('passes the error of a broken stream on and leaves nothing', async () => {
      const cause = new BackupError('incomplete', 'the dump died');
      async function* dying(): AsyncGenerator<Buffer> {
        yield noise(3_000_000);
        throw cause;
      }
      const thrown = await harness.write('job/set/a', dying()).catch((error: unknown) => error);
      assert.equal(thrown, cause);
      assert.deepEqual(await harness.storage.traces(), []);
    });

    it('takes no byte when the signal was aborted before', async () => {
      let taken = 0;
      async function* counted(): AsyncGenerator<Buffer> {
        taken += 1;
        yield Buffer.from('x');
      }
      const aborted = AbortSignal.abort();
      await rejectsWith(harness.write('a', counted(), { signal: aborted }), 'aborted');
      await rejectsWith(harness.driver.read('a', { signal: aborted }), 'aborted');
      await rejectsWith(harness.driver.stat('a', aborted), 'aborted');
      await rejectsWith(harness.driver.remove('a', aborted), 'aborted');
      await rejectsWith(harness.driver.probe(aborted), 'aborted');
      await rejectsWith(harness.driver.sweep(new Date(), aborted), 'aborted');
      await rejectsWith(drain(harness.driver.list('', aborted)), 'aborted');
      assert.equal(taken, 0);
      assert.deepEqual(await harness.storage.traces(), []);
    });

    it('aborts at once while its producer hangs, tells the producer, and leaves nothing', async () => {
      const { stream, ended, reached } = hangingStream(noise(2_500_000));
      const cancel = new AbortController();
      const writing = harness.write('job/set/a', stream, { signal: cancel.signal });
      writing.catch(() => {});
      await reached;
      const started = performance.now();
      cancel.abort();
      await rejectsWith(writing, 'aborted');
      assert.ok(performance.now() - started < ABORT_MS, 'within two seconds');
      assert.ok(ended(), 'the producer was told');
      assert.deepEqual(await harness.storage.traces(), []);
    });

    it('aborts at any point of a transfer and leaves nothing', async () => {
      for (const afterBytes of [1, 1_500_000, 6_000_000, 11_999_999]) {
        const cancel = new AbortController();
        async function* source(): AsyncGenerator<Buffer> {
          for (let at = 0; at < 12_000_000; at += 100_000) {
            if (at + 100_000 > afterBytes && !cancel.signal.aborted) setImmediate(() => cancel.abort());
            await wait(0);
            yield noise(100_000, at + 1);
          }
        }
        const started = performance.now();
        const pending = await harness
          .write('job/set/a', source(), { signal: cancel.signal })
          .catch((error: unknown) => error);
        // The last point may be after the transfer: then the object is pending, and is aborted as such.
        if (pending instanceof BackupError) assert.equal(pending.code, 'aborted');
        else await (pending as { abort(): Promise<void> }).abort();
        assert.ok(performance.now() - started < 30_000);
        assert.deepEqual(await harness.storage.traces(), [], `aborted after ${afterBytes} bytes`);
      }
    });

    it('passes the reason of an abort on', async () => {
      const reason = new BackupError('stalled', 'nothing came for a minute');
      const { stream, reached } = hangingStream(Buffer.from('x'));
      const cancel = new AbortController();
      const writing = harness.write('a', stream, { signal: cancel.signal });
      writing.catch(() => {});
      await reached;
      cancel.abort(reason);
      assert.equal(await writing.catch((error: unknown) => error), reason);
    });

    it('stops reading when it is aborted half-way', async () => {
      await harness.put('a', noise(9_000_000));
      const cancel = new AbortController();
      const stream = await harness.driver.read('a', { signal: cancel.signal });
      const reading = (async () => {
        for await (const chunk of stream) {
          assert.ok(chunk.length > 0);
          cancel.abort();
        }
      })();
      await rejectsWith(reading, 'aborted');
    });

    const withFreeSpace = harness.has('free space') ? it : () => {};
    withFreeSpace('refuses what cannot fit before a byte is taken', async () => {
      const free = await harness.driver.freeSpace?.(never);
      assert.ok(free !== undefined && free > 0);
      let taken = 0;
      async function* counted(): AsyncGenerator<Buffer> {
        taken += 1;
        yield Buffer.from('x');
      }
      const error = await rejectsWith(harness.write('a', counted(), { expectedBytes: free * 2 }), 'no-space');
      assert.match(error.message, /free/);
      assert.equal(taken, 0);
      assert.deepEqual(await harness.storage.traces(), []);
    });

    it('sweeps what killed writers left, and only what is old enough', async () => {
      await harness.put('job/set/a', Buffer.from('committed'));
      await harness.storage.dieWriting('job/set/dead');
      await harness.storage.dieWriting('job/dead set/dead');
      assert.deepEqual(await harness.paths(), ['job/set/a'], 'what is dead is not listed');

      await assertTold(harness, 'job/set', 1);
      await assertTold(harness, '', 2);
      assert.deepEqual(await harness.driver.sweep(new Date(Date.now() - 3_600_000), never), []);
      const swept = await harness.driver.sweep(new Date(Date.now() + 60_000), never);
      assert.equal(swept.length, 2, `swept ${JSON.stringify(swept)}`);
      assert.deepEqual(
        (await harness.storage.traces()).filter((trace) => !trace.endsWith('/')),
        ['job/set/a'],
      );
      assert.equal((await harness.get('job/set/a')).toString(), 'committed');
    });

    it('writes what a dead writer had begun', async () => {
      await harness.storage.dieWriting('job/set/a');
      await harness.put('job/set/a', Buffer.from('second try'));
      assert.equal((await harness.get('job/set/a')).toString(), 'second try');
    });

    for (const broken of harness.fixture.broken) {
      it(`says so when ${broken.name}`, async () => {
        const { driver, close } = await broken.open();
        try {
          for (const operation of broken.fails ?? ALL) {
            const error = await rejectsWith(perform(driver, operation), broken.code);
            assert.match(error.message, broken.message, operation);
          }
        } finally {
          await close?.();
        }
      });
    }
  });
}

async function perform(driver: DestinationDriver, operation: Operation): Promise<unknown> {
  async function* bytes(): AsyncGenerator<Buffer> {
    yield Buffer.alloc(100_000);
  }
  switch (operation) {
    case 'probe':
      return await driver.probe(never);
    case 'write':
      return await driver.write('job/set/a', bytes(), { signal: never });
    case 'read':
      return await collect(await driver.read('job/set/a', { signal: never }));
    case 'list':
      return await drain(driver.list('', never));
    case 'stat':
      return await driver.stat('job/set/a', never);
    case 'remove':
      return await driver.remove('job/set/a', never);
    case 'sweep':
      return await driver.sweep(new Date(), never);
  }
}

/** Storages that can tell what is unfinished do so by folder, with the time of the latest bytes. */
async function assertTold({ driver }: Harness, folder: string, count: number): Promise<void> {
  if (driver.unfinished === undefined) return;
  const told: ObjectInfo[] = [];
  for await (const unfinished of driver.unfinished(folder, never)) told.push(unfinished);
  assert.equal(told.length, count, JSON.stringify(told));
  for (const { path, bytes, modified } of told) {
    assert.ok(path.startsWith('job/') && path.startsWith(folder), path);
    assert.ok(
      bytes >= 0 && Math.abs(Date.now() - modified.getTime()) < 600_000,
      `${bytes} bytes, ${modified}`,
    );
  }
}

async function drain(items: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of items) count += 1;
  return count;
}
