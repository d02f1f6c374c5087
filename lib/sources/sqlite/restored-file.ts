import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { abortable } from '../../bytes/abortable.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, toBackupError } from '../../errors.ts';
import { isOrphan, OWNER_TAG, ownerTag } from '../../process-owner.ts';
import { HEADER_BYTES, readHeader } from './header.ts';
import { removeSiblings } from './siblings.ts';

/** A database file in the making, beside the one that it will become: hidden, and readable by us only. */
export class RestoredFile {
  readonly path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Creates an empty file, and removes those that killed restores of the same database left. */
  static async create(target: string): Promise<RestoredFile> {
    await sweep(target);
    const name = `${prefixFor(target)}${ownerTag()}-${randomBytes(8).toString('hex')}`;
    const path = join(dirname(target), name);
    try {
      return new RestoredFile(path, await open(path, 'wx', 0o600));
    } catch (error) {
      throw toBackupError(error, `${path} cannot be created`);
    }
  }

  /**
   * Writes all bytes durably and closes the file. An error of the stream passes unchanged.
   * @throws BackupError `incomplete` when bytes are missing, `corrupt` when they are no SQLite database
   */
  async fill(raw: ByteStream, signal: AbortSignal): Promise<void> {
    const header = Buffer.alloc(HEADER_BYTES);
    let bytes = 0;
    try {
      for await (const chunk of abortable(raw, signal)) {
        if (bytes < HEADER_BYTES) chunk.copy(header, bytes);
        await this.#append(chunk, bytes);
        bytes += chunk.length;
        raw.release?.(chunk);
      }
      requireWhole(header, bytes);
      await this.#sync();
    } finally {
      await this.#handle.close();
    }
  }

  /** Removes what is left under the temporary name, and what checking it left beside. */
  async discard(): Promise<void> {
    await rm(this.path, { force: true });
    await removeSiblings(this.path);
  }

  async #append(chunk: Buffer, position: number): Promise<void> {
    try {
      for (let written = 0; written < chunk.length; ) {
        const left = chunk.length - written;
        const { bytesWritten } = await this.#handle.write(chunk, written, left, position + written);
        written += bytesWritten;
      }
    } catch (error) {
      throw toBackupError(error, `${this.path} cannot be written`);
    }
  }

  async #sync(): Promise<void> {
    try {
      await this.#handle.sync();
    } catch (error) {
      throw toBackupError(error, `${this.path} cannot be written to the disk`);
    }
  }
}

function requireWhole(bytes: Buffer, length: number): void {
  if (length < HEADER_BYTES) {
    throw new BackupError('incomplete', `The dump has ${length} bytes, too few for a SQLite database`);
  }
  const header = readHeader(bytes);
  if (header === undefined) throw new BackupError('corrupt', 'The dump is not a SQLite database');
  const { pages = Math.ceil(length / header.pageSize), pageSize } = header;
  if (pages * pageSize === length) return;
  throw new BackupError(
    'incomplete',
    `The dump has ${length} bytes, but by its header ${pages} pages of ${pageSize} bytes`,
  );
}

async function sweep(target: string): Promise<void> {
  const prefix = prefixFor(target);
  const rest = new RegExp(`^(${OWNER_TAG})-[0-9a-f]{16}(-journal|-wal|-shm)?$`);
  for (const name of await readdir(dirname(target))) {
    const tag = name.startsWith(prefix) ? rest.exec(name.slice(prefix.length))?.[1] : undefined;
    if (tag === undefined) continue;
    const path = join(dirname(target), name);
    const found = await lstat(path).catch(() => undefined);
    if (found?.isFile() && isOrphan(tag, found.mtime)) await rm(path, { force: true });
  }
}

function prefixFor(target: string): string {
  return `.${basename(target)}.restoring-`;
}
