import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import fc from 'fast-check';
import { drain } from '../../lib/bytes/drain.ts';
import { freeMemory, withRelease } from '../../lib/bytes/release.ts';
import { BLOCK_BYTES, type ByteStream } from '../../lib/bytes/stream.ts';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { type StepRecord, stepRecord } from '../../lib/transforms/records.ts';
import type { ForwardPass, Transform, UndoCommand } from '../../lib/transforms/transform.ts';
import { collect, cut, noise, outcomeOf, sha256, sqlText } from '../support/byte-streams.ts';

/** A transform as the conformance suite sees it. */
export interface TransformUnderTest {
  /** Title of the suite: `compress zstd level 3`. */
  readonly name: string;
  create(): Transform | Promise<Transform>;
  /** Undoes the step from its record, as restore does. */
  invert(record: StepRecord, input: ByteStream, signal: AbortSignal): ByteStream;
  /**
   * The standard tool's way back; `folder` is a fresh temp folder for key files and scripts.
   * Undefined when the step does not change the bytes.
   */
  undo?(record: StepRecord, folder: string): UndoCommand | Promise<UndoCommand>;
  /**
   * What the inverse promises about a flipped bit: `never-released` (every byte that it yields is true),
   * `detected` (it fails, at the latest at the end), `needs-hash` (the format has no check of its own:
   * the manifest's hash finds it).
   */
  readonly damage: 'never-released' | 'detected' | 'needs-hash';
  /** Error codes besides `corrupt` and `incomplete` that a damaged file may give. */
  readonly damageCodes?: readonly ErrorCode[];
  /** Upper bound of the input that is taken before any output is pulled on; default 16 MiB. */
  readonly readAheadBytes?: number;
  /** Random cases per law; lower it for a slow transform. Default 40. */
  readonly cases?: number;
  /** Takes long for bytes that do not shrink: the memory test then sends fewer of them. */
  readonly slowForNoise?: boolean;
}

/** Registers the tests that every transform must pass. */
export function transformConformance(subject: TransformUnderTest): void {
  describe(`transform: ${subject.name}`, () => {
    roundTrips(subject);
    laziness(subject);
    memory(subject);
    endings(subject);
    damage(subject);
    if (subject.undo !== undefined) standardTool(subject, subject.undo);
  });
}

const never = new AbortController().signal;

/** What the memory test sends through, and what may be held of it; V8 leaves up to 64 MiB of garbage. */
const PASSED_BLOCKS = 224;
const MOST_BUFFER_BYTES = 144 * BLOCK_BYTES;

interface Stored {
  readonly bytes: Buffer;
  readonly record: StepRecord;
}

async function store(subject: TransformUnderTest, input: ByteStream): Promise<Stored> {
  const pass = (await subject.create()).forward(input, never);
  const bytes = await collect(pass.output);
  return { bytes, record: pass.record() };
}

