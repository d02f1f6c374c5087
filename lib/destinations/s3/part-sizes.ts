import { BackupError } from '../../errors.ts';
import { MAX_PART_MIB, type S3Options } from './options.ts';
import type { S3Preset } from './providers.ts';

const MIB = 1024 * 1024;
/** S3 numbers the parts of an upload from 1 to 10 000. */
export const MAX_PARTS = 10_000;
/** Parts of one size before it doubles, when nobody knows how large the object becomes. */
const PARTS_BEFORE_GROWTH = 750;
/** The same when it is known: then all of it fits in, and what follows was not expected. */
const EXPECTED_PARTS = 9000;
const UNEXPECTED_PARTS = 100;
/** How many parts of equal size are held at once where sizes may not grow. */
const EQUAL_PARTS_HELD = 2;

/**
 * Sizes of the parts of one upload. With the default settings, 10 000 parts hold more than 5 TB: the size begins
 * at that of the settings and doubles every 750 parts up to 1 GiB. Where the expected size is known, all parts
 * that it needs have the same size. R2 takes parts of equal size only: 32 MiB by default, which is 320 GB.
 */
export class PartSizes {
  readonly #first: number;
  readonly #equal: boolean;
  readonly #flat: number;
  readonly #step: number;

  constructor(
    options: Pick<S3Options, 'partMiB' | 'parallelParts'>,
    { equalParts }: Pick<S3Preset, 'equalParts'>,
    expectedBytes: number | undefined,
  ) {
    const held = options.partMiB * options.parallelParts * MIB;
    const wanted = Math.max(options.partMiB * MIB, equalParts ? Math.floor(held / EQUAL_PARTS_HELD) : 0);
    const needed = roundUp(Math.ceil((expectedBytes ?? 0) / EXPECTED_PARTS));
    this.#first = Math.max(wanted, needed);
    this.#equal = equalParts;
    this.#flat = expectedBytes === undefined ? PARTS_BEFORE_GROWTH : EXPECTED_PARTS;
    this.#step = expectedBytes === undefined ? PARTS_BEFORE_GROWTH : UNEXPECTED_PARTS;
  }

  /**
   * Bytes of a part, counted from 1.
   * @throws BackupError `invalid-config` when there are no more numbers
   */
  bytesOf(number: number): number {
    if (number > MAX_PARTS) {
      throw new BackupError(
        'invalid-config',
        `S3 takes ${MAX_PARTS} parts of a file, and this one is larger: set a larger part size in the storage`,
      );
    }
    if (this.#equal || number <= this.#flat) return this.#first;
    const doublings = 1 + Math.floor((number - 1 - this.#flat) / this.#step);
    return Math.min(this.#first * 2 ** doublings, Math.max(this.#first, MAX_PART_MIB * MIB));
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / MIB) * MIB;
}
