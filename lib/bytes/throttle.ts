import { setTimeout as sleep } from 'node:timers/promises';
import { abortError } from '../errors.ts';
import type { ByteStream } from './stream.ts';

/** Debts shorter than this are not slept off but carried on: small chunks then share one timer. */
const SHORTEST_SLEEP_MS = 25;
/** Large chunks are cut into pieces of this duration, so that a slow rate stays even. */
const PIECE_MS = 250;
/** Time lost to a stall beyond this is not made up for by a burst. */
const LONGEST_CREDIT_MS = 1000;

/**
 * Passes `input` on at no more than `bytesPerSecond` on average, without copying.
 * @throws BackupError `aborted` when the signal fires during a wait
 */
export async function* throttle(
  input: ByteStream,
  bytesPerSecond: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const bytesPerMs = bytesPerSecond / 1000;
  const pieceBytes = Math.max(1, Math.floor(bytesPerMs * PIECE_MS));
  /** When the bytes passed so far would have been done at exactly the rate. */
  let due = performance.now();
  for await (const chunk of input) {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      const piece = chunk.length <= pieceBytes ? chunk : chunk.subarray(at, at + pieceBytes);
      const now = performance.now();
      due = Math.max(due, now - LONGEST_CREDIT_MS);
      if (due - now >= SHORTEST_SLEEP_MS) await sleepUntilAborted(due - now, signal);
      due += piece.length / bytesPerMs;
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
