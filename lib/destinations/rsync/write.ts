import { orAbort, settled } from '../../abort.ts';
import { abortable } from '../../bytes/abortable.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { alreadyExists } from '../already-exists.ts';
import type { PendingObject, WriteOptions } from '../driver.ts';
import { splitObjectPath } from '../path.ts';
import { type Basis, chooseBasis, mayHaveBasis } from './basis.ts';
import { PendingRsyncObject } from './commit.ts';
import { look } from './look.ts';
import { namesOf } from './options.ts';
import { RsyncPlace } from './place.ts';
import { Spool, sweepSpools } from './spool.ts';
import { RootMissing, type RsyncStorage } from './storage.ts';
import { makeFolders, TREE, upload } from './upload.ts';

/** How long a failed write waits for a server that hangs before it reports, in ms. */
const CLEAN_UP_MS = 1300;

/** See the port's `write`. */
export async function writeObject(
  storage: RsyncStorage,
  path: string,
  bytes: ByteStream,
  writing: WriteOptions,
): Promise<PendingObject> {
  const { signal, expectedBytes = 0, replace = false } = writing;
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  const { spoolDirectory } = storage.options;
  // What another process has left must not make ours fail.
  await sweepSpools(spoolDirectory).catch(() => undefined);
  const { basis, rootIsMissing } = await checkPlace(storage, names, replace, signal);
  const spool = await Spool.create(spoolDirectory);
  const place = new RsyncPlace(storage, names);
  let uploading: Promise<string> | undefined;
  try {
    await spool.requireSpace(expectedBytes);
    const size = await spool.store(abortable(bytes, signal), TREE, ...names);
    if (rootIsMissing) await makeRoot(storage, spool, signal);
    const { onActivity } = writing;
    uploading = upload({ place, spool, bytes: size, basis, signal, onActivity });
    uploading.catch(() => undefined);
    const staging = await orAbort(uploading, signal);
    return new PendingRsyncObject(place, spool, { staging, bytes: size, replace });
  } catch (error) {
    const cleaned = cleanUp(place, spool, uploading);
    await settled(cleaned, CLEAN_UP_MS);
    throw error;
  }
}

async function cleanUp(
  place: RsyncPlace,
  spool: Spool,
  uploading: Promise<string> | undefined,
): Promise<void> {
  // The far side must have ended before what it writes can be removed for good.
  await uploading?.catch(() => undefined);
  try {
    await place.removeTraces().catch(() => undefined);
  } finally {
    place.done();
    await spool.remove();
  }
}

/** What can be refused before a byte is taken. */
async function checkPlace(
  storage: RsyncStorage,
  names: readonly string[],
  replace: boolean,
  signal: AbortSignal,
): Promise<{ basis: Basis | undefined; rootIsMissing: boolean }> {
  const path = names.join('/');
  const siblings = storage.options.incremental && mayHaveBasis(names);
  try {
    const found = await look(storage, `write ${path}`, names, signal, { siblings });
    if (found.inTheWay !== undefined) {
      throw new BackupError(
        'invalid-config',
        `${found.inTheWay} is a file: ${path} cannot be stored below it`,
      );
    }
    if (found.entry !== undefined) refuseExisting(path, found.entry.type, replace);
    return { basis: chooseBasis(found.siblings), rootIsMissing: false };
  } catch (error) {
    if (!(error instanceof RootMissing) || !storage.options.create) throw error;
    return { basis: undefined, rootIsMissing: true };
  }
}

function refuseExisting(path: string, type: string, replace: boolean): void {
  if (!replace) throw alreadyExists(path);
  if (type === 'file') return;
  throw new BackupError('invalid-config', `${path} is a folder and cannot be replaced by a file`);
}

async function makeRoot(storage: RsyncStorage, spool: Spool, signal: AbortSignal): Promise<void> {
  const path = namesOf(storage.options.root).join('/');
  if (path === '') throw storage.rootMissing();
  const doing = 'create the folder of the storage';
  await makeFolders(storage, spool, { doing, path, target: storage.base() }, signal);
}
