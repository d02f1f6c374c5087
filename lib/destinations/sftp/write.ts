import { settled } from '../../abort.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { alreadyExists } from '../already-exists.ts';
import type { PendingObject, WriteOptions } from '../driver.ts';
import { keepMoving } from '../keep-moving.ts';
import { splitObjectPath } from '../path.ts';
import { markActive, markDone, temporaryName } from '../temporary-names.ts';
import type { SftpChannel } from './channel.ts';
import { PendingSftpObject } from './commit.ts';
import { isMissing, isStatus } from './failures.ts';
import {
  FolderGone,
  fileSystem,
  hasRoot,
  look,
  makeFolders,
  pathOf,
  refuseLinkedFolders,
  whyNotWritten,
} from './folders.ts';
import { removeTraces, type SftpPlace } from './place.ts';
import type { SftpStorage } from './storage.ts';
import { Upload } from './upload.ts';

const MIB = 1024 * 1024;
/** Objects up to this size, in bytes, may use the reserve: it is there so that a manifest still fits. */
const SMALL_OBJECT_BYTES = MIB;
/** How often a folder that another writer pruned just now is made again. */
const ATTEMPTS = 20;
/** How long a failed write waits for a server that hangs before it reports, in ms. */
const CLEAN_UP_MS = 1300;

/** See the port's `write`. */
export async function writeObject(
  storage: SftpStorage,
  path: string,
  bytes: ByteStream,
  writing: WriteOptions,
): Promise<PendingObject> {
  const { signal, replace = false } = writing;
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  await storage.use(`write ${path}`, signal, (channel) => checkPlace(storage, channel, names, writing));
  const temporary = temporaryName(names.at(-1) as string);
  const place: SftpPlace = { storage, path, names, temporary: [...names.slice(0, -1), temporary] };
  const source = keepMoving(bytes, signal);
  const upload = new Upload(place, signal, (chunk) => source.release(chunk));
  markActive(temporary);
  let begun = false;
  try {
    // Nothing is made for a producer that fails at once.
    let next = await source.next();
    begun = true;
    await upload.open((channel) => createTemporary(place, channel, signal));
    for (; next.done !== true; next = await source.next()) await upload.add(next.value);
    return new PendingSftpObject(place, await upload.finish(), replace);
  } catch (error) {
    source.return().catch(() => undefined);
    const cleaned = upload.stop().then(() => (begun ? removeTraces(place) : undefined));
    cleaned.catch(() => undefined).finally(() => markDone(temporary));
    await settled(cleaned, CLEAN_UP_MS);
    throwIfAborted(signal);
    throw storage.failure(error, `write ${path}`);
  }
}

/** What can be refused before a byte is taken. */
async function checkPlace(
  storage: SftpStorage,
  channel: SftpChannel,
  names: readonly string[],
  { replace = false, expectedBytes }: WriteOptions,
): Promise<void> {
  const [found] = await Promise.all([
    look(channel, names),
    refuseLinkedFolders(channel, names.slice(0, -1)),
    checkSpace(storage, channel, names, expectedBytes),
    hasRoot(storage, channel),
  ]);
  if (found === undefined) return;
  if (!replace) throw alreadyExists(names.join('/'));
  if (!found.isDirectory()) return;
  throw new BackupError('invalid-config', `${names.join('/')} is a folder and cannot be replaced by a file`);
}

async function checkSpace(
  storage: SftpStorage,
  channel: SftpChannel,
  names: readonly string[],
  expectedBytes: number | undefined,
): Promise<void> {
  if (expectedBytes === undefined) return;
  const free = (await fileSystem(channel))?.freeBytes;
  if (free === undefined) return;
  const { reserveMiB } = storage.options;
  const reserve = expectedBytes > SMALL_OBJECT_BYTES ? reserveMiB * MIB : 0;
  if (expectedBytes + reserve <= free) return;
  const kept = reserve > 0 ? ` with ${reserveMiB} MiB to be kept free` : '';
  throw new BackupError(
    'no-space',
    `${storage.location} has ${free} bytes free${kept}, but ${names.join('/')} needs at least ${expectedBytes}: free space there or choose another folder`,
  );
}

/** @returns the handle of a new file, in folders that are made when they are missing */
async function createTemporary(
  { storage, temporary, path }: SftpPlace,
  channel: SftpChannel,
  signal: AbortSignal,
): Promise<Buffer> {
  for (let attempt = 1; ; attempt += 1) {
    throwIfAborted(signal);
    try {
      return await channel.open(pathOf(channel, temporary), 'wx');
    } catch (error) {
      if (!isMissing(error) || attempt === ATTEMPTS) throw await explained(error);
    }
    try {
      await makeFolders(storage, channel, temporary.slice(0, -1), signal);
    } catch (error) {
      if (!(error instanceof FolderGone) || attempt === ATTEMPTS) throw await explained(error);
    }
  }

  async function explained(error: unknown): Promise<unknown> {
    if (!isStatus(error)) return error;
    return await whyNotWritten(channel, error, `write ${path} on ${storage.location}`);
  }
}
