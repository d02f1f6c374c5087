import { BackupError } from '../errors.ts';
import type { ByteStream } from './stream.ts';

/** Reads a stream to its end and keeps nothing; resolves to the number of its bytes. */
export async function drain(stream: ByteStream, onBytes?: (total: number) => void): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    onBytes?.(bytes);
  }
  return bytes;
}

/**
 * Reads a small object whole.
 * @param what names the object in the error: `manifest.json of set …`
 * @throws BackupError `corrupt` when it has more than `limit` bytes
 */
export async function readAll(stream: ByteStream, limit: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > limit)
      throw new BackupError('corrupt', `${what} is larger than ${limit} bytes: it is damaged`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
