import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { BLOCK_BYTES } from '../../lib/bytes/stream.ts';
import { createCompress, type DecompressOptions, decompress } from '../../lib/transforms/compress.ts';
import { collect, cut, noise, type Outcome, outcomeOf, sqlText } from '../support/byte-streams.ts';

const never = new AbortController().signal;

async function own(raw: Buffer): Promise<Buffer> {
  return collect(createCompress({ algorithm: 'gzip', level: 1 }).forward(cut(raw, 100_000), never).output);
}

function gunzip(
  bytes: Buffer,
  end: DecompressOptions['end'] = 'optional',
  ...sizes: number[]
): Promise<Outcome> {
  return outcomeOf(decompress('gzip', cut(bytes, ...sizes, 65536), never, { end }));
}

async function mustFail(
  bytes: Buffer,
  code: string,
  message: RegExp,
  end?: DecompressOptions['end'],
): Promise<void> {
  const outcome = await gunzip(bytes, end);
  assert.ok(!outcome.ok, 'no error');
  assert.match(String(outcome.error), message);
  assert.equal((outcome.error as { code?: string }).code, code);
}

/** A gzip member with the optional parts of RFC 1952. */
function member(
  raw: Buffer,
  parts: { extra?: Buffer; name?: string; comment?: string; headerCrc?: boolean },
): Buffer {
  const flags =
    (parts.headerCrc === true ? 2 : 0) +
    (parts.extra === undefined ? 0 : 4) +
    (parts.name === undefined ? 0 : 8) +
    (parts.comment === undefined ? 0 : 16);
  const pieces: Buffer[] = [Buffer.from([0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3])];
  if (parts.extra !== undefined) {
    const length = Buffer.alloc(2);
    length.writeUInt16LE(parts.extra.length);
    pieces.push(length, parts.extra);
  }
  for (const text of [parts.name, parts.comment]) {
    if (text !== undefined) pieces.push(Buffer.from(`${text}\0`, 'latin1'));
  }
  if (parts.headerCrc === true) {
    const crc = Buffer.alloc(2);
    crc.writeUInt16LE(zlib.crc32(Buffer.concat(pieces)) & 0xffff);
    pieces.push(crc);
  }
  return Buffer.concat([...pieces, zlib.gzipSync(raw).subarray(10)]);
}

describe('gzip files of ours', () => {
  const raw = Buffer.concat([sqlText(2 * BLOCK_BYTES), sqlText(2 * BLOCK_BYTES, 2), noise(1000)]);
  let file: Buffer;
  /** Where members begin; the last is the empty one at the end. */
  const starts: number[] = [];
  before(async () => {
    file = await own(raw);
    for (let at = 0; at < file.length; at += file.readUInt32LE(at + 16)) starts.push(at);
  });

  it('hold one member for each MiB that tells its length, and an empty one at the end', () => {
    assert.equal(starts.length, 6);
    for (const start of starts) {
      assert.equal(file.readUInt8(start + 3), 4);
      assert.equal(file.toString('latin1', start + 12, start + 14), 'DB');
      assert.equal(file.readUInt16LE(start + 14), 4);
    }
    const end = file.subarray(starts.at(-1));
    assert.equal(end.length, 50);
    assert.equal(end.toString('latin1', 20, 22), 'DE');
    assert.equal(end.readUInt32LE(24), 5);
    assert.equal(end.readBigUInt64LE(28), BigInt(raw.length));
    assert.equal(zlib.gunzipSync(end).length, 0);
    assert.ok(zlib.gunzipSync(file).equals(raw), 'Node reads it as one file');
  });

  it('are found incomplete when cut between two members', async () => {
    for (const start of starts) {
      const message = start === 0 ? /it is empty/ : /empty member that ends it is missing/;
      await mustFail(file.subarray(0, start), 'incomplete', message, 'required');
      // Members that tell their length promise the end: it is asked for in any case.
      await mustFail(file.subarray(0, start), 'incomplete', message, 'optional');
    }
  });

  it('are found damaged when a whole member is lost, doubled or moved', async () => {
    const part = (index: number) => file.subarray(starts[index], starts[index + 1]);
    for (const order of [
      [1, 2, 3, 4, 5],
      [0, 1, 1, 2, 3, 4, 5],
      [2, 1, 0, 3, 4, 5],
      [0, 1, 4, 3, 2, 5],
      [5, 0, 1, 2, 3, 4, 5],
    ]) {
      await mustFail(
        Buffer.concat(order.map(part)),
        'corrupt',
        /its end speaks of|behind its end/,
        'required',
      );
    }
  });

  it('may not be followed by anything when the end is required', async () => {
    await mustFail(Buffer.concat([file, file]), 'corrupt', /bytes behind its end/, 'required');
    await mustFail(Buffer.concat([file, Buffer.alloc(9)]), 'corrupt', /bytes behind its end/, 'required');
    const outcome = await gunzip(Buffer.concat([file, file, Buffer.alloc(9)]));
    assert.ok(outcome.ok && outcome.released.equals(Buffer.concat([raw, raw])));
  });

  it('name the member and the byte in errors', async () => {
    const damaged = Buffer.from(file);
    const at = (starts[2] ?? 0) + 5000;
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    await mustFail(damaged, 'corrupt', new RegExp(`gzip member 3 at byte ${starts[2]}`));
  });

  it('are found damaged when a member tells a wrong length', async () => {
    for (const length of [0, 27, 28, 5000, 4 * BLOCK_BYTES, 0xffffffff]) {
      const damaged = Buffer.from(file);
      damaged.writeUInt32LE(length, 16);
      const outcome = await gunzip(damaged, 'required');
      if (outcome.ok) assert.ok(outcome.released.equals(raw));
      else assert.match(String(outcome.error), /gzip member 1 at byte 0|no gzip member begins|cut off/);
    }
  });
});

