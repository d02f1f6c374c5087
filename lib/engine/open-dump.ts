import { orAbort, orTimeout, settled } from '../abort.ts';
import { abortError, BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { DatabaseInfo, Dump, DumpProof, SourceDriver } from '../sources/driver.ts';

/** How long the source of a dump that is not wanted any more may take to end, in ms. */
const CLOSE_MS = 10_000;

/**
 * A dump under way, with a signal of its own: whoever opened it can end it even while it hangs, without
 * ending the run. Closed in every case.
 */
export class OpenDump {
  readonly dump: Dump;
  readonly #controller: AbortController;
  readonly #signal: AbortSignal;
  readonly #unlink: () => void;
  #proven = false;

  private constructor(dump: Dump, controller: AbortController, signal: AbortSignal, unlink: () => void) {
    this.dump = dump;
    this.#controller = controller;
    this.#signal = signal;
    this.#unlink = unlink;
  }

  /** @throws BackupError when the dump cannot start, or the signal aborts first */
  static async open(driver: SourceDriver, database: DatabaseInfo, signal: AbortSignal): Promise<OpenDump> {
    throwIfAborted(signal);
    const controller = new AbortController();
    const onAbort = () => controller.abort(abortError(signal));
    const unlink = () => signal.removeEventListener('abort', onAbort);
    signal.addEventListener('abort', onAbort, { once: true });
    const starting = start(driver, database, controller.signal);
    // Should it start after an abort, it finds its own signal aborted; nobody hears of its proof.
    const ending = starting.then((dump) => dump.proof);
    ending.catch(() => undefined);
    try {
      return new OpenDump(await orAbort(starting, signal), controller, signal, unlink);
    } catch (error) {
      unlink();
      // Else the process might end before the source has cleaned up.
      await settled(ending, CLOSE_MS);
      throw error;
    }
  }

  /**
   * The gate (invariant 1): resolves only when the source has shown that the dump is complete.
   * @throws BackupError when it is not, or when the run is aborted first
   */
  async proven(): Promise<DumpProof> {
    const proof = await orAbort(this.dump.proof, this.#signal);
    this.#proven = true;
    return proof;
  }

  /** Why the stream broke: what the tool says of itself tells more than the broken stream. */
  async failure(streamFailure: unknown): Promise<unknown> {
    if (streamFailure instanceof BackupError) return streamFailure;
    const account = this.dump.proof.then(
      () => streamFailure,
      (proofFailure: unknown) => proofFailure,
    );
    return orTimeout(orAbort(account, this.#signal), CLOSE_MS, () => toBackupError(streamFailure));
  }

  /** Ends the source unless it has ended well, and waits for its clean-up, but not for ever. */
  async close(): Promise<void> {
    if (!this.#proven) {
      this.#controller.abort(new BackupError('aborted', 'Nobody takes this dump any more'));
      await settled(this.dump.proof, CLOSE_MS);
    }
    this.#unlink();
  }
}

/** A driver that throws instead of rejecting is one that fails all the same. */
async function start(driver: SourceDriver, database: DatabaseInfo, signal: AbortSignal): Promise<Dump> {
  return driver.dump(database, signal);
}
