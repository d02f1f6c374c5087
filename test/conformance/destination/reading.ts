import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { ByteStream } from '../../../lib/bytes/stream.ts';
import { noise, sha256 } from '../../support/byte-streams.ts';
import { type Harness, never, rejectsWith } from './fixture.ts';

/** What is read is what was written, whole or in part. */
export function readingTests(harness: Harness): void {
  describe('reading', () => {
    it('gives back zero bytes', async () => {
      await harness.put('empty', Buffer.alloc(0));
      assert.equal((await harness.driver.stat('empty', never))?.bytes, 0);
      assert.equal((await harness.get('empty')).length, 0);
      assert.deepEqual(await harness.paths(), ['empty']);
    });

    it('gives back what came in chunks of any size', async () => {
      const content = noise(5_000_000, 3);
      async function* uneven(): AsyncGenerator<Buffer> {
        let at = 0;
        for (const size of [0, 1, 2, 3, 1000, 0, 65_536, 2_500_000, 7, 1_048_576]) {
          yield content.subarray(at, at + size);
          at += size;
        }
        yield content.subarray(at);
      }
      await harness.put('a', await bytesOf(uneven()));
      const pending = await harness.write('b', uneven());
      assert.equal(pending.bytes, content.length);
      await pending.commit();
      assert.equal(sha256(await harness.get('b')), sha256(content));
      assert.equal(sha256(await harness.get('a')), sha256(content));
    });

    it('takes thousands of tiny chunks', async () => {
      const content = noise(20_000, 4);
      async function* tiny(): AsyncGenerator<Buffer> {
        for (let at = 0; at < content.length; at += 1) yield content.subarray(at, at + 1);
      }
      const pending = await harness.write('a', tiny());
      await pending.commit();
      assert.equal(sha256(await harness.get('a')), sha256(content));
    });

    it('gives chunks that stay as they are when the next one comes', async () => {
      const content = noise(4_000_000, 5);
      await harness.put('a', content);
      const chunks: { chunk: Buffer; hash: string }[] = [];
      for await (const chunk of await harness.driver.read('a', { signal: never })) {
        chunks.push({ chunk, hash: sha256(chunk) });
      }
      for (const { chunk, hash } of chunks) assert.equal(sha256(chunk), hash);
    });

    it('reads no chunk any more that it has released to its producer', async () => {
      const content = noise(12_000_000, 8);
      const lent = new Set<Buffer>();
      const producer: ByteStream = {
        async *[Symbol.asyncIterator]() {
          for (let at = 0; at < content.length; at += 300_000) {
            const chunk = Buffer.from(content.subarray(at, at + 300_000));
            lent.add(chunk);
            yield chunk;
          }
        },
        release: (chunk) => {
          assert.ok(lent.delete(chunk), 'released once, as it was given');
          chunk.fill(0xff);
        },
      };
      const pending = await harness.write('a', producer);
      await pending.commit();
      assert.equal(sha256(await harness.get('a')), sha256(content));
    });

    it('uses only those chunks again that were released', async () => {
      const content = noise(12_000_000, 9);
      await harness.put('a', content);
      const stream = await harness.driver.read('a', { signal: never });
      const hash = createHash('sha256');
      const kept: { chunk: Buffer; hash: string }[] = [];
      for await (const chunk of stream) {
        hash.update(chunk);
        if (kept.length < 3) kept.push({ chunk, hash: sha256(chunk) });
        else stream.release?.(chunk);
      }
      assert.equal(hash.digest('hex'), sha256(content));
      for (const each of kept) assert.equal(sha256(each.chunk), each.hash);
    });

    const withRanges = harness.has('ranges') ? it : () => {};
    withRanges('reads ranges', async () => {
      const content = noise(3_500_000, 6);
      await harness.put('a', content);
      const ranges: [number, number | undefined][] = [
        [0, 1],
        [0, 1_048_576],
        [1_048_575, 1_048_577],
        [123_456, 2_345_678],
        [3_499_999, undefined],
        [3_000_000, 99_000_000],
        [17, undefined],
        [5, 5],
      ];
      for (const [start, end] of ranges) {
        const range = end === undefined ? { start } : { start, end };
        const part = await harness.get('a', range);
        assert.ok(part.equals(content.subarray(start, end)), `bytes ${start} to ${end ?? 'the end'}`);
      }
      await rejectsWith(harness.get('a', { start: content.length + 1 }), 'invalid-config');
      await rejectsWith(harness.get('a', { start: -1 }), 'invalid-config');
      await rejectsWith(harness.get('a', { start: 9, end: 3 }), 'invalid-config');
    });

    it('can be left early, and before the first chunk', async () => {
      await harness.put('a', noise(8_000_000));
      for await (const chunk of await harness.driver.read('a', { signal: never })) {
        assert.ok(chunk.length > 0);
        break;
      }
      const stream = await harness.driver.read('a', { signal: never });
      await stream[Symbol.asyncIterator]().return?.();
      await harness.driver.remove('a', never);
    });

    it('says not-found for what is not there', async () => {
      const error = await rejectsWith(harness.get('no/such/object'), 'not-found');
      assert.match(error.message, /object/);
      await harness.put('folder/a', Buffer.from('a'));
      await rejectsWith(harness.get('folder'), 'not-found');
      assert.equal(await harness.driver.stat('folder', never), undefined);
    });

    it('reads several objects at once', async () => {
      const contents = [1, 2, 3, 4].map((seed) => noise(2_000_000, seed));
      for (const [index, content] of contents.entries()) await harness.put(`${index}`, content);
      const read = await Promise.all(contents.map(async (_, index) => await harness.get(`${index}`)));
      assert.deepEqual(read.map(sha256), contents.map(sha256));
    });
  });
}

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
