import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { orAbort } from '../../abort.ts';
import { BlockPool } from '../../bytes/block-pool.ts';
import { BLOCK_BYTES, type ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { checkedRange } from '../byte-range.ts';
import type { ReadOptions } from '../driver.ts';
import { FolderChain } from './chain.ts';
import { fileError, isErrno } from './errors.ts';
import { type Folder, linkRefused } from './folder.ts';
import type { LocalOptions } from './options.ts';
import { localObjectPath } from './paths.ts';
import { openRootForRead } from './root.ts';

/** Released blocks that one reading keeps for its next ones. */
const KEPT_BLOCKS = 8;
/** Not blocking: opening a pipe that somebody placed there must not wait for its writer. */
const READ_FILE = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** The read half of the local destination: see the port's `read`. */
export async function readObject(
  options: LocalOptions,
  path: string,
  reading: ReadOptions,
): Promise<ByteStream> {
  throwIfAborted(reading.signal);
  const { folders, name } = localObjectPath(path);
  const root = await openRootForRead(options);
  if (root === undefined) throw noObject(options, path);
  const chain = await FolderChain.open(root, folders).catch((error: unknown) => {
    if (error instanceof BackupError && error.code === 'not-found') throw noObject(options, path);
    throw error;
  });
  try {
    const { file, bytes } = await openFile(chain.last, name);
    try {
      const { start, end } = checkedRange(path, bytes, reading.range);
      return new FileStream(file, chain.last.pathOf(name), start, end, reading.signal);
    } catch (error) {
      await file.close();
      throw error;
    }
  } finally {
    await chain.close();
  }
}

function noObject(options: LocalOptions, path: string): BackupError {
  return new BackupError('not-found', `There is no ${path} in ${options.root}`);
}

async function openFile(folder: Folder, name: string): Promise<{ file: FileHandle; bytes: number }> {
  let file: FileHandle;
  try {
    file = await open(folder.at(name), READ_FILE);
  } catch (error) {
    if (isErrno(error, 'ELOOP', 'EMLINK')) throw linkRefused(folder.pathOf(name));
    throw fileError(error, 'read', folder.pathOf(name));
  }
  const found = await file.stat();
  if (found.isFile()) return { file, bytes: found.size };
  await file.close();
  throw new BackupError('not-found', `${folder.pathOf(name)} is not a file`);
}

/** One pass over a part of an open file, one block ahead of its consumer. Closes the file in every case. */
class FileStream implements ByteStream, AsyncIterator<Buffer, void> {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #signal: AbortSignal;
  readonly #end: number;
  readonly #blocks = new BlockPool(BLOCK_BYTES, KEPT_BLOCKS);
  #position: number;
  #ahead: Promise<Buffer> | undefined;
  #closed: Promise<void> | undefined;
  readonly #onAbort = () => {
    this.#close().catch(() => {});
  };

  constructor(file: FileHandle, path: string, start: number, end: number, signal: AbortSignal) {
    this.#file = file;
    this.#path = path;
    this.#position = start;
    this.#end = end;
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer, void> {
    return this;
  }

  async next(): Promise<IteratorResult<Buffer, void>> {
    throwIfAborted(this.#signal);
    const block = this.#ahead ?? this.#readBlock();
    if (block === undefined || this.#closed !== undefined) {
      await this.#close();
      return { done: true, value: undefined };
    }
    try {
      const value = await orAbort(block, this.#signal);
      this.#ahead = this.#readBlock();
      return { done: false, value };
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Buffer, void>> {
    await this.#close();
    return { done: true, value: undefined };
  }

  release(chunk: Buffer): void {
    this.#blocks.release(chunk);
  }

  #readBlock(): Promise<Buffer> | undefined {
    const bytes = Math.min(BLOCK_BYTES, this.#end - this.#position);
    if (bytes === 0) return undefined;
    const at = this.#position;
    this.#position += bytes;
    const block = this.#fill(this.#blocks.take().subarray(0, bytes), at);
    // It is awaited by the next pull, which may never come.
    block.catch(() => {});
    return block;
  }

  async #fill(block: Buffer, at: number): Promise<Buffer> {
    let filled = 0;
    while (filled < block.length) {
      const { bytesRead } = await this.#readAt(block, filled, at + filled);
      if (bytesRead === 0) {
        throw new BackupError('incomplete', `${this.#path} became shorter while it was read`);
      }
      filled += bytesRead;
    }
    return block;
  }

  async #readAt(block: Buffer, offset: number, position: number): Promise<{ bytesRead: number }> {
    try {
      return await this.#file.read(block, offset, block.length - offset, position);
    } catch (error) {
      throw fileError(error, 'read', this.#path);
    }
  }

  #close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#closed ??= this.#file.close();
    return this.#closed;
  }
}