function roundTrips(subject: TransformUnderTest): void {
  const data = Buffer.concat([sqlText(BLOCK_BYTES + 700_000), noise(BLOCK_BYTES + 11)]);
  const inputs: [string, Buffer, number[]][] = [
    ['no bytes', Buffer.alloc(0), [1]],
    ['one byte', Buffer.from('x'), [1]],
    ['a block less one', data.subarray(0, BLOCK_BYTES - 1), [BLOCK_BYTES]],
    ['exactly one block', data.subarray(0, BLOCK_BYTES), [BLOCK_BYTES]],
    ['exactly two blocks in 64 KiB chunks', data.subarray(0, 2 * BLOCK_BYTES), [65536]],
    ['a block and one', data.subarray(0, BLOCK_BYTES + 1), [BLOCK_BYTES]],
    ['text, then noise, in odd chunks', data, [1, 4096, 70_001, 0, 3]],
    ['zeros in one large chunk', Buffer.alloc(5 * BLOCK_BYTES + 5), [6 * BLOCK_BYTES]],
  ];

  for (const [title, raw, sizes] of inputs) {
    it(`gives back ${title}`, async () => {
      const before = sha256(raw);
      const stored = await store(subject, cut(raw, ...sizes));
      assert.equal(sha256(raw), before, 'the transform wrote into its input');
      const back = await collect(subject.invert(stored.record, cut(stored.bytes, 65536), never));
      assert.equal(back.length, raw.length);
      assert.equal(sha256(back), before);
    });
  }

  it('leaves a record that a manifest can hold, and an extension', async () => {
    const transform = await subject.create();
    const { record } = await store(subject, cut(Buffer.from('abc'), 1));
    assert.deepEqual(stepRecord.parse(JSON.parse(JSON.stringify(record))), record);
    assert.equal(record.kind, transform.kind);
    assert.match(transform.extension, /^(\.[a-z0-9]+)?$/);
  });

  it('never writes into a chunk that it has yielded', async () => {
    const pass = (await subject.create()).forward(cut(data, 100_000), never);
    const forward = await hashEach(pass.output);
    const backward = await hashEach(
      subject.invert(pass.record(), cut(Buffer.concat(forward.chunks), 90_001), never),
    );
    for (const { chunks, hashes } of [forward, backward]) assert.deepEqual(chunks.map(sha256), hashes);
  });

  it('runs several passes at once without mixing them', async () => {
    const transform = await subject.create();
    const inputs = [1, 2, 3].map((seed) => sqlText(BLOCK_BYTES + seed * 1000, seed));
    await Promise.all(
      inputs.map(async (raw) => {
        const pass = transform.forward(cut(raw, 50_000), never);
        const bytes = await collect(pass.output);
        assert.equal(
          sha256(await collect(subject.invert(pass.record(), cut(bytes, 33_333), never))),
          sha256(raw),
        );
      }),
    );
  });

  it('reads no chunk that it has released, and gives out none that it still needs', async () => {
    const sizes = [BLOCK_BYTES, BLOCK_BYTES, 65536, 2 * BLOCK_BYTES];
    const pass = (await subject.create()).forward(spoiling(cut(data, ...sizes)), never);
    const stored = await collectAndRelease(pass.output);
    const input = spoiling(cut(stored, ...sizes));
    const back = await collectAndRelease(subject.invert(pass.record(), input, never));
    assert.equal(sha256(back), sha256(data));
  });

  it('gives back any bytes in any chunking, both ways', async () => {
    await fc.assert(
      fc.asyncProperty(rawBytes(), chunkSizes(), chunkSizes(), async (raw, forward, backward) => {
        const stored = await store(subject, cut(raw, ...forward));
        const back = await collect(subject.invert(stored.record, cut(stored.bytes, ...backward), never));
        assert.ok(back.equals(raw));
      }),
      { numRuns: subject.cases ?? 40 },
    );
  });
}

function laziness(subject: TransformUnderTest): void {
  const allowance = subject.readAheadBytes ?? 16 * BLOCK_BYTES;

  it('reads nothing before its output is pulled', async () => {
    const source = probe(cut(sqlText(100_000), 1000));
    (await subject.create()).forward(source.stream, never);
    const { record } = await store(subject, cut(Buffer.from('abc'), 1));
    const stored = probe(cut(noise(1000), 100));
    subject.invert(record, stored.stream, never);
    await wait(20);
    assert.equal(source.bytes, 0);
    assert.equal(stored.bytes, 0);
  });

  it('reads only a bounded stretch ahead of a slow consumer', async () => {
    const raw = noise(2 * allowance + 3 * BLOCK_BYTES);
    const source = probe(cut(raw, 65536));
    const pass = (await subject.create()).forward(source.stream, never);
    await pullOneAndStall(pass.output, source, allowance);
    const stored = await store(subject, cut(raw, BLOCK_BYTES));
    const file = probe(cut(stored.bytes, 65536));
    await pullOneAndStall(subject.invert(stored.record, file.stream, never), file, allowance);
  });
}

