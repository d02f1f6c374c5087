import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { BLOCK_BYTES } from '../../lib/bytes/stream.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { checksumOptions, createChecksum } from '../../lib/transforms/checksum.ts';
import {
  COMPRESS_LEVELS,
  type CompressOptions,
  compressOptions,
  createCompress,
  decompress,
} from '../../lib/transforms/compress.ts';
import { extensionOf, undoCommand, undoSteps } from '../../lib/transforms/inverse.ts';
import type { StepRecord } from '../../lib/transforms/records.ts';
import type { Transform } from '../../lib/transforms/transform.ts';
import { collect, cut, noise, outcomeOf, sha256, sqlText } from '../support/byte-streams.ts';

const never = new AbortController().signal;

async function through(transform: Transform, raw: Buffer): Promise<{ bytes: Buffer; record: StepRecord }> {
  const pass = transform.forward(cut(raw, 50_000), never);
  const bytes = await collect(pass.output);
  return { bytes, record: pass.record() };
}

/** How much of `second` is in `first` too, in pieces of 1 KiB at any place there. */
function sharedBytes(first: Buffer, second: Buffer): number {
  let shared = 0;
  for (let at = 0; at + 1024 <= second.length; at += 1024) {
    if (first.includes(second.subarray(at, at + 1024))) shared += 1024;
  }
  return shared;
}

describe('createCompress', () => {
  it('takes each algorithm at its own default level', async () => {
    for (const [algorithm, level] of [
      ['zstd', 3],
      ['gzip', 6],
      ['brotli', 4],
    ] as const) {
      const { record } = await through(createCompress({ algorithm }), Buffer.from('x'));
      assert.deepEqual(record, { kind: 'compress', algorithm, level });
    }
    assert.equal(createCompress().extension, '.zst');
  });

  it('takes the levels at both ends of each range, and the level matters', async () => {
    const raw = sqlText(300_000);
    for (const algorithm of ['zstd', 'gzip', 'brotli'] as const) {
      const { min, max } = COMPRESS_LEVELS[algorithm];
      const fast = await through(createCompress({ algorithm, level: min }), raw);
      const small = await through(createCompress({ algorithm, level: max }), raw);
      assert.ok(small.bytes.length < fast.bytes.length, algorithm);
      for (const { bytes, record } of [fast, small]) {
        const back = await collect(
          undoSteps([record], cut(bytes, 999), { keys: EMPTY_KEY_RING, signal: never }),
        );
        assert.ok(back.equals(raw));
      }
    }
  });

  it('keeps the compressed form of what has not changed, when it is stable for rsync', async () => {
    const raw = sqlText(6_000_000);
    const changed = Buffer.concat([Buffer.from('-- one line more\n'), raw]);
    for (const algorithm of ['zstd', 'gzip'] as const) {
      const shared = async (rsyncable: boolean) => {
        const first = await through(createCompress({ algorithm, rsyncable }), raw);
        const second = await through(createCompress({ algorithm, rsyncable }), changed);
        const back = await collect(
          undoSteps([second.record], cut(second.bytes, 65_536), { keys: EMPTY_KEY_RING, signal: never }),
        );
        assert.ok(back.equals(changed));
        return sharedBytes(first.bytes, second.bytes) / second.bytes.length;
      };
      assert.ok((await shared(true)) > 0.7, algorithm);
      assert.ok((await shared(false)) < 0.1, algorithm);
    }
  });

  it('refuses wrong options and says which', () => {
    const wrong: [CompressOptions, RegExp][] = [
      [{ algorithm: 'zstd', level: 20 }, /level of zstd is between 1 and 19, not 20/],
      [{ algorithm: 'zstd', level: 0 }, /level of zstd/],
      [{ algorithm: 'gzip', level: 10 }, /level of gzip is between 1 and 9/],
      [{ algorithm: 'brotli', level: 12 }, /level of brotli is between 0 and 11/],
      [{ algorithm: 'gzip', level: 1.5 }, /level/],
      [{ algorithm: 'lzma' as 'gzip' }, /algorithm/],
      [{ algorithm: 'brotli', rsyncable: true }, /brotli cannot be made for rsync/],
    ];
    for (const [options, message] of wrong) {
      assert.throws(() => createCompress(options), { code: 'invalid-config', message });
      assert.equal(compressOptions.safeParse(options).success, false);
    }
  });

  it('says what to do when this Node has no zstd', () => {
    const { createZstdCompress } = zlib;
    try {
      Object.defineProperty(zlib, 'createZstdCompress', {
        value: undefined,
        configurable: true,
        writable: true,
      });
      const expected = { code: 'unavailable', message: /update it to 22\.15/ };
      assert.throws(() => createCompress({ algorithm: 'zstd' }), expected);
      assert.throws(() => decompress('zstd', cut(Buffer.from('x'), 1), never), expected);
      assert.equal(createCompress({ algorithm: 'gzip' }).extension, '.gz');
    } finally {
      Object.defineProperty(zlib, 'createZstdCompress', {
        value: createZstdCompress,
        configurable: true,
        writable: true,
      });
    }
  });

  it('makes a zstd file as small as a single stream would be, within 1.5 %', async () => {
    const raw = sqlText(6 * BLOCK_BYTES);
    const { bytes } = await through(createCompress(), raw);
    const single = zlib.zstdCompressSync(raw);
    assert.ok(bytes.length < single.length * 1.015, `${bytes.length} against ${single.length}`);
  });
});

