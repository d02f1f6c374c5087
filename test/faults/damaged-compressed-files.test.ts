import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { BLOCK_BYTES } from '../../lib/bytes/stream.ts';
import { BackupError } from '../../lib/errors.ts';
import { type CompressAlgorithm, createCompress, decompress } from '../../lib/transforms/compress.ts';
import { collect, cut, noise, outcomeOf, sqlText } from '../support/byte-streams.ts';

const never = new AbortController().signal;
const { constants } = zlib;

/** A way to damage a file, made of a few numbers so that fast-check can shrink it. */
interface Damage {
  readonly how: 'flip' | 'cut' | 'drop' | 'double' | 'swap' | 'zeros' | 'garbage' | 'tail';
  readonly at: number;
  readonly span: number;
  readonly seed: number;
}

interface Subject {
  readonly name: string;
  readonly algorithm: CompressAlgorithm;
  /** Whether the file must end as ours do. */
  readonly end: 'required' | 'optional';
  /** Whether wrong content cannot pass: the format has a checksum of all of it. */
  readonly checked: boolean;
  readonly raw: Buffer;
  readonly file: Buffer;
}

const raw = Buffer.concat([
  sqlText(BLOCK_BYTES + 30_000),
  noise(20_000),
  Buffer.alloc(70_000),
  sqlText(9_000, 2),
]);

async function own(algorithm: CompressAlgorithm): Promise<Subject> {
  const file = await collect(createCompress({ algorithm, level: 2 }).forward(cut(raw, 65536), never).output);
  return {
    name: `${algorithm}, ours`,
    algorithm,
    end: 'required',
    checked: algorithm !== 'brotli',
    raw,
    file,
  };
}

function foreign(name: string, algorithm: CompressAlgorithm, checked: boolean, file: Buffer): Subject {
  return { name, algorithm, end: 'optional', checked, raw, file };
}

/** As a program makes it that does not know the size before. */
async function zstdStream(checksum: 0 | 1): Promise<Buffer> {
  const engine = zlib.createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: checksum } });
  const pieces: Buffer[] = [];
  engine.on('data', (piece: Buffer) => pieces.push(piece));
  engine.write(raw.subarray(0, 500_000));
  engine.write(raw.subarray(500_000));
  await new Promise<void>((resolve) => engine.flush(constants.ZSTD_e_end, resolve));
  engine.destroy();
  return Buffer.concat(pieces);
}

function apply(file: Buffer, damage: Damage): Buffer {
  const from = damage.at % file.length;
  const to = Math.min(file.length, from + 1 + damage.span);
  const [before, stretch, after] = [file.subarray(0, from), file.subarray(from, to), file.subarray(to)];
  switch (damage.how) {
    case 'flip': {
      const bytes = Buffer.from(file);
      bytes[from] = (bytes[from] ?? 0) ^ (1 << (damage.seed % 8));
      return bytes;
    }
    case 'cut':
      return before;
    case 'drop':
      return Buffer.concat([before, after]);
    case 'double':
      return Buffer.concat([before, stretch, stretch, after]);
    case 'swap':
      return Buffer.concat([before, after, stretch]);
    case 'zeros':
      return Buffer.concat([before, Buffer.alloc(stretch.length), after]);
    case 'garbage':
      return Buffer.concat([before, noise(stretch.length, damage.seed), after]);
    case 'tail':
      return Buffer.concat([file, noise(1 + damage.span, damage.seed)]);
  }
}

const damages: fc.Arbitrary<Damage> = fc.record({
  how: fc.constantFrom('flip', 'flip', 'cut', 'drop', 'double', 'swap', 'zeros', 'garbage', 'tail'),
  at: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 2 ** 24 })),
  span: fc.oneof(fc.nat({ max: 8 }), fc.nat({ max: 100_000 })),
  seed: fc.nat({ max: 1000 }),
});

const chunking = fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 10_000, max: 300_000 }));

