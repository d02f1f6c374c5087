import { type BackupError, throwIfAborted } from '../../errors.ts';
import { Turns } from '../../turns.ts';
import { smbFailure } from './failures.ts';
import { rootNames, type SmbOptions, smbLocation } from './options.ts';
import { type Loan, SmbPool } from './pool.ts';
import type { SmbSession } from './session.ts';

/** One storage: its settings, and its connections. */
export class SmbStorage {
  readonly options: SmbOptions;
  readonly location: string;
  /** The folders from the share to the storage's own. */
  readonly root: readonly string[];
  /** Each upload has a connection of its own beside those that commands share. */
  readonly uploads: Turns;
  readonly #pool: SmbPool;

  constructor(options: SmbOptions) {
    this.options = options;
    this.location = smbLocation(options);
    this.root = rootNames(options.root);
    this.uploads = new Turns(options.connections);
    this.#pool = new SmbPool(options);
  }

  /**
   * Does the work in a session of its own.
   * @param doing what is tried, as in `Cannot ${doing}: …`: `list job`
   * @throws BackupError
   */
  async use<T>(doing: string, signal: AbortSignal, work: (session: SmbSession) => Promise<T>): Promise<T> {
    try {
      return await this.#pool.use(signal, work);
    } catch (error) {
      throwIfAborted(signal);
      throw this.failure(error, doing);
    }
  }

  /** Lends a session for work that does not end with a call: it is given back with `giveBack`. */
  async lend(doing: string, signal: AbortSignal): Promise<Loan> {
    try {
      return await this.#pool.lend(signal);
    } catch (error) {
      throwIfAborted(signal);
      throw this.failure(error, doing);
    }
  }

  failure(error: unknown, doing: string): BackupError {
    return smbFailure(error, `${doing} on ${this.location}`);
  }
}
