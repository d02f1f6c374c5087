import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { BlockPool } from '../../lib/bytes/block-pool.ts';
import { MAX_PART_MIB, MIN_PART_MIB } from '../../lib/destinations/s3/options.ts';
import { Part } from '../../lib/destinations/s3/part.ts';
import { MAX_PARTS, PartSizes } from '../../lib/destinations/s3/part-sizes.ts';
import { BackupError } from '../../lib/errors.ts';
import { noise } from '../support/byte-streams.ts';

const MIB = 1024 * 1024;
const TERABYTE = 1e12;
/** What S3 takes, in bytes. */
const LARGEST_PART = 5 * 1024 * MIB;

const growing = { equalParts: false };
const equal = { equalParts: true };
const settings = fc.record({
  partMiB: fc.integer({ min: MIN_PART_MIB, max: MAX_PART_MIB }),
  parallelParts: fc.integer({ min: 1, max: 64 }),
});

describe('sizes of parts', () => {
  it('cover 5 TB with every setting, in parts that S3 takes', () => {
    fc.assert(
      fc.property(settings, (options) => {
        const sizes = new PartSizes(options, growing, undefined);
        let total = 0;
        for (let number = 1; number <= MAX_PARTS; number += 1) {
          const bytes = sizes.bytesOf(number);
          assert.ok(bytes >= 5 * MIB && bytes <= LARGEST_PART && Number.isInteger(bytes));
          total += bytes;
        }
        assert.ok(total >= 5 * TERABYTE, `${total} bytes`);
      }),
      { numRuns: 30 },
    );
  });

  it('stay as they are for what fits well into the numbers', () => {
    const sizes = new PartSizes({ partMiB: 8, parallelParts: 8 }, growing, undefined);
    assert.equal(sizes.bytesOf(1), 8 * MIB);
    assert.equal(sizes.bytesOf(750), 8 * MIB);
    assert.equal(sizes.bytesOf(751), 16 * MIB);
    assert.equal(sizes.bytesOf(MAX_PARTS), 1024 * MIB);
  });

  it('are as small as can be when the size is known, equal, and leave room for more', () => {
    fc.assert(
      fc.property(
        settings,
        fc.integer({ min: 0, max: 5 * TERABYTE }),
        fc.boolean(),
        (options, expected, isEqual) => {
          const sizes = new PartSizes(options, isEqual ? equal : growing, expected);
          const first = sizes.bytesOf(1);
          assert.ok(first * 9000 >= expected);
          assert.equal(sizes.bytesOf(9000), first);
          const own = options.partMiB * MIB * (isEqual ? Math.max(1, options.parallelParts / 2) : 1);
          assert.ok(first <= Math.max(own, expected / 9000 + MIB));
          assert.ok(sizes.bytesOf(MAX_PARTS) >= first);
        },
      ),
    );
  });

  it('are equal where the server wants that', () => {
    const sizes = new PartSizes({ partMiB: 8, parallelParts: 8 }, equal, undefined);
    assert.equal(sizes.bytesOf(1), 32 * MIB);
    assert.equal(sizes.bytesOf(MAX_PARTS), 32 * MIB);
  });

  it('say what to do when the numbers are used up', () => {
    const sizes = new PartSizes({ partMiB: 8, parallelParts: 8 }, equal, undefined);
    assert.throws(
      () => sizes.bytesOf(MAX_PARTS + 1),
      (error) =>
        error instanceof BackupError &&
        error.code === 'invalid-config' &&
        /larger part size/.test(error.message),
    );
  });
});

describe('a part', () => {
  const pool = () => new BlockPool(MIB, 4);

  it('holds the bytes and their checksums, however they came', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3_000_000 }),
        fc.array(fc.integer({ min: 0, max: 700_000 }), { minLength: 1, maxLength: 8 }),
        fc.constantFrom('crc32' as const, 'md5' as const),
        (size, steps, checksum) => {
          const content = noise(size, 3);
          const part = new Part(size + 1, pool(), checksum, true);
          for (let at = 0, turn = 0; at < size; turn += 1) {
            const step = Math.max(1, steps[turn % steps.length] ?? 1);
            at += part.add(content.subarray(at, at + step));
          }
          assert.equal(part.bytes, size);
          assert.ok(bytesOf(part).equals(content));
          assert.ok(bytesOf(part).equals(content), 'and once more');
          assert.equal(part.body(ignore).payloadHash, createHash('sha256').update(content).digest('hex'));
          const expected = Buffer.alloc(4);
          expected.writeUInt32BE(crc32(content));
          assert.deepEqual(
            part.checksums,
            checksum === 'md5'
              ? { ContentMD5: createHash('md5').update(content).digest('base64') }
              : { ChecksumCRC32: expected.toString('base64') },
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('takes no more than its size', () => {
    const part = new Part(100_000, pool(), 'crc32', false);
    assert.equal(part.add(noise(99_999)), 99_999);
    assert.ok(!part.isFull);
    assert.equal(part.add(noise(5)), 1);
    assert.ok(part.isFull);
    assert.equal(part.add(noise(5)), 0);
  });

  it('is signed without its body where TLS protects that', () => {
    assert.equal(new Part(10, pool(), 'md5', false).body(ignore).payloadHash, 'UNSIGNED-PAYLOAD');
  });
});

function bytesOf(part: Part): Buffer {
  const body = part.body(ignore);
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk: Buffer | null = body.read();
    if (chunk === null) return Buffer.concat(chunks);
    chunks.push(chunk);
  }
}

function ignore(): void {}
