import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ByteStream } from '../../lib/bytes/stream.ts';

/** A stream over `data`, cut at the given sizes (repeated until the data ends), without copying. */
export async function* cut(data: Buffer, ...sizes: number[]): AsyncGenerator<Buffer> {
  if (sizes.every((size) => size <= 0)) throw new Error('at least one size must be positive');
  let at = 0;
  for (let turn = 0; at < data.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? data.length;
    yield data.subarray(at, at + size);
    at += size;
    if (turn % 64 === 63) await nextTurn();
  }
}

/** The stream's chunks in one Buffer. For test data only. */
export async function collect(stream: ByteStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export type Outcome =
  | { readonly ok: true; readonly released: Buffer }
  | { readonly ok: false; readonly released: Buffer; readonly error: unknown };

/** Drains a stream and tells what it released before it ended or failed. */
export async function outcomeOf(stream: ByteStream): Promise<Outcome> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of stream) chunks.push(chunk);
    return { ok: true, released: Buffer.concat(chunks) };
  } catch (error) {
    return { ok: false, released: Buffer.concat(chunks), error };
  }
}

export function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Bytes that no compressor shrinks, the same for the same seed. */
export function noise(bytes: number, seed = 1): Buffer {
  const data = Buffer.allocUnsafe(bytes);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let at = 0; at < bytes; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[at] = state & 0xff;
  }
  return data;
}

/** Text like an SQL dump, compressible to about a quarter, the same for the same seed. */
export function sqlText(bytes: number, seed = 1): Buffer {
  const random = noise(4 * (Math.ceil(bytes / 60) + 1), seed);
  const lines: string[] = [];
  let length = 0;
  for (let row = 0; length < bytes; row += 1) {
    const value = random.readUInt32LE((4 * row) % (random.length - 3));
    const line = `INSERT INTO orders VALUES (${row},'customer-${value % 9973}',${value / 100},'${value.toString(36)}');\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join(''), 'latin1').subarray(0, bytes);
}
