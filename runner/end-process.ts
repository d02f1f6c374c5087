import type { ExitCode } from './exit-codes.ts';

/** What is compiled in the background takes some milliseconds. */
const COMPILED_WITHIN_MS = 30;

/**
 * Ends the process with that exit code.
 *
 * Not at once: process.exit() waits for the threads that compile code, and one that waits for the main thread to collect
 * garbage never ends then (https://github.com/nodejs/node/issues/54918). While the event loop turns, it does.
 */
export function endProcess(code: ExitCode): void {
  setTimeout(() => process.exit(code), COMPILED_WITHIN_MS);
}
