import { constants } from 'node:fs';
import { type FileHandle, lstat, open, unlink } from 'node:fs/promises';
import { orAbort, settled } from '../../abort.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { abortError, BackupError, throwIfAborted } from '../../errors.ts';
import { alreadyExists } from '../already-exists.ts';
import type { PendingObject, WriteOptions } from '../driver.ts';
import { markActive, markDone, temporaryName } from '../temporary-names.ts';
import { type FolderChain, inMadeFolders } from './chain.ts';
import { exists, type FileIdentity, isSameFile, publishNew, publishReplacing } from './commit.ts';
import { fileError, isErrno } from './errors.ts';
import { FileWriter } from './file-writer.ts';
import type { LocalOptions } from './options.ts';
import { localObjectPath } from './paths.ts';
import { freeBytes, openRootForWrite } from './root.ts';

const MIB = 1024 * 1024;
/** Objects up to this size, in bytes, may use the reserve: it is there so that a manifest still fits. */
const SMALL_OBJECT_BYTES = MIB;
/** How long a failed write waits for a disk that hangs before it reports, in milliseconds. */
const CLEAN_UP_MS = 1500;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);

/** Where one object is being written: its folders, and its hidden and its later name. */
interface Place {
  readonly chain: FolderChain;
  readonly temporary: string;
  readonly name: string;
  readonly identity: FileIdentity;
}

/** The write half of the local destination: see the port's `write`. */
export async function writeObject(
  options: LocalOptions,
  path: string,
  bytes: ByteStream,
  writing: WriteOptions,
): Promise<PendingObject> {
  throwIfAborted(writing.signal);
  const { folders, name } = localObjectPath(path);
  await checkSpace(options, path, writing.expectedBytes);
  const { place, file } = await createTemporary(options, folders, name, writing.replace === true);
  const writer = new FileWriter(file, (chunk) => bytes.release?.(chunk));
  try {
    await transfer(bytes, writer, writing.signal, place);
    await orAbort(syncAndClose(file, place), writing.signal);
  } catch (error) {
    const cleaned = writer.stop().then(async () => {
      await file.close().catch(() => {});
      await discard(place);
    });
    cleaned.catch(() => {});
    await settled(cleaned, CLEAN_UP_MS);
    throw error;
  }
  return new PendingFile(place, writer.written, writing.replace === true);
}

async function checkSpace(
  options: LocalOptions,
  path: string,
  expectedBytes: number | undefined,
): Promise<void> {
  if (expectedBytes === undefined) return;
  const free = await freeBytes(options);
  if (free === undefined) return;
  const reserve = expectedBytes > SMALL_OBJECT_BYTES ? options.reserveMiB * MIB : 0;
  if (expectedBytes + reserve <= free) return;
  const kept = reserve > 0 ? ` with ${options.reserveMiB} MiB to be kept free` : '';
  throw new BackupError(
    'no-space',
    `${options.root} has ${free} bytes free${kept}, but ${path} needs at least ${expectedBytes}: free space or choose another folder`,
  );
}

async function createTemporary(
  options: LocalOptions,
  folders: readonly string[],
  name: string,
  replace: boolean,
): Promise<{ place: Place; file: FileHandle }> {
  return await inMadeFolders(
    async () => await openRootForWrite(options),
    folders,
    async (chain) => {
      const folder = chain.last;
      if (replace) await refuseFolder(chain, name);
      else if (await exists(folder, name)) throw alreadyExists(folder.pathOf(name));
      const temporary = temporaryName(name);
      try {
        const file = await open(folder.at(temporary), NEW_FILE, 0o600);
        markActive(temporary);
        const { dev, ino } = await file.stat({ bigint: true });
        return { place: { chain, temporary, name, identity: { dev, ino } }, file };
      } catch (error) {
        throw fileError(error, 'write to', folder.path);
      }
    },
  );
}

async function refuseFolder(chain: FolderChain, name: string): Promise<void> {
  const found = await lstat(chain.last.at(name)).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw fileError(error, 'look up', chain.last.pathOf(name));
  });
  if (found?.isDirectory()) {
    throw new BackupError(
      'invalid-config',
      `${chain.last.pathOf(name)} is a folder and cannot be replaced by a file`,
    );
  }
}

/** Drains `bytes` into the file; ends early on the signal and on the first failed write. */
async function transfer(
  bytes: ByteStream,
  writer: FileWriter,
  signal: AbortSignal,
  place: Place,
): Promise<void> {
  const stop = AbortSignal.any([signal, writer.failed]);
  const iterator = bytes[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await orAbort(iterator.next(), stop);
      if (next.done === true) break;
      await orAbort(writer.add(next.value), stop);
    }
    await orAbort(writer.end(), stop);
  } catch (error) {
    // Not awaited: a producer that hangs must not keep the error back.
    iterator.return?.().then(undefined, () => {});
    if (signal.aborted) throw abortError(signal);
    if (writer.failed.aborted)
      throw fileError(writer.failed.reason, 'write', place.chain.last.pathOf(place.name));
    throw error;
  }
}

async function syncAndClose(file: FileHandle, place: Place): Promise<void> {
  try {
    await file.sync();
    await file.close();
  } catch (error) {
    throw fileError(error, 'write', place.chain.last.pathOf(place.name));
  }
}

/** Removes the temporary file and the folders that were made for it. */
async function discard(place: Place): Promise<void> {
  await unlink(place.chain.last.at(place.temporary)).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw fileError(error, 'remove', place.chain.last.pathOf(place.temporary));
  });
  await finish(place, true);
}

async function finish(place: Place, prune: boolean): Promise<void> {
  markDone(place.temporary);
  if (prune) await place.chain.prune();
  await place.chain.close();
}

/** A written and synced temporary file that waits for its name. */
class PendingFile implements PendingObject {
  readonly bytes: number;
  readonly #place: Place;
  readonly #replace: boolean;
  #state: 'pending' | 'committing' | 'committed' | 'aborted' = 'pending';

  constructor(place: Place, bytes: number, replace: boolean) {
    this.#place = place;
    this.bytes = bytes;
    this.#replace = replace;
  }

  async commit(): Promise<void> {
    const { chain, temporary, name, identity } = this.#place;
    if (this.#state !== 'pending') {
      throw new BackupError('internal', `${chain.last.pathOf(name)} was ${this.#state} already`);
    }
    this.#state = 'committing';
    if (this.#replace) await publishReplacing(chain.last, temporary, name);
    else await publishNew(chain.last, temporary, name, identity);
    await chain.sync();
    this.#state = 'committed';
    // Left over, it would be a hidden second name, which the next sweep removes.
    await unlink(chain.last.at(temporary)).catch(() => {});
    await finish(this.#place, false);
  }

  async abort(): Promise<void> {
    if (this.#state === 'committed' || this.#state === 'aborted') return;
    const { chain, name, identity } = this.#place;
    // A commit that failed after the name was given: the object may not survive a power cut, so it goes.
    if (this.#state === 'committing' && !this.#replace && (await isSameFile(chain.last, name, identity))) {
      await unlink(chain.last.at(name)).catch(() => {});
    }
    this.#state = 'aborted';
    await discard(this.#place);
  }
}