function memory(subject: TransformUnderTest): void {
  it('needs constant memory, both ways', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-transform-'));
    try {
      const path = join(folder, 'stored');
      const pass = (await subject.create()).forward(manyBlocks(subject), never);
      const forward = new BufferMeter(pass.output);
      await writeFile(path, forward);
      forward.assertBounded();
      const file = createReadStream(path, { highWaterMark: BLOCK_BYTES });
      const backward = new BufferMeter(subject.invert(pass.record(), file, never));
      assert.equal(await drain(backward), PASSED_BLOCKS * BLOCK_BYTES);
      backward.assertBounded();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

/** Far more than may be held, in fresh buffers. */
async function* manyBlocks(subject: TransformUnderTest): AsyncGenerator<Buffer> {
  const block = noise(BLOCK_BYTES);
  if (subject.slowForNoise === true) block.fill(0, BLOCK_BYTES / 8);
  for (let count = 0; count < PASSED_BLOCKS; count += 1) {
    block.writeUInt32LE(count, 0);
    yield Buffer.from(block);
  }
}

/** Passes a stream on and notes how much memory buffers have at most meanwhile. */
class BufferMeter implements ByteStream {
  readonly #input: ByteStream;
  readonly #before = process.memoryUsage().arrayBuffers;
  #most = 0;

  constructor(input: ByteStream) {
    this.#input = input;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for await (const chunk of this.#input) {
      this.#most = Math.max(this.#most, process.memoryUsage().arrayBuffers - this.#before);
      yield chunk;
    }
  }

  assertBounded(): void {
    assert.ok(this.#most < MOST_BUFFER_BYTES, `${this.#most} bytes of buffers were held`);
  }
}

function endings(subject: TransformUnderTest): void {
  const raw = sqlText(3 * BLOCK_BYTES);

  for (const [title, direction] of directions(subject)) {
    it(`${title}: passes on the error of its input and ends`, async () => {
      const failure = new BackupError('unavailable', 'the source died');
      const { stream } = await direction(raw, never, async function* (input) {
        let count = 0;
        for await (const chunk of input) {
          count += chunk.length;
          if (count > 300_000) throw failure;
          yield chunk;
        }
        throw failure;
      });
      const outcome = await outcomeOf(stream);
      assert.ok(!outcome.ok);
      assert.equal(outcome.error, failure);
    });

    it(`${title}: ends its input when its consumer stops early`, async () => {
      let ended = false;
      const { stream } = await direction(raw, never, async function* (input) {
        try {
          yield* input;
        } finally {
          ended = true;
        }
      });
      for await (const chunk of stream) {
        assert.ok(chunk.length > 0);
        break;
      }
      assert.ok(ended, 'the input was not ended');
    });

    it(`${title}: stops with 'aborted' while its input hangs`, async () => {
      const controller = new AbortController();
      const { stream } = await direction(raw, controller.signal, async function* (input) {
        for await (const chunk of input) {
          yield chunk.subarray(0, Math.ceil(chunk.length / 2));
          setTimeout(() => controller.abort(new BackupError('aborted', 'cancelled by the test')), 10);
          await new Promise(() => undefined);
        }
      });
      const outcome = await outcomeOf(stream);
      assert.ok(!outcome.ok);
      assert.ok(outcome.error instanceof BackupError);
      assert.equal(outcome.error.code, 'aborted');
      assert.equal(outcome.error.message, 'cancelled by the test');
    });

    it(`${title}: refuses to start when already aborted`, async () => {
      let started = false;
      const { stream } = await direction(raw, AbortSignal.abort(), async function* (input) {
        started = true;
        yield* input;
      });
      const outcome = await outcomeOf(stream);
      assert.ok(!outcome.ok && outcome.error instanceof BackupError && outcome.error.code === 'aborted');
      assert.equal(outcome.released.length, 0);
      assert.ok(!started, 'the input was read');
    });
  }
}

function damage(subject: TransformUnderTest): void {
  const allowed = new Set<ErrorCode>(['corrupt', 'incomplete', ...(subject.damageCodes ?? [])]);
  const cases = subject.cases ?? 40;
  let raw: Buffer;
  let stored: Stored;

  before(async () => {
    raw = Buffer.concat([sqlText(BLOCK_BYTES + 200_000), noise(50_000)]);
    stored = await store(subject, cut(raw, 65536));
  });

  async function mustFail(bytes: Buffer, sizes: number[], what: string): Promise<void> {
    const outcome = await outcomeOf(subject.invert(stored.record, cut(bytes, ...sizes), never));
    assert.ok(!outcome.ok, `${what} went unnoticed`);
    assertCleanError(outcome.error, allowed, what);
    if (subject.damage === 'never-released') assertPrefix(outcome.released, raw, what);
  }

  it('fails on a file that is cut off, wherever', async () => {
    const { length } = stored.bytes;
    for (const kept of new Set([
      0,
      1,
      2,
      3,
      4,
      5,
      10,
      17,
      18,
      19,
      length - 1,
      length - 2,
      length - 5,
      length - 9,
    ])) {
      await mustFail(stored.bytes.subarray(0, kept), [65536], `a file cut to ${kept} of ${length} bytes`);
    }
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: length - 1 }), chunkSizes(), async (kept, sizes) => {
        await mustFail(stored.bytes.subarray(0, kept), sizes, `a file cut to ${kept} of ${length} bytes`);
      }),
      { numRuns: cases },
    );
  });

  it('fails on bytes behind the end', async () => {
    const tails = [
      Buffer.from('x'),
      Buffer.from('garbage\n'),
      noise(100_000, 3),
      stored.bytes.subarray(0, 11),
    ];
    for (const tail of tails) {
      for (const sizes of [[65536], [1000], [stored.bytes.length, 1]]) {
        await mustFail(Buffer.concat([stored.bytes, tail]), sizes, `${tail.length} bytes behind the end`);
      }
    }
  });

  it('fails on foreign files', async () => {
    for (const foreign of [
      noise(70_000, 5),
      Buffer.alloc(70_000),
      Buffer.from('PGDMP not ours\n'),
      Buffer.alloc(3),
    ]) {
      await mustFail(foreign, [1000], `a foreign file of ${foreign.length} bytes`);
    }
  });

  it('never passes wrong data off as right when a byte is changed', async () => {
    const at = fc.oneof(
      fc.nat({ max: Math.min(63, stored.bytes.length - 1) }),
      fc.nat({ max: 39 }).map((back) => stored.bytes.length - 1 - back),
      fc.nat({ max: stored.bytes.length - 1 }),
    );
    await fc.assert(
      fc.asyncProperty(at, fc.integer({ min: 1, max: 255 }), chunkSizes(), async (position, flip, sizes) => {
        const bytes = Buffer.from(stored.bytes);
        bytes[position] = (bytes[position] ?? 0) ^ flip;
        const what = `byte ${position} changed by ${flip}`;
        const outcome = await outcomeOf(subject.invert(stored.record, cut(bytes, ...sizes), never));
        if (!outcome.ok) assertCleanError(outcome.error, allowed, what);
        else if (subject.damage !== 'needs-hash')
          assert.ok(outcome.released.equals(raw), `${what}: wrong data`);
        if (subject.damage === 'never-released') assertPrefix(outcome.released, raw, what);
      }),
      { numRuns: 3 * cases },
    );
  });

  it('never passes wrong data off as right when a stretch is lost, doubled or moved', async () => {
    if (subject.damage === 'needs-hash') return;
    const { length } = stored.bytes;
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: length - 2 }),
        fc.nat({ max: 200_000 }),
        fc.nat({ max: 2 }),
        async (from, span, how) => {
          const bytes = rearrange(stored.bytes, from, Math.min(length, from + 1 + span), how);
          const outcome = await outcomeOf(subject.invert(stored.record, cut(bytes, 65536), never));
          const what = `${span + 1} bytes at ${from} rearranged (${how})`;
          if (outcome.ok) assert.ok(outcome.released.equals(raw), `${what}: wrong data`);
          else assertCleanError(outcome.error, allowed, what);
          if (subject.damage === 'never-released') assertPrefix(outcome.released, raw, what);
        },
      ),
      { numRuns: cases },
    );
  });
}

