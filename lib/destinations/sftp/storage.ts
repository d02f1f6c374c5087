import { type BackupError, throwIfAborted } from '../../errors.ts';
import type { KnownHosts } from '../../ssh/known-hosts.ts';
import type { SftpChannel } from './channel.ts';
import { sftpFailure } from './failures.ts';
import { type SftpOptions, sftpLocation } from './options.ts';
import { type Loan, SftpPool } from './pool.ts';

/** One storage: its settings, and its connection. */
export class SftpStorage {
  readonly options: SftpOptions;
  readonly location: string;
  /** False once a server was met that cannot replace a file in one step. */
  replacesAtomically = true;
  readonly #pool: SftpPool;

  constructor(options: SftpOptions, knownHosts: KnownHosts | undefined) {
    this.options = options;
    this.location = sftpLocation(options);
    this.#pool = new SftpPool(options, knownHosts);
  }

  /**
   * Does the work on a channel.
   * @param doing what is tried, as in `Cannot ${doing}`: `list job`
   * @throws BackupError
   */
  async use<T>(doing: string, signal: AbortSignal, work: (channel: SftpChannel) => Promise<T>): Promise<T> {
    try {
      return await this.#pool.use(signal, work);
    } catch (error) {
      throwIfAborted(signal);
      throw this.failure(error, doing);
    }
  }

  /** Lends a channel for work that does not end with a call: it is given back with `giveBack`. */
  async lend(doing: string, signal: AbortSignal): Promise<Loan> {
    try {
      return await this.#pool.lend(signal);
    } catch (error) {
      throwIfAborted(signal);
      throw this.failure(error, doing);
    }
  }

  failure(error: unknown, doing: string): BackupError {
    return sftpFailure(error, `${doing} on ${this.location}`);
  }
}
