import type { FileEntryWithStats, SFTPWrapper, Stats } from 'ssh2';
import { abortError, BackupError } from '../../errors.ts';
import type { SshConnection } from '../../ssh/connection.ts';
import { isStatus, STATUS, Unsupported } from './failures.ts';

/** A server may take so many times as long to write its caches through as for other answers. */
const SYNC_PATIENCE = 10;
/** Objects and the folders above them are for the user who made them, as with a local folder. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** ST_RDONLY of `f_flag` (PROTOCOL of OpenSSH, section 4.4). */
const READ_ONLY = 1;

/** What `statvfs@openssh.com` tells of a file system; free is what this user may take. */
export interface FileSystem {
  /** Undefined where the file system does not know. */
  readonly freeBytes: number | undefined;
  readonly freeFiles: number | undefined;
  readonly readOnly: boolean;
}

type Answer<T> = (error: Error | null | undefined, value: T) => void;

/**
 * One session of SFTP, version 3 (draft-ietf-secsh-filexfer-02). Several may use it at the same time, since
 * requests are told apart by their ids. It fails as a whole when its connection breaks, or when the server
 * answers none of its requests for as long as the timeout. A request that the server refuses is rejected with
 * its status as it came (`isStatus`), others with a BackupError.
 */
export class SftpChannel {
  readonly connection: SshConnection;
  readonly #sftp: SFTPWrapper;
  readonly #timeoutMs: number;
  /** Those that wait for an answer, to be told when none can come any more. */
  readonly #waiting = new Set<(error: BackupError) => void>();
  readonly #onLost = () => this.#fail(abortError(this.connection.lost));
  #root = '';
  #failure: BackupError | undefined;
  #syncs = 0;
  #answeredAt = 0;
  #watch: NodeJS.Timeout | undefined;

  private constructor(connection: SshConnection, sftp: SFTPWrapper, timeoutMs: number) {
    this.connection = connection;
    this.#sftp = sftp;
    this.#timeoutMs = timeoutMs;
    const lose = (why: string) => this.#fail(broke(connection.name, why));
    sftp.on('error', (error: Error) => lose(error.message));
    sftp.on('end', () => lose('the server ended it'));
    sftp.on('close', () => lose('the server ended it'));
    connection.lost.addEventListener('abort', this.#onLost, { once: true });
    if (connection.lost.aborted) this.#onLost();
  }

  /** @param folder the storage's folder as in the options: absolute, or relative to the login folder */
  static async open(connection: SshConnection, folder: string, timeoutMs: number): Promise<SftpChannel> {
    const channel = new SftpChannel(connection, await connection.sftp(), timeoutMs);
    try {
      const absolute = folder.startsWith('/') ? folder : `${await channel.realpath('.')}/${folder}`;
      channel.#root = absolute.replace(/\/+$/, '').replaceAll(/\/{2,}/g, '/');
      return channel;
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  /** The storage's folder as an absolute path, without a slash at its end; empty for the root of the server. */
  get root(): string {
    return this.#root;
  }

  /** False once it has failed or was closed. */
  get usable(): boolean {
    return this.#failure === undefined;
  }

  /** Ends the session; the server closes its files. */
  close(): void {
    this.#fail(broke(this.connection.name, 'it was closed'));
    this.#sftp.end();
  }

  lstat(path: string): Promise<Stats> {
    return this.#request((sftp, answer) => sftp.lstat(path, answer));
  }

  stat(path: string): Promise<Stats> {
    return this.#request((sftp, answer) => sftp.stat(path, answer));
  }

  fstat(handle: Buffer): Promise<Stats> {
    return this.#request((sftp, answer) => sftp.fstat(handle, answer));
  }

  /** Of names from the storage's folder on, symbolic links resolved where the server does so. */
  realpath(path: string): Promise<string> {
    return this.#request((sftp, answer) => sftp.realpath(path, answer));
  }

  readlink(path: string): Promise<string> {
    return this.#request((sftp, answer) => sftp.readlink(path, answer));
  }

  /** @param flags `r`: to read; `r+`: to write into what is there; `wx`: to make a new file */
  open(path: string, flags: 'r' | 'r+' | 'wx'): Promise<Buffer> {
    const attributes = flags === 'wx' ? { mode: FILE_MODE } : {};
    return this.#request((sftp, answer) => sftp.open(path, flags, attributes, answer));
  }

  /** @returns the bytes that were read, less than wanted at any time; 0 at the end of the file */
  read(handle: Buffer, into: Buffer, position: number): Promise<number> {
    return this.#request((sftp, answer) => sftp.read(handle, into, 0, into.length, position, answer));
  }

  async write(handle: Buffer, bytes: Buffer, position: number): Promise<void> {
    await this.#request<void>((sftp, answer) =>
      sftp.write(handle, bytes, 0, bytes.length, position, (error) => answer(error, undefined)),
    );
  }

  async closeFile(handle: Buffer): Promise<void> {
    await this.#do((sftp, done) => sftp.close(handle, done));
  }

  async mkdir(path: string): Promise<void> {
    await this.#do((sftp, done) => sftp.mkdir(path, { mode: FOLDER_MODE }, done));
  }

  async rmdir(path: string): Promise<void> {
    await this.#do((sftp, done) => sftp.rmdir(path, done));
  }

  async unlink(path: string): Promise<void> {
    await this.#do((sftp, done) => sftp.unlink(path, done));
  }

  /** SSH_FXP_RENAME: some servers refuse when `to` exists, as they must; others overwrite. */
  async rename(from: string, to: string): Promise<void> {
    await this.#do((sftp, done) => sftp.rename(from, to, done));
  }

  /** rename(2): overwrites, atomically. @throws Unsupported */
  async posixRename(from: string, to: string): Promise<void> {
    await this.#do((sftp, done) => sftp.ext_openssh_rename(from, to, done));
  }

  /** link(2): refuses when `to` exists. @throws Unsupported */
  async hardlink(from: string, to: string): Promise<void> {
    await this.#do((sftp, done) => sftp.ext_openssh_hardlink(from, to, done));
  }

  /** @param mtime seconds since 1970 */
  async setTimes(path: string, atime: number, mtime: number): Promise<void> {
    await this.#do((sftp, done) => sftp.setstat(path, { atime, mtime }, done));
  }

  /** fsync(2). @throws Unsupported */
  async fsync(handle: Buffer): Promise<void> {
    this.#syncs += 1;
    try {
      await this.#do((sftp, done) => sftp.ext_openssh_fsync(handle, done));
    } finally {
      this.#syncs -= 1;
    }
  }

  /** @throws Unsupported */
  async statvfs(path: string): Promise<FileSystem> {
    const found = await this.#request<Record<string, number>>((sftp, answer) =>
      sftp.ext_openssh_statvfs(path, answer),
    );
    const { f_frsize = 0, f_blocks = 0, f_bavail = 0, f_files = 0, f_favail = 0, f_flag = 0 } = found;
    return {
      freeBytes: f_blocks === 0 ? undefined : f_bavail * f_frsize,
      freeFiles: f_files === 0 ? undefined : f_favail,
      readOnly: f_flag % 2 === READ_ONLY,
    };
  }

  opendir(path: string): Promise<Buffer> {
    return this.#request((sftp, answer) => sftp.opendir(path, answer));
  }

  /** Some of the entries; undefined after the last ones. */
  async readdir(handle: Buffer): Promise<FileEntryWithStats[] | undefined> {
    try {
      return await this.#request((sftp, answer) => sftp.readdir(handle, answer));
    } catch (error) {
      if (isStatus(error, STATUS.EOF)) return undefined;
      throw error;
    }
  }

  #do(send: (sftp: SFTPWrapper, done: (error?: Error | null) => void) => void): Promise<void> {
    return this.#request((sftp, answer) => send(sftp, (error) => answer(error, undefined)));
  }

