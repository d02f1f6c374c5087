import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { BLOCK_BYTES } from '../../../lib/bytes/stream.ts';
import { noise, sha256 } from '../../support/byte-streams.ts';
import { type Harness, never } from './fixture.ts';

/** How far the memory of a transfer may grow, in bytes: far below the object, above what a GC leaves. */
const MEMORY_BYTES = 256 * BLOCK_BYTES;

/** Many at once, large, slow. */
export function loadTests(harness: Harness): void {
  describe('load', () => {
    it('takes eight writers at once', async () => {
      const contents = Array.from({ length: 8 }, (_, index) => noise(1_500_000 + index, index + 1));
      await Promise.all(
        contents.map(async (content, index) => await harness.put(`job/set/${index}`, content)),
      );
      assert.equal((await harness.paths()).length, 8);
      for (const [index, content] of contents.entries()) {
        assert.equal(sha256(await harness.get(`job/set/${index}`)), sha256(content));
      }
    });

    it('takes a stream that trickles', async function () {
      const idleMs = harness.fixture.idleMs ?? 1500;
      this.timeout(idleMs * 2 + 60_000);
      async function* trickle(): AsyncGenerator<Buffer> {
        yield Buffer.from('first ');
        await wait(idleMs);
        yield Buffer.from('second');
        await wait(idleMs);
      }
      const pending = await harness.write('slow', trickle());
      await pending.commit();
      assert.equal((await harness.get('slow')).toString(), 'first second');
    });

    it('takes a large object in constant memory, and gives it back', async function () {
      this.timeout(900_000);
      const blocks = Math.ceil((harness.fixture.largeObjectBytes ?? 256 * BLOCK_BYTES) / BLOCK_BYTES);
      const memory = new MemoryPeak();
      const sent = createHash('sha256');
      async function* large(): AsyncGenerator<Buffer> {
        for (let index = 0; index < blocks; index += 1) {
          const block = numbered(index);
          sent.update(block);
          memory.sample();
          yield block;
        }
      }
      const pending = await harness.write('large', large());
      assert.equal(pending.bytes, blocks * BLOCK_BYTES);
      await pending.commit();
      const received = createHash('sha256');
      let bytes = 0;
      for await (const chunk of await harness.driver.read('large', { signal: never })) {
        received.update(chunk);
        bytes += chunk.length;
        memory.sample();
      }
      assert.equal(bytes, blocks * BLOCK_BYTES);
      assert.equal(received.digest('hex'), sent.digest('hex'));
      if (harness.driver.properties.ranges) {
        const last = (blocks - 1) * BLOCK_BYTES;
        assert.ok(
          (await harness.get('large', { start: last })).equals(numbered(blocks - 1)),
          'its last block',
        );
      }
      assert.ok(
        memory.growth < MEMORY_BYTES,
        `memory grew by ${Math.round(memory.growth / BLOCK_BYTES)} MiB`,
      );
    });
  });
}

/** A block that differs from every other one, without the cost of filling it with noise. */
function numbered(index: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.writeUInt32LE(index, 0);
  block.writeUInt32LE(index, BLOCK_BYTES - 4);
  return block;
}

class MemoryPeak {
  readonly #start = process.memoryUsage.rss();
  #peak = this.#start;

  sample(): void {
    this.#peak = Math.max(this.#peak, process.memoryUsage.rss());
  }

  get growth(): number {
    return this.#peak - this.#start;
  }
}
