import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type BlockReader, splitEnd, throughBlocks } from '../../lib/transforms/block-reader.ts';
import { collect, cut, noise } from '../support/byte-streams.ts';

const never = new AbortController().signal;

/** Runs `use` on a reader of `data` cut at these sizes. */
async function reading<T>(
  data: Buffer,
  sizes: number[],
  use: (reader: BlockReader) => Promise<T>,
): Promise<T> {
  const results: T[] = [];
  // biome-ignore lint/correctness/useYield: the pass has no output
  const pass = throughBlocks(cut(data, ...sizes), never, async function* (reader) {
    results.push(await use(reader));
  });
  await collect(pass);
  const [result] = results;
  assert.ok(result !== undefined);
  return result;
}

describe('block reader', () => {
  it('cuts any stream into exact blocks', async () => {
    const data = noise(300_000);
    const sizes = fc.array(fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 120_000 })), {
      minLength: 1,
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 150_000 }), async (some, bytes) => {
        await reading(data, [...some, 50_000], async (reader) => {
          for (let at = 0; ; at += bytes) {
            const block = await reader.read(bytes);
            assert.equal(block.bytes, Math.min(bytes, data.length - at));
            assert.ok(Buffer.concat(block.pieces).equals(data.subarray(at, at + bytes)));
            if (block.bytes < bytes) return true;
          }
        });
      }),
      { numRuns: 60 },
    );
  });

  it('copies no large piece', async () => {
    const data = noise(400_000);
    const pieces = await reading(data, [100_000], async (reader) => (await reader.read(350_000)).pieces);
    assert.equal(pieces.length, 4);
    for (const piece of pieces) assert.equal(piece.buffer, data.buffer);
  });

  it('gathers small pieces', async () => {
    const pieces = await reading(
      noise(200_000),
      [100],
      async (reader) => (await reader.read(200_000)).pieces,
    );
    assert.ok(pieces.length < 6, `${pieces.length} pieces`);
  });

  it('knows the end, and gives bytes back', async () => {
    await reading(Buffer.from('abcdef'), [4], async (reader) => {
      assert.equal(await reader.atEnd(), false);
      const start = await reader.readBuffer(3);
      reader.unread(start);
      assert.equal((await reader.readBuffer(5)).toString(), 'abcde');
      assert.equal(await reader.atEnd(), false);
      assert.equal((await reader.readBuffer(5)).toString(), 'f');
      return reader.atEnd();
    });
  });

  it('splits the end off a block, wherever its pieces were cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 9 })), fc.nat({ max: 12 }), (parts, endBytes) => {
        const pieces = parts.map((part) => Buffer.from(part));
        const whole = Buffer.concat(pieces);
        const { body, end } = splitEnd({ pieces, bytes: whole.length }, endBytes);
        assert.equal(end.length, Math.min(endBytes, whole.length));
        assert.ok(Buffer.concat([...body, end]).equals(whole));
      }),
    );
  });
});
