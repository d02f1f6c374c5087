import { openSync, rmSync, write } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BLOCK_BYTES } from '../../bytes/stream.ts';
import { RING_SLOTS } from './protocol.ts';
import { type PageSource, readFully } from './snapshot-reader.ts';
import { createSpoolFolder, requireSpace, spoolFailure } from './spool.ts';

const writeAt = promisify(write);

/** How large the ring file becomes, in bytes; less for a small database. */
export const RING_BYTES = RING_SLOTS * BLOCK_BYTES;

export interface Ring {
  readonly descriptor: number;
  /** The private folder that it was made in, for errors. */
  readonly folder: string;
}

/** Puts a database block by block into the ring, and can move what is left of it into a spool on the way. */
export class Feed {
  readonly #ring: Ring;
  readonly #total: number;
  readonly #onBlock: () => void;
  #source: PageSource;
  #position = 0;
  #reading: Promise<unknown> = Promise.resolve();
  #moving: Promise<void> = Promise.resolve();
  #free = RING_SLOTS;
  #wake: () => void = () => {};

  /**
   * @param onBlock is called when one more block is in the ring
   */
  constructor(ring: Ring, total: number, source: PageSource, onBlock: () => void) {
    this.#ring = ring;
    this.#total = total;
    this.#source = source;
    this.#onBlock = onBlock;
  }

  /** Resolves when all blocks were put into the ring. */
  async run(): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    for (let number = 0; this.#position < this.#total; number++) {
      if (this.#free === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#free -= 1;
      await this.#moving;
      const block = await this.#readBlock(buffer);
      await this.#put(block, (number % RING_SLOTS) * BLOCK_BYTES);
      this.#onBlock();
    }
  }

  /** The host has read one block. */
  release(): void {
    this.#free += 1;
    this.#wake();
  }

  /**
   * Copies the bytes that were not read yet into a new file of a new private folder, from which the feed
   * then goes on; both lose their names at once. Once it resolves the first source is not read any more;
   * when it rejects the feed stays with it. To be called once.
   */
  spill(folder: string): Promise<void> {
    const spilled = this.#copyRest(folder, this.#position, this.#reading);
    this.#moving = spilled.catch(() => {});
    return spilled;
  }

  async #put(block: Buffer, position: number): Promise<void> {
    const { descriptor, folder } = this.#ring;
    try {
      await writeFully(descriptor, block, position);
    } catch (error) {
      throw spoolFailure(error, folder);
    }
  }

  async #readBlock(buffer: Buffer): Promise<Buffer> {
    const position = this.#position;
    const block = buffer.subarray(0, Math.min(buffer.length, this.#total - position));
    this.#position += block.length;
    const reading = this.#source.read(position, block);
    this.#reading = reading.catch(() => {});
    await reading;
    return block;
  }

  async #copyRest(folder: string, start: number, inFlight: Promise<unknown>): Promise<void> {
    const descriptor = createUnnamedFile(folder, this.#total - start);
    const buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    for (let position = start; position < this.#total; position += buffer.length) {
      const block = buffer.subarray(0, Math.min(buffer.length, this.#total - position));
      await this.#source.read(position, block);
      await writeFully(descriptor, block, position - start);
    }
    await inFlight;
    this.#source = fileSource(descriptor, start);
  }
}

/** The bytes of a file that holds a database from a position on. */
function fileSource(descriptor: number, startsAt: number): PageSource {
  return {
    async read(position, buffer) {
      const bytes = await readFully(descriptor, buffer, position - startsAt);
      if (bytes < buffer.length) throw new Error(`The spool ended at ${position + bytes} bytes`);
    },
  };
}

async function writeFully(descriptor: number, block: Buffer, position: number): Promise<void> {
  for (let written = 0; written < block.length; ) {
    const left = block.length - written;
    const { bytesWritten } = await writeAt(descriptor, block, written, left, position + written);
    written += bytesWritten;
  }
}

function createUnnamedFile(folder: string, bytes: number): number {
  createSpoolFolder(folder);
  try {
    requireSpace(folder, bytes);
    return openSync(join(folder, 'spill'), 'wx+', 0o600);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
