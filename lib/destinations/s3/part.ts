import { createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import type { BlockPool } from '../../bytes/block-pool.ts';

/** Bytes that are handed to the connection at a time: progress is seen in such steps. */
const SLICE_BYTES = 128 * 1024;
/** The first block of a part is small, since most objects are. */
const FIRST_BLOCK_BYTES = 64 * 1024;

/** What the server checks the bytes of a request against. */
export type Checksum = 'crc32' | 'md5';

/** The checksums of a request, as fields of the SDK's commands. */
export interface ChecksumFields {
  readonly ContentMD5?: string;
  readonly ChecksumCRC32?: string;
}

/**
 * Bytes that are held in memory until the server has acknowledged them, so that they can be sent again. Their
 * checksums are computed as they come.
 */
export class Part {
  bytes = 0;
  readonly #capacity: number;
  readonly #pool: BlockPool;
  readonly #blocks: Buffer[] = [];
  /** The last block, and the bytes that are used of it. */
  #block: Buffer = Buffer.alloc(0);
  #used = 0;
  readonly #md5: Hash | undefined;
  readonly #sha256: Hash | undefined;
  #crc32 = 0;
  #checksums: { readonly fields: ChecksumFields; readonly payloadHash: string } | undefined;

  /**
   * @param capacity most bytes that it takes
   * @param signed whether a request is signed together with its body: needed where TLS does not protect it
   */
  constructor(capacity: number, pool: BlockPool, checksum: Checksum, signed: boolean) {
    this.#capacity = capacity;
    this.#pool = pool;
    this.#md5 = checksum === 'md5' ? createHash('md5') : undefined;
    this.#sha256 = signed ? createHash('sha256') : undefined;
  }

  get isFull(): boolean {
    return this.bytes === this.#capacity;
  }

  /** Copies as much of the chunk as there is room for, and tells how much that was. */
  add(chunk: Buffer): number {
    const taken = chunk.subarray(0, this.#capacity - this.bytes);
    for (let at = 0; at < taken.length; ) {
      if (this.#used === this.#block.length) this.#nextBlock();
      const copied = taken.copy(this.#block, this.#used, at);
      this.#used += copied;
      at += copied;
    }
    this.#sha256?.update(taken);
    if (this.#md5 === undefined) this.#crc32 = crc32(taken, this.#crc32);
    else this.#md5.update(taken);
    this.bytes += taken.length;
    return taken.length;
  }

  /** What the server checks it against. Nothing is added any more. */
  get checksums(): ChecksumFields {
    return this.#sealed().fields;
  }

  /** Its bytes, from the beginning each time. */
  body(onSlice: () => void): PartBody {
    return new PartBody(this.#slices(onSlice), this.#sealed().payloadHash);
  }

  /** Gives the memory back: no body of it is in use any more. */
  release(): void {
    for (const block of this.#blocks) this.#pool.release(block);
    this.#blocks.length = 0;
  }

  #nextBlock(): void {
    this.#block = this.#blocks.length === 0 ? Buffer.allocUnsafeSlow(FIRST_BLOCK_BYTES) : this.#pool.take();
    this.#blocks.push(this.#block);
    this.#used = 0;
  }

  *#slices(onSlice: () => void): Generator<Buffer> {
    for (const block of this.#blocks) {
      const end = block === this.#block ? this.#used : block.length;
      for (let at = 0; at < end; at += SLICE_BYTES) {
        onSlice();
        yield block.subarray(at, Math.min(at + SLICE_BYTES, end));
      }
    }
  }

  #sealed() {
    this.#checksums ??= {
      fields:
        this.#md5 === undefined
          ? { ChecksumCRC32: crc32Text(this.#crc32) }
          : { ContentMD5: this.#md5.digest('base64') },
      payloadHash: this.#sha256?.digest('hex') ?? 'UNSIGNED-PAYLOAD',
    };
    return this.#checksums;
  }
}

/** The body of one request. */
export class PartBody extends Readable {
  /** What the request is signed with: the SHA-256 of the bytes in hexadecimal, or that they are not signed. */
  readonly payloadHash: string;
  readonly #slices: Iterator<Buffer>;

  constructor(slices: Iterator<Buffer>, payloadHash: string) {
    super({ highWaterMark: SLICE_BYTES });
    this.#slices = slices;
    this.payloadHash = payloadHash;
  }

  override _read(): void {
    const slice = this.#slices.next();
    this.push(slice.done === true ? null : slice.value);
  }
}

/** As the header `x-amz-checksum-crc32` has it: big-endian, in Base64. */
export function crc32Text(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.toString('base64');
}
