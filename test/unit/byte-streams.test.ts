import assert from 'node:assert/strict';
import { abortable } from '../../lib/bytes/abortable.ts';
import { BlockPool } from '../../lib/bytes/block-pool.ts';
import { DigestTap } from '../../lib/bytes/digest.ts';
import { drain, readAll } from '../../lib/bytes/drain.ts';
import { freeMemory, withRelease } from '../../lib/bytes/release.ts';
import { BackupError } from '../../lib/errors.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';

describe('abortable', () => {
  it('passes the input on to its end', async () => {
    const data = noise(10_000);
    assert.ok((await collect(abortable(cut(data, 300), new AbortController().signal))).equals(data));
  });

  it('fails at once while the input hangs, and tells the input to end', async () => {
    const controller = new AbortController();
    let told = false;
    const hanging: AsyncIterable<Buffer> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => undefined),
        return: async () => {
          told = true;
          return { done: true, value: undefined };
        },
      }),
    };
    setTimeout(() => controller.abort(), 10);
    await assert.rejects(
      drain(abortable(hanging, controller.signal)),
      (error) => error instanceof BackupError && error.code === 'aborted',
    );
    assert.ok(told);
  });

  it('leaves no listener on the signal and none of its late errors unhandled', async () => {
    const controller = new AbortController();
    let fail: (error: Error) => void = () => undefined;
    const late: AsyncIterable<Buffer> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise((_, reject) => (fail = reject)),
        return: () => Promise.reject(new Error('cannot end either')),
      }),
    };
    setTimeout(() => controller.abort(), 5);
    await assert.rejects(drain(abortable(late, controller.signal)), { code: 'aborted' });
    fail(new Error('too late'));
    await new Promise((resolve) => setTimeout(resolve, 10));
  });
});

describe('DigestTap', () => {
  it('counts and hashes what passes, and reports the count', async () => {
    const data = noise(5000);
    const totals: number[] = [];
    const tap = new DigestTap(cut(data, 2000), (total) => totals.push(total));
    assert.ok((await collect(tap)).equals(data));
    assert.equal(tap.bytes, 5000);
    assert.equal(tap.sha256(), sha256(data));
    assert.equal(tap.sha256(), sha256(data), 'the digest can be asked for again');
    assert.deepEqual(totals, [2000, 4000, 5000]);
  });

  it('lets releases through to its input', async () => {
    const released: Buffer[] = [];
    const tap = new DigestTap(withRelease(cut(noise(30), 10), (chunk) => released.push(chunk)));
    for await (const chunk of tap) tap.release(chunk);
    assert.equal(released.length, 3);
  });
});

describe('drain and readAll', () => {
  it('drain counts', async () => {
    assert.equal(await drain(cut(noise(1234), 100)), 1234);
  });

  it('readAll reads up to its limit and refuses more', async () => {
    const data = noise(1000);
    assert.ok((await readAll(cut(data, 99), 1000, 'manifest.json')).equals(data));
    await assert.rejects(readAll(cut(data, 99), 999, 'manifest.json'), {
      code: 'corrupt',
      message: /manifest\.json is larger than 999 bytes/,
    });
  });
});

describe('BlockPool', () => {
  it('lends a released block again, never one that is out', () => {
    const pool = new BlockPool(100, 1);
    const first = pool.take();
    const second = pool.take();
    assert.notEqual(first.buffer, second.buffer);
    pool.release(first.subarray(0, 10));
    pool.release(first);
    const third = pool.take();
    assert.equal(third.buffer, first.buffer);
    assert.equal(third.length, 100);
    assert.notEqual(pool.take().buffer, first.buffer, 'a block that was released twice is lent twice');
  });

  it('leaves buffers of others alone', () => {
    const pool = new BlockPool(100, 4);
    const foreign = Buffer.alloc(100);
    pool.release(foreign);
    assert.notEqual(pool.take().buffer, foreign.buffer);
  });
});

describe('freeMemory', () => {
  it('empties the buffer at once', () => {
    const before = process.memoryUsage().arrayBuffers;
    const buffer = Buffer.allocUnsafeSlow(8 * 1024 * 1024);
    freeMemory(buffer);
    assert.equal(buffer.length, 0);
    assert.ok(process.memoryUsage().arrayBuffers < before + 4 * 1024 * 1024);
  });
});