function standardTool(subject: TransformUnderTest, undo: NonNullable<TransformUnderTest['undo']>): void {
  it('is undone by its standard tool', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-transform-'));
    try {
      for (const raw of [Buffer.alloc(0), sqlText(2 * BLOCK_BYTES + 12_345), noise(70_000)]) {
        const { bytes, record } = await store(subject, cut(raw, 65536));
        const input = join(folder, "a stored file's name");
        const output = join(folder, 'output');
        await writeFile(input, bytes);
        const line = (await undo.call(subject, record, folder)).command(
          shellQuote(input),
          shellQuote(output),
        );
        const { code, stderr } = await shell(line, folder);
        assert.equal(code, 0, `${line}: ${stderr}`);
        assert.equal(sha256(await readFile(output)), sha256(raw), line);
        await rm(output);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

type Direction = (
  raw: Buffer,
  signal: AbortSignal,
  wrap: (input: ByteStream) => ByteStream,
) => Promise<{ stream: ByteStream }>;

function directions(subject: TransformUnderTest): [string, Direction][] {
  const forward: Direction = async (raw, signal, wrap) => {
    const pass: ForwardPass = (await subject.create()).forward(wrap(cut(raw, 65536)), signal);
    return { stream: pass.output };
  };
  const backward: Direction = async (raw, signal, wrap) => {
    const stored = await store(subject, cut(raw, 65536));
    return { stream: subject.invert(stored.record, wrap(cut(stored.bytes, 65536)), signal) };
  };
  return [
    ['forward', forward],
    ['backward', backward],
  ];
}

function rawBytes(): fc.Arbitrary<Buffer> {
  return fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.nat({ max: 2 * BLOCK_BYTES + 5000 }), fc.nat({ max: 1000 }), fc.boolean())
      .map(([bytes, seed, text]) => (text ? sqlText(bytes, seed) : noise(bytes, seed))),
  );
}

function chunkSizes(): fc.Arbitrary<number[]> {
  const sizes = fc.array(fc.oneof(fc.nat({ max: 9 }), fc.nat({ max: 200_000 })), { maxLength: 4 });
  const large = fc.integer({ min: 20_000, max: 2 * BLOCK_BYTES });
  return fc.tuple(sizes, large).map(([some, one]) => [...some, one]);
}

/** A stream that overwrites and frees what is released, as producers that use their memory again may. */
function spoiling(input: ByteStream): ByteStream {
  const yielded = new Set<Buffer>();
  async function* chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of input) {
      const alone = Buffer.allocUnsafeSlow(chunk.length);
      chunk.copy(alone);
      yielded.add(alone);
      yield alone;
    }
  }
  return withRelease(chunks(), (chunk) => {
    assert.ok(yielded.delete(chunk), 'released twice, or never yielded');
    chunk.fill(0xdb);
    freeMemory(chunk);
  });
}

