import { type BackupError, throwIfAborted } from '../../errors.ts';
import type { FtpConnection } from './connection.ts';
import { ftpFailure } from './failures.ts';
import { type FtpOptions, ftpLocation } from './options.ts';
import { FtpPool, type Loan } from './pool.ts';

/** One storage: its settings, and its connections. */
export class FtpStorage {
  readonly options: FtpOptions;
  readonly longestPauseMs: number | undefined;
  readonly #pool: FtpPool;

  constructor(options: FtpOptions, longestPauseMs?: number) {
    this.options = options;
    this.longestPauseMs = longestPauseMs;
    this.#pool = new FtpPool(options);
  }

  /**
   * Does the work on a connection of its own.
   * @param doing what is tried, as in `Cannot ${doing}`: `list job`
   * @throws BackupError
   */
  async use<T>(
    doing: string,
    signal: AbortSignal,
    work: (connection: FtpConnection) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#pool.use(signal, work);
    } catch (error) {
      throwIfAborted(signal);
      throw this.failure(error, doing);
    }
  }

  /** Lends a connection for work that does not end with a call: it is given back with `giveBack`. */
  async lend(doing: string, signal: AbortSignal): Promise<Loan> {
    try {
      return await this.#pool.lend(signal);
    } catch (error) {
      throwIfAborted(signal);
      throw this.failure(error, doing);
    }
  }

  failure(error: unknown, doing: string): BackupError {
    return ftpFailure(error, `${doing} on ${ftpLocation(this.options)}`);
  }
}
