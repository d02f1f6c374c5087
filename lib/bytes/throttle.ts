import { setTimeout as sleep } from 'node:timers/promises';
import { abortError } from '../errors.ts';
import type { ByteStream } from './stream.ts';

/** Debts shorter than this are not slept off but carried on: small chunks then share one timer. */
const SHORTEST_SLEEP_MS = 25;
/** Large chunks are cut into pieces of this duration, so that a slow rate stays even. */
const PIECE_MS = 250;
/** Time lost to a stall beyond this is not made up for by a burst. */
const LONGEST_CREDIT_MS = 1000;

/** A rate that several streams share. */
export class RateLimit {
  readonly #bytesPerMs: number;
  /** When the bytes passed so far would have been done at exactly the rate. */
  #due = performance.now();

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** The most that should be passed at once. */
  get pieceBytes(): number {
    return Math.max(1, Math.floor(this.#bytesPerMs * PIECE_MS));
  }

  /** Counts bytes that are about to be passed; returns how long they have to wait, in ms. */
  reserve(bytes: number): number {
    const now = performance.now();
    const start = Math.max(this.#due, now - LONGEST_CREDIT_MS);
    this.#due = start + bytes / this.#bytesPerMs;
    return start - now;
  }
}

/**
 * Passes `input` on at no more than the rate on average, without copying.
 * @param rate shared with others, or of its own in bytes per second
 * @throws BackupError `aborted` when the signal fires during a wait
 */
export async function* throttle(
  input: ByteStream,
  rate: number | RateLimit,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const limit = typeof rate === 'number' ? new RateLimit(rate) : rate;
  const { pieceBytes } = limit;
  for await (const chunk of input) {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      const piece = chunk.length <= pieceBytes ? chunk : chunk.subarray(at, at + pieceBytes);
      const waitMs = limit.reserve(piece.length);
      if (waitMs >= SHORTEST_SLEEP_MS) await sleepUntilAborted(waitMs, signal);
      yield piece;
    }
  }
}

async function sleepUntilAborted(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch {
    throw abortError(signal);
  }
}
