import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type BorderLimits, contentBlocks } from '../../lib/bytes/content-borders.ts';
import { withRelease } from '../../lib/bytes/release.ts';
import type { ByteStream } from '../../lib/bytes/stream.ts';
import { collect, cut, noise, sha256, sqlText } from '../support/byte-streams.ts';

/** Small, so that some kilobytes have many borders. */
const LIMITS: BorderLimits = { leastBytes: 64, mostBytes: 1024, bits: 7 };

async function blocksOf(input: ByteStream, limits = LIMITS): Promise<Buffer[]> {
  const blocks: Buffer[] = [];
  for await (const block of contentBlocks(input, limits, 4)) blocks.push(block);
  return blocks;
}

/** Where blocks end, counted from the end of the data. */
function bordersFromTheEnd(blocks: readonly Buffer[]): number[] {
  let left = blocks.reduce((sum, block) => sum + block.length, 0);
  return blocks.map((block) => {
    left -= block.length;
    return left;
  });
}

describe('contentBlocks', () => {
  const bytes = () =>
    fc.oneof(
      fc.uint8Array({ maxLength: 6000 }).map((each) => Buffer.from(each)),
      fc.tuple(fc.nat({ max: 12_000 }), fc.nat({ max: 999 })).map(([length, seed]) => noise(length, seed)),
      fc.tuple(fc.nat({ max: 12_000 }), fc.nat({ max: 999 })).map(([length, seed]) => sqlText(length, seed)),
      fc.nat({ max: 5000 }).map((length) => Buffer.alloc(length)),
    );

  it('gives the same blocks of the same bytes, whatever the chunks, within the limits', async () => {
    await fc.assert(
      fc.asyncProperty(
        bytes(),
        fc.array(fc.nat({ max: 300 }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 3000 }),
        async (data, sizes, lastSize) => {
          const blocks = await blocksOf(cut(data, ...sizes, lastSize));
          assert.ok(Buffer.concat(blocks).equals(data));
          for (const block of blocks) assert.ok(block.length > 0 && block.length <= LIMITS.mostBytes);
          for (const block of blocks.slice(0, -1)) assert.ok(block.length >= LIMITS.leastBytes);
          const again = await blocksOf(cut(data, 4096));
          assert.deepEqual(
            again.map(({ length }) => length),
            blocks.map(({ length }) => length),
          );
        },
      ),
    );
  });

  it('has the same borders behind the first one that two streams with the same rest share', async () => {
    await fc.assert(
      fc.asyncProperty(bytes(), bytes(), bytes(), async (one, other, rest) => {
        const first = bordersFromTheEnd(await blocksOf(cut(Buffer.concat([one, rest]), 4096)));
        const second = bordersFromTheEnd(await blocksOf(cut(Buffer.concat([other, rest]), 4096)));
        const shared = first.find((border) => border <= rest.length && second.includes(border));
        if (shared === undefined) return;
        const behind = (borders: number[]) => borders.filter((border) => border <= shared);
        assert.deepEqual(behind(first), behind(second));
      }),
    );
  });

  it('finds common borders soon after an insertion, a removal and a change', async () => {
    const data = sqlText(600_000, 5);
    const before = new Set((await blocksOf(cut(data, 65_536))).map(sha256));
    assert.ok(before.size > 1000, `${before.size} blocks`);
    const at = 50_000;
    const edits = {
      insertion: [data.subarray(0, at), Buffer.from('INSERT something new;'), data.subarray(at)],
      removal: [data.subarray(0, at), data.subarray(at + 33)],
      change: [data.subarray(0, at), Buffer.from('x'), data.subarray(at + 1)],
    };
    for (const [name, pieces] of Object.entries(edits)) {
      const after = await blocksOf(cut(Buffer.concat(pieces), 65_536));
      const fresh = after.filter((block) => !before.has(sha256(block)));
      assert.ok(fresh.length >= 1 && fresh.length <= 12, `${fresh.length} new blocks after the ${name}`);
    }
  });

  it('makes blocks of about the length that was asked for', async () => {
    const blocks = await blocksOf(cut(noise(2_000_000, 9), 65_536));
    const mean = 2_000_000 / blocks.length;
    const expected = LIMITS.leastBytes + 2 ** LIMITS.bits;
    assert.ok(mean > 0.8 * expected && mean < 1.2 * expected, `${mean} bytes on average`);
  });

  it('gives no block for no bytes', async () => {
    assert.deepEqual(await blocksOf(cut(Buffer.alloc(0), 1)), []);
  });

  it('releases each chunk once, and uses a block again only after it was released', async () => {
    const data = noise(50_000, 3);
    const lent = new Set<Buffer>();
    async function* chunks(): AsyncGenerator<Buffer> {
      for await (const chunk of cut(data, 700)) {
        const own = Buffer.from(chunk);
        lent.add(own);
        yield own;
      }
    }
    const input = withRelease(chunks(), (chunk) => {
      assert.ok(lent.delete(chunk), 'released once, as it was given');
      chunk.fill(0xff);
    });
    const blocks = contentBlocks(input, LIMITS, 4);
    const memories = new Set<ArrayBufferLike>();
    const copies: Buffer[] = [];
    for await (const block of blocks) {
      memories.add(block.buffer);
      copies.push(Buffer.from(block));
      blocks.release(block);
    }
    assert.ok(Buffer.concat(copies).equals(data));
    assert.equal(lent.size, 0);
    assert.ok(memories.size <= 2, `${memories.size} blocks of memory`);
    assert.ok((await collect(contentBlocks(cut(data, 700), LIMITS, 4))).equals(data));
  });
});