describe('createChecksum', () => {
  it('records the digest of what passed', async () => {
    const { bytes, record } = await through(createChecksum(), Buffer.from('abc'));
    assert.equal(bytes.toString(), 'abc');
    assert.deepEqual(record, { kind: 'checksum', algorithm: 'sha256', digest: sha256(Buffer.from('abc')) });
  });

  it('agrees with the published digests of BLAKE2b and SHA-512', async () => {
    const digests = {
      blake2b512: 'ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1',
      sha512: 'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a',
    };
    for (const algorithm of ['blake2b512', 'sha512'] as const) {
      const { record } = await through(createChecksum({ algorithm }), Buffer.from('abc'));
      assert.ok(record.kind === 'checksum' && record.digest.startsWith(digests[algorithm]));
    }
  });

  it('has no digest before the stream has ended', () => {
    const pass = createChecksum().forward(cut(Buffer.from('abc'), 1), never);
    assert.throws(() => pass.record(), { code: 'internal' });
  });

  it('refuses other algorithms', () => {
    assert.throws(() => createChecksum({ algorithm: 'md5' as 'sha256' }), { code: 'invalid-config' });
    assert.equal(checksumOptions.parse({}).algorithm, 'sha256');
  });

  it('holds the last chunk back until the digest was found right', async () => {
    const { bytes, record } = await through(createChecksum(), noise(1000));
    const wrong = Buffer.from(bytes);
    wrong[3] = (wrong[3] ?? 0) ^ 1;
    const outcome = await outcomeOf(
      undoSteps([record], cut(wrong, 250), { keys: EMPTY_KEY_RING, signal: never }),
    );
    assert.ok(!outcome.ok);
    assert.equal(outcome.released.length, 750);
    assert.match(String(outcome.error), /sha256 digest [0-9a-f]{64}, recorded was [0-9a-f]{64}/);
  });
});

describe('undoing steps', () => {
  it('undoes a chain from its last step to its first', async () => {
    const raw = sqlText(200_000);
    const records: StepRecord[] = [];
    let bytes = raw;
    for (const transform of [
      createChecksum({ algorithm: 'blake2b512' }),
      createCompress({ algorithm: 'gzip' }),
      createChecksum(),
      createCompress({ algorithm: 'zstd' }),
    ]) {
      const done = await through(transform, bytes);
      bytes = done.bytes;
      records.push(done.record);
    }
    assert.equal(records.map(extensionOf).join(''), '.gz.zst');
    const context = { keys: EMPTY_KEY_RING, signal: never };
    assert.ok((await collect(undoSteps(records, cut(bytes, 4096), context))).equals(raw));
    assert.equal((await outcomeOf(undoSteps(records.toReversed(), cut(bytes, 4096), context))).ok, false);
    assert.ok((await collect(undoSteps([], cut(bytes, 4096), context))).equals(bytes));
  });

  it('names extension and command of every kind of step', () => {
    const encrypt = (format: 'dbk' | 'age'): StepRecord => ({
      kind: 'encrypt',
      format,
      key: { type: 'passphrase' },
    });
    const compress = (algorithm: 'zstd' | 'gzip' | 'brotli'): StepRecord => ({
      kind: 'compress',
      algorithm,
      level: 1,
    });
    const checksum: StepRecord = { kind: 'checksum', algorithm: 'sha256', digest: 'ab' };
    const named = [compress('zstd'), compress('gzip'), compress('brotli'), encrypt('dbk'), encrypt('age')];
    assert.deepEqual(named.map(extensionOf), ['.zst', '.gz', '.br', '.dbk', '.age']);
    assert.deepEqual(
      named.map((record) => undoCommand(record)?.tool),
      ['zstd', 'gunzip', 'brotli', 'node', 'age'],
    );
    assert.equal(
      undoCommand(compress('zstd'))?.command("'a b.zst'", "'a b'"),
      "zstd -d -c < 'a b.zst' > 'a b'",
    );
    assert.equal(extensionOf(checksum), '');
    assert.equal(undoCommand(checksum), undefined);
  });
});
