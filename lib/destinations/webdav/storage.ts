import { BackupError, throwIfAborted } from '../../errors.ts';
import { WebdavClient } from './client.ts';
import { webdavFailure } from './failures.ts';
import type { WebdavOptions } from './options.ts';
import { look } from './resources.ts';

/** One storage: its settings, and the way to its server. */
export class WebdavStorage {
  readonly options: WebdavOptions;
  readonly client: WebdavClient;
  readonly longestPauseMs: number | undefined;
  /** Where it is, without secrets. */
  readonly location: string;

  constructor(options: WebdavOptions, longestPauseMs?: number) {
    this.options = options;
    this.client = new WebdavClient(options);
    this.longestPauseMs = longestPauseMs;
    this.location = this.client.base.href.replace(/\/$/, '');
  }

  /**
   * Does the work, and tells what it was when it fails.
   * @param doing what is tried, as in `Cannot ${doing}`: `list job`
   * @throws BackupError
   */
  async try<T>(doing: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throwIfAborted(signal);
      throw this.failure(error, doing);
    }
  }

  failure(error: unknown, doing: string): BackupError {
    return webdavFailure(error, `${doing} on ${this.location}`);
  }

  /**
   * Whether the storage's folder is there. False only when it will be created by the first write.
   * @throws BackupError `not-found`, `invalid-config`, or the server's refusal as it came
   */
  async hasRoot(signal: AbortSignal): Promise<boolean> {
    const root = await look(this.client, [], signal);
    if (root?.type === 'folder') return true;
    if (root !== undefined) {
      throw new BackupError(
        'invalid-config',
        `${this.location} is a file on the WebDAV server, not a folder`,
      );
    }
    if (this.options.create) return false;
    throw new BackupError(
      'not-found',
      `The folder ${this.location} does not exist: create it, or switch on "Create the folder"`,
    );
  }
}
