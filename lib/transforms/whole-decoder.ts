import zlib from 'node:zlib';
import { freeMemory } from '../bytes/release.ts';
import { damaged, decodeError } from './decode-error.ts';

/** A part of a compressed file that can be decoded on its own, and tells the size of its content. */
export interface WholePart {
  readonly bytes: Buffer;
  readonly contentBytes: number;
  /** Names the part in errors. */
  readonly where: string;
}

type OneShot = (
  bytes: Buffer,
  options: { chunkSize: number; maxOutputLength: number },
  done: (error: Error | null, content: Buffer) => void,
) => void;

/** Decodes parts in one step each on the thread pool, straight into a buffer of the right size. */
export class WholeDecoder {
  readonly #oneShot: OneShot;
  readonly #alone = new WeakSet<Buffer>();

  constructor(oneShot: OneShot) {
    this.#oneShot = oneShot;
  }

  decode(part: WholePart): Promise<Buffer> {
    const { bytes, contentBytes, where } = part;
    // One byte more than will come: the engine then sees in one step that it is done.
    const chunkSize = Math.max(contentBytes + 1, zlib.constants.Z_MIN_CHUNK);
    const maxOutputLength = Math.max(contentBytes, 1);
    return new Promise((resolve, reject) => {
      this.#oneShot(bytes, { chunkSize, maxOutputLength }, (error, content) => {
        if (error) {
          reject(decodeError(where, error));
        } else if (content.length !== contentBytes) {
          reject(damaged(`${where} holds ${content.length} bytes, it says ${contentBytes}`));
        } else {
          // Small buffers share their memory with others.
          const alone = content.buffer.byteLength === chunkSize && chunkSize > Buffer.poolSize;
          if (alone) this.#alone.add(content);
          resolve(content);
        }
      });
    });
  }

  /** Frees the content of a part. Other buffers are left alone. */
  release(content: Buffer): void {
    if (this.#alone.delete(content)) freeMemory(content);
  }
}
