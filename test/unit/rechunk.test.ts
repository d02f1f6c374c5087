import assert from 'node:assert/strict';
import fc from 'fast-check';
import { rechunk } from '../../lib/bytes/rechunk.ts';
import { withRelease } from '../../lib/bytes/release.ts';
import { cut, noise } from '../support/byte-streams.ts';

async function blocksOf(stream: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const blocks: Buffer[] = [];
  for await (const block of stream) blocks.push(block);
  return blocks;
}

describe('rechunk', () => {
  it('gives exact blocks of the same bytes, whatever the chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 500 }),
        fc.array(fc.nat({ max: 60 }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 50 }),
        async (bytes, sizes, lastSize, blockBytes) => {
          const data = Buffer.from(bytes);
          const blocks = await blocksOf(rechunk(cut(data, ...sizes, lastSize), blockBytes, 4));
          assert.ok(Buffer.concat(blocks).equals(data));
          for (const block of blocks.slice(0, -1)) assert.equal(block.length, blockBytes);
          for (const block of blocks.slice(-1)) assert.ok(block.length > 0 && block.length <= blockBytes);
        },
      ),
    );
  });

  it('copies nothing that lies whole in a chunk', async () => {
    const data = noise(1000);
    const [first, second, rest] = await blocksOf(rechunk(cut(data, 250), 100, 4));
    assert.equal(first?.buffer, data.buffer);
    assert.equal(second?.buffer, data.buffer);
    assert.notEqual(rest?.buffer, data.buffer, 'a block of two chunks must be gathered');
    const chunk = noise(100);
    const [whole] = await blocksOf(rechunk(cut(chunk, 100), 100, 4));
    assert.equal(whole?.length, 100);
    assert.equal(whole?.byteOffset, chunk.byteOffset);
  });

  it('uses a gathered block again only after it was released', async () => {
    const memories = async (releasing: boolean) => {
      const blocks = rechunk(cut(noise(1000), 30), 100, 4);
      const seen = new Set<ArrayBufferLike>();
      for await (const block of blocks) {
        seen.add(block.buffer);
        if (releasing) blocks.release(block);
      }
      return seen.size;
    };
    assert.equal(await memories(false), 10);
    // The next block is begun while this one is in use: two take turns.
    assert.ok((await memories(true)) <= 2);
  });

  it('releases a chunk to its input once, when no block needs it any more', async () => {
    const data = noise(1000);
    const chunks = [100, 250, 60, 40, 100, 450].map((size, index, sizes) => {
      const at = sizes.slice(0, index).reduce((sum, one) => sum + one, 0);
      return data.subarray(at, at + size);
    });
    const released: number[] = [];
    async function* source() {
      yield* chunks;
    }
    const blocks = rechunk(
      withRelease(source(), (chunk) => released.push(chunks.indexOf(chunk))),
      100,
      4,
    );
    for await (const block of blocks) {
      const before = released.length;
      blocks.release(block);
      blocks.release(block);
      assert.ok(released.length - before <= 1, 'released twice');
    }
    // Chunks 1 and 5 were yielded as views, of which nobody knows when the last is done with.
    assert.deepEqual(released, [0, 2, 3, 4]);
  });
});