async function collectAndRelease(stream: ByteStream): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const chunk of stream) {
    copies.push(Buffer.from(chunk));
    stream.release?.(chunk);
  }
  return Buffer.concat(copies);
}

function rearrange(bytes: Buffer, from: number, to: number, how: number): Buffer {
  const before = bytes.subarray(0, from);
  const stretch = bytes.subarray(from, to);
  const after = bytes.subarray(to);
  if (how === 0) return Buffer.concat([before, after]);
  if (how === 1) return Buffer.concat([before, stretch, stretch, after]);
  return Buffer.concat([before, after, stretch]);
}

async function hashEach(stream: ByteStream): Promise<{ chunks: Buffer[]; hashes: string[] }> {
  const chunks: Buffer[] = [];
  const hashes: string[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
    hashes.push(sha256(chunk));
  }
  return { chunks, hashes };
}

/** Counts what is taken from a stream and notes its end. */
function probe(input: ByteStream): {
  readonly stream: ByteStream;
  readonly bytes: number;
  readonly ended: boolean;
} {
  const state = { bytes: 0, ended: false };
  async function* counted(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of input) {
        state.bytes += chunk.length;
        yield chunk;
      }
    } finally {
      state.ended = true;
    }
  }
  const stream = counted();
  return {
    stream,
    get bytes() {
      return state.bytes;
    },
    get ended() {
      return state.ended;
    },
  };
}

async function pullOneAndStall(
  stream: ByteStream,
  input: { readonly bytes: number; readonly ended: boolean },
  allowance: number,
): Promise<void> {
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  await wait(200);
  assert.ok(input.bytes <= allowance, `${input.bytes} bytes were read for one pulled chunk`);
  await iterator.return?.();
  assert.ok(input.ended, 'the input was not ended');
}

function assertCleanError(error: unknown, allowed: ReadonlySet<ErrorCode>, what: string): void {
  assert.ok(error instanceof BackupError, `${what}: ${String(error)} is not a BackupError`);
  assert.ok(allowed.has(error.code), `${what}: code ${error.code} (${error.message})`);
}

function assertPrefix(released: Buffer, raw: Buffer, what: string): void {
  assert.ok(raw.subarray(0, released.length).equals(released), `${what}: wrong bytes were released`);
}

function shellQuote(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}

async function shell(line: string, cwd: string): Promise<{ code: number | null; stderr: string }> {
  const child = spawn('sh', ['-c', line], { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stderr };
}
