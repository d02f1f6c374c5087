import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { BLOCK_BYTES } from '../../lib/bytes/stream.ts';
import { createCompress, type DecompressOptions, decompress } from '../../lib/transforms/compress.ts';
import {
  frameHeaderBytes,
  isSkippable,
  parseBlockHeader,
  parseFrameHeader,
} from '../../lib/transforms/zstd-format.ts';
import { collect, cut, noise, type Outcome, outcomeOf, sqlText } from '../support/byte-streams.ts';

const { constants } = zlib;
const never = new AbortController().signal;

async function own(raw: Buffer): Promise<Buffer> {
  return collect(createCompress({ algorithm: 'zstd' }).forward(cut(raw, 100_000), never).output);
}

function unzstd(
  bytes: Buffer,
  end: DecompressOptions['end'] = 'optional',
  ...sizes: number[]
): Promise<Outcome> {
  return outcomeOf(decompress('zstd', cut(bytes, ...sizes, 65536), never, { end }));
}

async function mustFail(
  bytes: Buffer,
  code: string,
  message: RegExp,
  end?: DecompressOptions['end'],
): Promise<void> {
  const outcome = await unzstd(bytes, end);
  assert.ok(!outcome.ok, 'no error');
  assert.match(String(outcome.error), message);
  assert.equal((outcome.error as { code?: string }).code, code);
}

