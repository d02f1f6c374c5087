import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';

/** Threads of libuv's pool when nobody asks for another number. */
const DEFAULT_POOL_THREADS = 4;

/**
 * Sets up a process that does nothing but move data. Call it before anything else: the thread pool reads its
 * size at its first use.
 */
export function tuneProcess(): void {
  // One thread for each core compresses.
  process.env.UV_THREADPOOL_SIZE ??= String(Math.max(DEFAULT_POOL_THREADS, availableParallelism()));
  // Blocks of data make V8 collect often, though its own heap is small: marking it in one step of some
  // 10 ms costs an eighth less CPU time per backup than doing so bit by bit.
  setFlagsFromString('--no-incremental-marking');
  // Threads that compile can keep a process from ending (end-process.ts); this stage is as quick without one.
  setFlagsFromString('--no-concurrent-sparkplug');
}
