import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import fc from 'fast-check';
import type { ByteStream } from '../../lib/bytes/stream.ts';
import { keepMoving } from '../../lib/destinations/keep-moving.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';

const never = new AbortController().signal;

describe('keepMoving', () => {
  it('passes every byte on, in order, whatever the chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(40_000),
        fc.array(fc.nat(20_000), { minLength: 1, maxLength: 6 }),
        async (bytes, sizes) => {
          const content = noise(bytes, bytes + 1);
          const input = cut(content, ...sizes, 1 + bytes);
          assert.equal(sha256(await collect(keepMoving(input, never))), sha256(content));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('does not stand still once it has begun', async () => {
    const content = noise(50_000);
    let release = (): void => {};
    const paused = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* slow(): AsyncGenerator<Buffer> {
      yield content.subarray(0, 40_000);
      await paused;
      yield content.subarray(40_000);
    }
    const stream = keepMoving(slow(), never, 5);
    const got: Buffer[] = [];
    for await (const chunk of stream) {
      got.push(Buffer.from(chunk));
      // The beginning, then single bytes, for as long as the producer pauses.
      if (got.length === 1) assert.ok(chunk.length < 40_000);
      else if (got.length <= 10) assert.equal(chunk.length, 1);
      if (got.length === 10) release();
    }
    assert.ok(Buffer.concat(got).equals(content));
  });

  it('gives nothing before there is more than it holds back', async () => {
    const stream = keepMoving(
      (async function* () {
        yield Buffer.from('header');
        await wait(100);
        yield Buffer.from(' and the rest');
      })(),
      never,
      5,
    );
    const first = await stream.next();
    assert.equal(first.value?.toString(), 'header and the rest');
  });

  it('tells its producer of the end while it is waiting for it', async () => {
    let told = false;
    const hanging: ByteStream = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => undefined),
        return: async () => {
          told = true;
          return { done: true, value: undefined };
        },
      }),
    };
    const cancel = new AbortController();
    const stream = keepMoving(hanging, cancel.signal);
    const waiting = stream.next();
    cancel.abort();
    await assert.rejects(waiting);
    await stream.return();
    assert.ok(told);
  });

  it('releases each chunk of its producer once, when its beginning was released', async () => {
    const lent = new Map<Buffer, Buffer>();
    const input: ByteStream = {
      async *[Symbol.asyncIterator]() {
        for (const bytes of [100_000, 10, 5000, 100_000]) {
          const chunk = noise(bytes, bytes);
          lent.set(chunk, Buffer.from(chunk));
          yield chunk;
        }
      },
      release: (chunk) => {
        assert.ok(lent.delete(chunk), 'once, as it was given');
        chunk.fill(0);
      },
    };
    const all = [100_000, 10, 5000, 100_000].map((bytes) => noise(bytes, bytes));
    const stream = keepMoving(input, never);
    const got: Buffer[] = [];
    for await (const chunk of stream) {
      got.push(Buffer.from(chunk));
      stream.release(chunk);
    }
    assert.ok(Buffer.concat(got).equals(Buffer.concat(all)));
    assert.equal(lent.size, 0);
  });
});