/** As `zstd` makes it from a pipe. Ending the engine would add an empty frame. */
async function frameOfUnknownSize(content: Buffer): Promise<Buffer> {
  const engine = zlib.createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const pieces: Buffer[] = [];
  engine.on('data', (piece: Buffer) => pieces.push(piece));
  engine.write(content.subarray(0, content.length / 2));
  engine.write(content.subarray(content.length / 2));
  await new Promise<void>((resolve) => engine.flush(constants.ZSTD_e_end, resolve));
  engine.destroy();
  return Buffer.concat(pieces);
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

/** The borders of the frames of a file of ours: starts, and the start of the seek table. */
function frameStarts(file: Buffer): number[] {
  const starts: number[] = [];
  let at = 0;
  while (!isSkippable(file.readUInt32LE(at))) {
    starts.push(at);
    at += frameHeaderBytes(file.subarray(at));
    for (let last = false; !last; ) {
      const block = parseBlockHeader(file.subarray(at, at + 3), 'frame');
      at += 3 + block.bytes;
      last = block.last;
    }
    at += 4;
  }
  return [...starts, at];
}

describe('zstd headers', () => {
  const cases: [string, string, object][] = [
    [
      'one content byte, no window',
      '28b52ffd 20 07',
      { bytes: 6, windowBytes: 7, contentBytes: 7, hasChecksum: false },
    ],
    ['checksum', '28b52ffd 24 07', { bytes: 6, windowBytes: 7, contentBytes: 7, hasChecksum: true }],
    [
      'two bytes, offset 256',
      '28b52ffd 60 0100',
      { bytes: 7, windowBytes: 257, contentBytes: 257, hasChecksum: false },
    ],
    [
      'four bytes',
      '28b52ffd a4 00001000',
      { bytes: 9, windowBytes: 2 ** 20, contentBytes: 2 ** 20, hasChecksum: true },
    ],
    [
      'eight bytes and a window',
      '28b52ffd c0 58 0000000001000000',
      { bytes: 14, windowBytes: 2 ** 21, contentBytes: 2 ** 32, hasChecksum: false },
    ],
    [
      'window with mantissa, size unknown',
      '28b52ffd 00 0f',
      { bytes: 6, windowBytes: 2048 + 7 * 256, contentBytes: undefined, hasChecksum: false },
    ],
    [
      'the largest window',
      '28b52ffd 00 ff',
      { bytes: 6, windowBytes: 2 ** 41 * 1.875, contentBytes: undefined, hasChecksum: false },
    ],
  ];
  for (const [title, bytes, expected] of cases) {
    it(`reads ${title}`, () => {
      const header = hex(bytes);
      assert.equal(frameHeaderBytes(header), header.length);
      assert.deepEqual(parseFrameHeader(header, 'frame'), expected);
    });
  }

  it('refuses reserved bits, reserved blocks, dictionaries and blocks that are too large', () => {
    assert.throws(() => parseFrameHeader(hex('28b52ffd 28 07'), 'frame 1'), /frame 1 uses a reserved bit/);
    assert.throws(() => parseFrameHeader(hex('28b52ffd 21 05 07'), 'frame 1'), /dictionary/);
    assert.throws(() => parseBlockHeader(hex('0f0000'), 'frame 1'), /reserved type/);
    assert.throws(() => parseBlockHeader(hex('0c0010'), 'frame 1'), /131073 bytes|128 KiB/);
  });

  it('knows the sixteen magic numbers of skippable frames', () => {
    assert.ok(isSkippable(0x184d2a50) && isSkippable(0x184d2a5f));
    assert.ok(!isSkippable(0x184d2a60) && !isSkippable(0xfd2fb528));
  });
});

describe('zstd files of ours', () => {
  const raw = Buffer.concat([sqlText(2 * BLOCK_BYTES), sqlText(2 * BLOCK_BYTES, 2), noise(1000)]);
  let file: Buffer;
  let starts: number[];
  before(async () => {
    file = await own(raw);
    starts = frameStarts(file);
  });

  it('hold one frame for each MiB, with its size and checksum, and a seek table', () => {
    assert.equal(starts.length, 6);
    for (const start of starts.slice(0, -1)) {
      const header = parseFrameHeader(
        file.subarray(start, start + frameHeaderBytes(file.subarray(start))),
        '',
      );
      assert.ok(header.hasChecksum);
      assert.equal(header.contentBytes, start === starts.at(-2) ? 1000 : BLOCK_BYTES);
    }
    const table = file.subarray(starts.at(-1));
    assert.equal(table.readUInt32LE(0), 0x184d2a5e);
    assert.equal(table.readUInt32LE(4), table.length - 8);
    assert.equal(table.readUInt32LE(table.length - 4), 0x8f92eab1);
    assert.equal(table.readUInt8(table.length - 5), 0x80);
    assert.equal(table.readUInt32LE(table.length - 9), 5);
    for (const index of starts.keys()) {
      if (index === 5) break;
      const entry = table.subarray(8 + 12 * index);
      assert.equal(entry.readUInt32LE(0), (starts[index + 1] ?? 0) - (starts[index] ?? 0));
      assert.equal(entry.readUInt32LE(4), index === 4 ? 1000 : BLOCK_BYTES);
      assert.equal(entry.readUInt32LE(8), file.readUInt32LE((starts[index + 1] ?? 0) - 4));
    }
  });

  it('hold frames of 4 MiB from level 13 on, which are decoded whole as well', async () => {
    const long = sqlText(9 * BLOCK_BYTES);
    const compress = createCompress({ algorithm: 'zstd', level: 13 });
    const stored = await collect(compress.forward(cut(long, BLOCK_BYTES), never).output);
    assert.equal(frameStarts(stored).length, 4);
    const chunks: number[] = [];
    for await (const chunk of decompress('zstd', cut(stored, 65536), never)) chunks.push(chunk.length);
    assert.deepEqual(chunks, [4 * BLOCK_BYTES, 4 * BLOCK_BYTES, BLOCK_BYTES]);
  });

  it('are found incomplete when cut between two frames', async () => {
    for (const start of starts) {
      const cutFile = file.subarray(0, start);
      await mustFail(
        cutFile,
        'incomplete',
        start === 0 ? /it is empty/ : /seek table .* is missing/,
        'required',
      );
      if (start > 0) assert.ok((await unzstd(cutFile)).ok, 'without the end mark it is a valid zstd file');
    }
  });

  it('are found damaged when a whole frame is lost, doubled or moved', async () => {
    const frame = (index: number) => file.subarray(starts[index], starts[index + 1]);
    const table = file.subarray(starts.at(-1));
    for (const order of [
      [1, 2, 3, 4],
      [0, 1, 1, 2, 3, 4],
      [0, 1, 2, 3, 4, 4],
      [2, 1, 0, 3, 4],
      [0, 1, 4, 3, 2],
    ]) {
      const changed = Buffer.concat([...order.map(frame), table]);
      await mustFail(changed, 'corrupt', /seek table lists/, 'required');
      await mustFail(changed, 'corrupt', /seek table lists/, 'optional');
    }
  });

  it('may not be followed by another file when the end is required', async () => {
    const twice = Buffer.concat([file, file]);
    await mustFail(twice, 'corrupt', /bytes behind its end, from byte/, 'required');
    const outcome = await unzstd(twice);
    assert.ok(outcome.ok && outcome.released.equals(Buffer.concat([raw, raw])));
  });

  it('name the frame and the byte in errors', async () => {
    const damaged = Buffer.from(file);
    const at = (starts[2] ?? 0) + 5000;
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    await mustFail(damaged, 'corrupt', new RegExp(`zstd frame 3 at byte ${starts[2]}`));
  });

  it('can be released block by block while they are read', async () => {
    const stream = decompress('zstd', cut(file, 65536), never);
    const copies: Buffer[] = [];
    for await (const chunk of stream) {
      copies.push(Buffer.from(chunk));
      stream.release?.(chunk);
      if (chunk.length > 0) assert.equal(copies.at(-1)?.length, 1000, 'only small chunks keep their memory');
    }
    assert.ok(Buffer.concat(copies).equals(raw));
  });
});

describe('zstd files of others', () => {
  const small = zlib.zstdCompressSync(Buffer.from('small'));
  const skippable = Buffer.concat([hex('532a4d18 05000000'), Buffer.from('hello')]);
  const tableLike = Buffer.concat([hex('5e2a4d18 05000000'), Buffer.from('hello')]);

  it('may hold skippable frames anywhere', async () => {
    for (const extra of [skippable, tableLike]) {
      for (const size of [1, 7, 100]) {
        const outcome = await unzstd(
          Buffer.concat([extra, small, extra, extra, small, extra]),
          'optional',
          size,
        );
        assert.ok(outcome.ok);
        assert.equal(outcome.released.toString(), 'smallsmall');
      }
    }
    await mustFail(Buffer.concat([small, skippable.subarray(0, 10)]), 'incomplete', /skippable zstd frame/);
    await mustFail(Buffer.concat([small, skippable.subarray(0, 6)]), 'incomplete', /skippable zstd frame/);
  });

  it('may have a seek table without checksums', async () => {
    const entry = Buffer.alloc(8);
    entry.writeUInt32LE(small.length, 0);
    entry.writeUInt32LE(5, 4);
    const table = (frames: number) =>
      Buffer.concat([hex('5e2a4d18 11000000'), entry, hex(`0${frames}000000 00 b1ea928f`)]);
    const checked = zlib.zstdCompressSync(Buffer.from('small'), {
      params: { [constants.ZSTD_c_checksumFlag]: 1 },
    });
    assert.equal(checked.length, small.length + 4);
    assert.ok(
      (await unzstd(Buffer.concat([small, table(1)]), 'required')).ok,
      'nothing to compare without checksum',
    );
    await mustFail(Buffer.concat([small, table(2)]), 'corrupt', /not a valid seek table/);
    await mustFail(Buffer.concat([checked, table(1)]), 'corrupt', /not those that its seek table lists/);
    entry.writeUInt32LE(checked.length, 0);
    assert.ok((await unzstd(Buffer.concat([checked, table(1)]), 'required')).ok);
  });

  it('may have frames of unknown and of large size, between small ones', async () => {
    const text = sqlText(700_000);
    const unknown = await frameOfUnknownSize(text);
    assert.equal(
      parseFrameHeader(unknown.subarray(0, frameHeaderBytes(unknown)), '').contentBytes,
      undefined,
    );
    const large = zlib.zstdCompressSync(sqlText(5 * BLOCK_BYTES));
    const file = Buffer.concat([small, unknown, unknown, small, large, unknown]);
    const expected = Buffer.concat(
      ['small', text, text, 'small', sqlText(5 * BLOCK_BYTES), text].map((part) => Buffer.from(part)),
    );
    for (const size of [3, 1000, 65536, file.length]) {
      const outcome = await unzstd(file, 'optional', size, size);
      assert.ok(outcome.ok && outcome.released.equals(expected), `chunks of ${size}`);
    }
    await mustFail(file.subarray(0, -5), 'incomplete', /zstd frame 6 at byte \d+ does not end/);
    const damaged = Buffer.from(file);
    const at = small.length + unknown.length - 2;
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    await mustFail(damaged, 'corrupt', /zstd frame 2 at byte .*checksum/i);
  });

  it('may hold frames of many tiny blocks, more than their content would need', async () => {
    const raw = Buffer.from('ab');
    const blocks = Buffer.alloc(3 * 60_000);
    const content = Buffer.concat([hex('11 00 00'), raw]);
    const frame = Buffer.concat([hex('28b52ffd 20 02'), blocks, content]);
    const outcome = await unzstd(frame);
    assert.ok(outcome.ok, String(outcome.ok || outcome.error));
    assert.equal(outcome.released.toString(), 'ab');
  });

  it('get an error that says what is wrong', async () => {
    await mustFail(Buffer.alloc(0), 'incomplete', /it is empty/);
    await mustFail(Buffer.from('SQLite format 3\0'), 'corrupt', /does not begin with a zstd frame/);
    await mustFail(Buffer.concat([small, Buffer.from('garbage')]), 'corrupt', /no zstd frame begins at byte/);
    await mustFail(small.subarray(0, 3), 'incomplete', /part of its header/);
    await mustFail(hex('28b52ffd a4 0000'), 'incomplete', /part of its header/);
    await mustFail(hex('28b52ffd 00 ff 010000'), 'corrupt', /window of \d+ bytes.*--long=31/);
    await mustFail(hex('28b52ffd 21 05 07'), 'corrupt', /dictionary/);
  });

  it('cannot make it allocate what they declare', async () => {
    const before = process.memoryUsage().arrayBuffers;
    // 4 MiB declared, and blocks that hold much more: the frame must not grow beyond what it declares.
    const runOf128K = hex('02 00 10 61');
    const liar = Buffer.concat([
      hex('28b52ffd a0 00004000'),
      ...Array<Buffer>(64).fill(runOf128K),
      hex('03 00 10 61'),
    ]);
    await mustFail(liar, 'corrupt', /zstd frame 1/);
    // 1 TiB declared and given: it comes in bounded pieces.
    const bomb = async function* () {
      yield hex('28b52ffd c0 58 0000000000010000');
      for (;;) yield Buffer.concat(Array<Buffer>(16).fill(runOf128K));
    };
    let bytes = 0;
    for await (const chunk of decompress('zstd', bomb(), never)) {
      bytes += chunk.length;
      assert.ok(chunk.length <= 4 * BLOCK_BYTES);
      if (bytes > 200 * BLOCK_BYTES) break;
    }
    assert.ok(process.memoryUsage().arrayBuffers - before < 150 * BLOCK_BYTES);
  });
});
