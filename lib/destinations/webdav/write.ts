import { settled } from '../../abort.ts';
import { BLOCK_BYTES, type ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { alreadyExists } from '../already-exists.ts';
import type { PendingObject, WriteOptions } from '../driver.ts';
import { keepMoving } from '../keep-moving.ts';
import { splitObjectPath } from '../path.ts';
import { markActive, markDone, temporaryName } from '../temporary-names.ts';
import { BlockSource } from './block-source.ts';
import { uploadChunks, uploadsUrl } from './chunked.ts';
import { pendingObject } from './commit.ts';
import { keepFolders } from './folders-in-use.ts';
import { chunkBytes } from './options.ts';
import { removeTraces, type WebdavPlace } from './place.ts';
import { putSmall, putStream } from './put.ts';
import { look, quotaAvailable } from './resources.ts';
import type { WebdavStorage } from './storage.ts';

/** How long a failed write waits for a server that hangs before it reports, in ms. */
const CLEAN_UP_MS = 1000;

/** See the port's `write`. */
export async function writeObject(
  storage: WebdavStorage,
  path: string,
  bytes: ByteStream,
  writing: WriteOptions,
): Promise<PendingObject> {
  const { signal, replace = false } = writing;
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  await storage.try(`write ${path}`, signal, async () => {
    await refuseExisting(storage, names, replace, signal);
    await checkSpace(storage, path, writing);
  });
  const temporary = temporaryName(names.at(-1) as string);
  const leave = await keepFolders(storage, names);
  const place: WebdavPlace = { storage, path, names, temporary: [...names.slice(0, -1), temporary], leave };
  const source = keepMoving(bytes, signal, storage.longestPauseMs);
  markActive(temporary);
  const progress = { begun: false };
  try {
    const sent = await transfer(place, new BlockSource(source, signal), signal, progress);
    return pendingObject(place, sent, replace);
  } catch (error) {
    source.return().catch(() => undefined);
    const cleaned = progress.begun ? removeTraces(place) : Promise.resolve(leave());
    cleaned.catch(() => undefined).finally(() => markDone(temporary));
    await settled(cleaned, CLEAN_UP_MS);
    throw error;
  }
}

async function refuseExisting(
  storage: WebdavStorage,
  names: readonly string[],
  replace: boolean,
  signal: AbortSignal,
): Promise<void> {
  const found = await look(storage.client, names, signal);
  if (found === undefined) {
    await storage.hasRoot(signal);
    return;
  }
  if (!replace) throw alreadyExists(names.join('/'));
  if (found.type !== 'folder') return;
  throw new BackupError('invalid-config', `${names.join('/')} is a folder and cannot be replaced by a file`);
}

async function checkSpace(
  { client, location }: WebdavStorage,
  path: string,
  { expectedBytes, signal }: WriteOptions,
): Promise<void> {
  if (expectedBytes === undefined) return;
  const free = await quotaAvailable(client, signal);
  if (free === undefined || expectedBytes <= free) return;
  throw new BackupError(
    'no-space',
    `${location} has ${free} bytes free, but ${path} needs at least ${expectedBytes}: free space there, or raise the quota`,
  );
}

/** @returns the bytes that the server holds, by its own account */
async function transfer(
  { storage, path, temporary }: WebdavPlace,
  source: BlockSource,
  signal: AbortSignal,
  progress: { begun: boolean },
): Promise<number> {
  const { client, options } = storage;
  const uploads = uploadsUrl(client.base);
  const blockBytes = uploads === undefined ? BLOCK_BYTES : chunkBytes(options, 1);
  // No request waits for a producer that has nothing yet.
  const first = await source.take(blockBytes);
  progress.begun = true;
  const send = async (): Promise<number> => {
    if (first.length < blockBytes) {
      await putSmall(client, temporary, first, signal);
      return first.length;
    }
    const taken = { first, source, signal };
    const chunked = uploads && (await uploadChunks(client, uploads, temporary, taken));
    return chunked ?? (await putStream(client, temporary, taken));
  };
  return await storage.try(`write ${path}`, signal, async () => {
    const sent = await send();
    const held = (await look(client, temporary, signal))?.bytes ?? 0;
    if (held === sent) return held;
    throw new BackupError('incomplete', `The WebDAV server holds ${held} of ${sent} bytes of ${path}`, {
      transient: true,
    });
  });
}