  #request<T>(send: (sftp: SFTPWrapper, answer: Answer<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      const done = () => {
        if (!this.#waiting.delete(reject)) return false;
        this.#answeredAt = performance.now();
        if (this.#waiting.size === 0) this.#unwatch();
        return true;
      };
      this.#waiting.add(reject);
      if (this.#waiting.size === 1) this.#startWatch();
      try {
        send(this.#sftp, (error, value) => {
          if (!done()) return;
          if (!error) resolve(value);
          else reject(isStatus(error) ? error : broke(this.connection.name, String(error)));
        });
      } catch (error) {
        // The library refuses by itself to send an extended request that the server does not offer.
        done();
        reject(new Unsupported(error));
      }
    });
  }

  #startWatch(): void {
    this.#answeredAt = performance.now();
    this.#watch = setTimeout(() => this.#look(), this.#timeoutMs);
  }

  #unwatch(): void {
    clearTimeout(this.#watch);
    this.#watch = undefined;
  }

  /** Whether an answer has come lately. */
  #look(): void {
    const limitMs = this.#timeoutMs * (this.#syncs > 0 ? SYNC_PATIENCE : 1);
    const leftMs = this.#answeredAt + limitMs - performance.now();
    if (leftMs > 0) {
      this.#watch = setTimeout(() => this.#look(), Math.min(leftMs, this.#timeoutMs));
      return;
    }
    const text = `${this.connection.name} answered nothing for ${limitMs / 1000} s: check it and its network`;
    this.#fail(new BackupError('stalled', text, { transient: true }));
    this.#sftp.end();
  }

  #fail(reason: BackupError): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    this.connection.lost.removeEventListener('abort', this.#onLost);
    this.#unwatch();
    for (const reject of this.#waiting) reject(reason);
    this.#waiting.clear();
  }
}

function broke(name: string, why: string): BackupError {
  return new BackupError('unavailable', `The SFTP session with ${name} broke: ${why}`, { transient: true });
}
