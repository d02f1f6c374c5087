import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ByteCursor } from '../../lib/bytes/cursor.ts';
import { cut, noise } from '../support/byte-streams.ts';

type Step =
  | { readonly do: 'take' | 'peek' | 'skip'; readonly bytes: number; readonly skip: number }
  | { readonly do: 'some'; readonly bytes: number; readonly back: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom('take' as const, 'peek' as const, 'skip' as const),
    bytes: fc.nat({ max: 40 }),
    skip: fc.nat({ max: 20 }),
  }),
  fc.record({
    do: fc.constant('some' as const),
    bytes: fc.integer({ min: 1, max: 50 }),
    back: fc.nat({ max: 50 }),
  }),
);

describe('ByteCursor', () => {
  it('reads like a position in the whole data', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.array(fc.nat({ max: 30 }), { maxLength: 4 }),
        fc.integer({ min: 1, max: 30 }),
        fc.array(step, { maxLength: 40 }),
        async (bytes, sizes, lastSize, steps) => {
          const data = Buffer.from(bytes);
          const cursor = new ByteCursor(cut(data, ...sizes, lastSize));
          let at = 0;
          for (const one of steps) {
            at = await apply(cursor, data, at, one);
            assert.equal(cursor.position, at);
          }
          assert.equal(await cursor.has(data.length - at), true);
          assert.equal(await cursor.has(data.length - at + 1), false);
          assert.ok(cursor.take(data.length - at).equals(data.subarray(at)));
          assert.equal(await cursor.takeSome(1), undefined);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('refuses to read what has not come yet', async () => {
    const cursor = new ByteCursor(cut(noise(10), 5));
    await cursor.has(3);
    assert.equal(cursor.buffered, 5);
    assert.throws(() => cursor.peek(6), RangeError);
    assert.throws(() => cursor.peek(1, 5), RangeError);
    assert.throws(() => cursor.skip(6), RangeError);
  });

  it('ends its input once, and reads nothing afterwards', async () => {
    let ends = 0;
    async function* source() {
      try {
        for (;;) yield noise(10);
      } finally {
        ends += 1;
      }
    }
    const cursor = new ByteCursor(source());
    assert.ok(await cursor.has(25));
    await cursor.close();
    await cursor.close();
    assert.equal(ends, 1);
    assert.equal(await cursor.has(1), false);
    assert.equal(cursor.buffered, 0);
  });

  it('stays fast over very many small chunks', async () => {
    const cursor = new ByteCursor(cut(noise(300_000), 1));
    let taken = 0;
    while (await cursor.has(7)) taken += cursor.take(7).length;
    assert.equal(taken, 300_000 - (300_000 % 7));
  });
});

async function apply(cursor: ByteCursor, data: Buffer, at: number, one: Step): Promise<number> {
  if (one.do === 'some') {
    const piece = await cursor.takeSome(one.bytes);
    if (piece === undefined) {
      assert.equal(at, data.length);
      return at;
    }
    assert.ok(piece.length > 0 && piece.length <= one.bytes);
    assert.ok(piece.equals(data.subarray(at, at + piece.length)));
    const back = Math.min(one.back, piece.length);
    cursor.unread(piece.subarray(piece.length - back));
    return at + piece.length - back;
  }
  const skip = one.do === 'peek' ? one.skip : 0;
  if (!(await cursor.has(skip + one.bytes))) {
    assert.ok(at + skip + one.bytes > data.length);
    return at;
  }
  if (one.do === 'skip') {
    cursor.skip(one.bytes);
    return at + one.bytes;
  }
  const expected = data.subarray(at + skip, at + skip + one.bytes);
  const got = one.do === 'peek' ? cursor.peek(one.bytes, skip) : cursor.take(one.bytes);
  assert.ok(got.equals(expected));
  return one.do === 'peek' ? at : at + one.bytes;
}