function assertClean(error: unknown, what: string): void {
  assert.ok(error instanceof BackupError, `${what}: ${String(error)}`);
  assert.ok(
    error.code === 'corrupt' || error.code === 'incomplete',
    `${what}: ${error.code} ${error.message}`,
  );
}

describe('damaged compressed files', () => {
  const subjects: Subject[] = [];

  before(async () => {
    subjects.push(
      await own('zstd'),
      await own('gzip'),
      await own('brotli'),
      foreign(
        'zstd, one frame of known size',
        'zstd',
        true,
        zlib.zstdCompressSync(Buffer.concat([raw]), {
          params: { [constants.ZSTD_c_checksumFlag]: 1 },
        }),
      ),
      foreign('zstd, one frame of unknown size', 'zstd', true, await zstdStream(1)),
      foreign('zstd without a checksum', 'zstd', false, await zstdStream(0)),
      foreign('gzip, one member', 'gzip', true, zlib.gzipSync(raw, { level: 2 })),
    );
  });

  it('give the exact data or a clear error, never anything else', async () => {
    for (const { name, algorithm, end, checked, file } of subjects) {
      await fc.assert(
        fc.asyncProperty(damages, chunking, async (damage, sizes) => {
          const bytes = apply(file, damage);
          const outcome = await outcomeOf(decompress(algorithm, cut(bytes, ...sizes), never, { end }));
          const what = `${name}, ${JSON.stringify(damage)}`;
          if (!outcome.ok) assertClean(outcome.error, what);
          else if (bytes.equals(file)) assert.ok(outcome.released.equals(raw), what);
          else if (checked) assertKnown(outcome.released, what);
        }),
        { numRuns: 120 },
      );
    }
  });

  it('are refused when anything is cut off or stands behind the end', async () => {
    for (const { name, algorithm, end, file } of subjects) {
      await fc.assert(
        fc.asyncProperty(
          fc.nat({ max: file.length - 1 }),
          chunking,
          fc.boolean(),
          async (at, sizes, tail) => {
            const bytes = tail ? Buffer.concat([file, noise(1 + (at % 1000), at)]) : file.subarray(0, at);
            const outcome = await outcomeOf(decompress(algorithm, cut(bytes, ...sizes), never, { end }));
            assert.ok(!outcome.ok, `${name}: ${tail ? 'tail' : 'cut'} at ${at} went unnoticed`);
            assertClean(outcome.error, name);
          },
        ),
        { numRuns: 60 },
      );
    }
  });

  it('made up from valid starts never hang, crash or take much memory', async () => {
    const starts: [CompressAlgorithm, string[]][] = [
      [
        'zstd',
        ['28b52ffd', '28b52ffd20', '28b52ffd0058', '28b52ffda400001000', '502a4d18', '5e2a4d1811000000'],
      ],
      [
        'gzip',
        ['1f8b08', '1f8b080000000000', '1f8b080400000000000308004442040064000000', '1f8b081e00000000'],
      ],
      ['brotli', ['0b', '1b', '06', '8b', '5b']],
    ];
    const before = process.memoryUsage().arrayBuffers;
    for (const [algorithm, prefixes] of starts) {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...prefixes),
          fc.uint8Array({ maxLength: 400 }),
          fc.integer({ min: 1, max: 100 }),
          async (prefix, rest, size) => {
            const bytes = Buffer.concat([Buffer.from(prefix, 'hex'), rest]);
            const outcome = await outcomeOf(decompress(algorithm, cut(bytes, size), never));
            if (!outcome.ok) assertClean(outcome.error, bytes.toString('hex'));
          },
        ),
        { numRuns: 300 },
      );
    }
    assert.ok(process.memoryUsage().arrayBuffers - before < 150 * BLOCK_BYTES);
  });
});

/** Damage that leaves a file of whole, checked parts gives these parts: the content, or several times it. */
function assertKnown(released: Buffer, what: string): void {
  for (let at = 0; at < released.length; at += raw.length) {
    assert.ok(released.subarray(at, at + raw.length).equals(raw), `${what}: wrong data`);
  }
}
