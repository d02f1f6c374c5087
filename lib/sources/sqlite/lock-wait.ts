/** How long SQLite itself waits for a lock before it tells us, in milliseconds. */
export const SHORT_WAIT_MS = 20;

const MAX_PAUSE_MS = 6;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * Does something that needs a lock, again and again for up to `limitMs` while others hold it. SQLite's own
 * waiting soon looks only every 100 ms, and then hardly ever finds a busy database free. Blocks the thread.
 * @throws what `action` threw last
 */
export function retryWhileLocked<T>(action: () => T, limitMs: number): T {
  const end = performance.now() + limitMs;
  for (;;) {
    try {
      return action();
    } catch (error) {
      if (!isLocked(error) || performance.now() >= end) throw error;
    }
    pause(Math.random() * MAX_PAUSE_MS);
  }
}

/** Blocks the thread. */
export function pause(milliseconds: number): void {
  Atomics.wait(sleeper, 0, 0, milliseconds);
}

function isLocked(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^SQLITE_(BUSY|LOCKED|PROTOCOL)/.test(code);
}