describe('gzip files of others', () => {
  const text = sqlText(300_000);

  it('may have every optional part of a header', async () => {
    const extra = Buffer.from('XX\x03\x00abcYY\x00\x00', 'latin1');
    const variants = [
      {},
      { name: 'dump.sql' },
      { comment: 'made by hand' },
      { headerCrc: true },
      { extra },
      { extra: Buffer.from('odd') },
      { extra, name: 'dump.sql', comment: '', headerCrc: true },
    ];
    for (const parts of variants) {
      for (const size of [1, 10, 4096]) {
        const outcome = await gunzip(member(text, parts), 'optional', size, 65536);
        assert.ok(outcome.ok && outcome.released.equals(text), JSON.stringify(parts));
      }
    }
  });

  it('may have several members, empty ones too, and zeros behind them', async () => {
    const one = zlib.gzipSync(text);
    const empty = zlib.gzipSync(Buffer.alloc(0));
    const file = Buffer.concat([empty, one, member(text, { name: 'a' }), empty, one, Buffer.alloc(5000)]);
    for (const size of [1000, 65536, one.length, file.length]) {
      const outcome = await gunzip(file, 'optional', size, size);
      assert.ok(
        outcome.ok && outcome.released.equals(Buffer.concat([text, text, text])),
        `chunks of ${size}`,
      );
    }
  });

  it('are decoded wherever chunks end, between members too', async () => {
    const one = zlib.gzipSync(Buffer.from('first'));
    const two = zlib.gzipSync(Buffer.from('second'));
    const file = Buffer.concat([one, two]);
    for (let at = 1; at < file.length; at += 1) {
      const outcome = await gunzip(file, 'optional', at, file.length);
      assert.ok(outcome.ok, `cut at ${at}`);
      assert.equal(outcome.released.toString(), 'firstsecond');
    }
  });

  it('get an error that says what is wrong', async () => {
    const one = zlib.gzipSync(text);
    await mustFail(Buffer.alloc(0), 'incomplete', /it is empty/);
    await mustFail(Buffer.from('SQLite format 3\0'), 'corrupt', /does not begin as gzip does/);
    await mustFail(Buffer.alloc(20), 'corrupt', /does not begin as gzip does/);
    await mustFail(one.subarray(0, 8), 'incomplete', /part of its header/);
    await mustFail(one.subarray(0, 5000), 'incomplete', /gzip member 1 at byte 0 does not end/);
    await mustFail(one.subarray(0, -3), 'incomplete', /no checksum at its end/);
    await mustFail(
      Buffer.concat([one, one.subarray(0, 5000)]),
      'incomplete',
      /gzip member 2 at byte \d+ does not end/,
    );
    await mustFail(
      Buffer.concat([one, Buffer.from('garbage here')]),
      'corrupt',
      /no gzip member begins at byte/,
    );
    await mustFail(Buffer.concat([one, Buffer.from('\0\0garbage')]), 'corrupt', /behind the zeros/);
    for (const [at, message] of [
      [one.length - 1, /incorrect data check/],
      [one.length - 5, /incorrect data check/],
      [2, /unknown header/],
      [3, /unknown header/],
    ] as const) {
      const damaged = Buffer.from(one);
      damaged[at] = (damaged[at] ?? 0) ^ 0x80;
      await mustFail(damaged, 'corrupt', message);
    }
    const crc = member(text, { headerCrc: true });
    crc[4] = 9;
    await mustFail(crc, 'corrupt', /damaged header/);
    const endless = Buffer.concat([
      Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]),
      Buffer.alloc(80_000, 'x'),
    ]);
    await mustFail(endless, 'corrupt', /header without an end/);
  });

  it('cannot make it allocate what they expand to', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const bomb = zlib.gzipSync(Buffer.alloc(300 * BLOCK_BYTES));
    let bytes = 0;
    for await (const chunk of decompress('gzip', cut(bomb, 65536), never)) {
      bytes += chunk.length;
      assert.ok(chunk.length <= 4 * BLOCK_BYTES);
    }
    assert.equal(bytes, 300 * BLOCK_BYTES);
    assert.ok(process.memoryUsage().arrayBuffers - before < 150 * BLOCK_BYTES);
  });
});

describe('brotli files', () => {
  const text = sqlText(300_000);
  const file = zlib.brotliCompressSync(text, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 3 } });
  const unbrotli = (bytes: Buffer, ...sizes: number[]) =>
    outcomeOf(decompress('brotli', cut(bytes, ...sizes, 65536), never));

  it('are decoded wherever chunks end', async () => {
    for (const size of [1, 1000, file.length - 1, file.length]) {
      const outcome = await unbrotli(file, size, size);
      assert.ok(outcome.ok && outcome.released.equals(text));
    }
  });

  it('get an error that says what is wrong', async () => {
    const cases: [Buffer, string, RegExp][] = [
      [Buffer.alloc(0), 'incomplete', /brotli stream does not end/],
      [file.subarray(0, -1), 'incomplete', /brotli stream does not end/],
      [
        Buffer.concat([file, Buffer.from('x')]),
        'corrupt',
        new RegExp(`behind the brotli stream, at byte ${file.length}`),
      ],
      [Buffer.concat([file, file]), 'corrupt', new RegExp(`at byte ${file.length}`)],
      [Buffer.from('SQLite format 3\0'), 'corrupt', /brotli stream/],
    ];
    for (const [bytes, code, message] of cases) {
      for (const size of [1, 65536, file.length]) {
        const outcome = await unbrotli(bytes, size, size);
        assert.ok(!outcome.ok);
        assert.match(String(outcome.error), message);
        assert.equal((outcome.error as { code?: string }).code, code);
      }
    }
  });
});
