import { orAbort, settled } from '../../abort.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { alreadyExists } from '../already-exists.ts';
import type { PendingObject, WriteOptions } from '../driver.ts';
import { markActive, markDone, temporaryName } from '../temporary-names.ts';
import { pendingObject } from './commit.ts';
import { isRefusal, SmbRefusal, saysMissing } from './failures.ts';
import { freeBytes, hasRoot, look, makeFolders } from './folders.ts';
import { shareNames } from './names.ts';
import { removeTraces, type SmbPlace } from './place.ts';
import type { SmbSession } from './session.ts';
import type { SmbStorage } from './storage.ts';
import { type BegunStream, Upload } from './upload.ts';

/** How often a folder that another writer pruned just now is made again. */
const ATTEMPTS = 20;
/** How long a failed write waits for a server that hangs before it reports, in ms. */
const CLEAN_UP_MS = 1300;

/** See the port's `write`. */
export async function writeObject(
  storage: SmbStorage,
  path: string,
  bytes: ByteStream,
  writing: WriteOptions,
): Promise<PendingObject> {
  const { signal, replace = false } = writing;
  throwIfAborted(signal);
  const names = shareNames(path);
  await storage.use(`write ${path}`, signal, (session) => refuseBefore(session, names, path, writing));
  const temporary = temporaryNameOf(names.at(-1) as string);
  const place: SmbPlace = { storage, path, names, temporary: [...names.slice(0, -1), temporary] };
  const rest = bytes[Symbol.asyncIterator]();
  markActive(temporary);
  let begun = false;
  try {
    // No connection waits for a producer that has nothing yet.
    const first = await orAbort(rest.next(), signal);
    begun = true;
    const stream = { first, rest, release: (chunk: Buffer) => bytes.release?.(chunk) };
    const sent = await store(place, stream, signal);
    return pendingObject(place, sent, replace);
  } catch (error) {
    rest.return?.().catch(() => undefined);
    const cleaned = begun ? removeTraces(place) : Promise.resolve();
    cleaned.catch(() => undefined).finally(() => markDone(temporary));
    await settled(cleaned, CLEAN_UP_MS);
    throw error;
  }
}

/** A semicolon would end the command that bears the name. */
function temporaryNameOf(name: string): string {
  return temporaryName(name.replaceAll(';', '_'));
}

async function refuseBefore(
  session: SmbSession,
  names: readonly string[],
  path: string,
  { signal, replace = false, expectedBytes }: WriteOptions,
): Promise<void> {
  const found = await look(session, names, signal);
  if (found === undefined) await hasRoot(session, signal);
  else if (!replace) throw alreadyExists(path);
  else if (found.type !== 'file')
    throw new BackupError('invalid-config', `${path} is a folder and cannot be replaced by a file`);
  if (expectedBytes === undefined) return;
  const free = await freeBytes(session, signal);
  if (free === undefined || free >= expectedBytes) return;
  throw new BackupError(
    'no-space',
    `The share has ${free} bytes free, but ${path} needs at least ${expectedBytes}: free space there, or raise the quota`,
  );
}

/** @returns the bytes that the server holds, by its own account */
async function store(place: SmbPlace, stream: BegunStream, signal: AbortSignal): Promise<number> {
  const { storage, path, temporary } = place;
  const leave = await storage.uploads.take(signal);
  try {
    const sent = await send(place, stream, signal);
    const held = await storage.use(`look up ${path}`, signal, (session) => look(session, temporary, signal));
    if (held?.bytes === sent) return sent;
    throw new BackupError(
      'incomplete',
      `The share holds ${held?.bytes ?? 0} of ${sent} bytes of ${path}: see whether something there removes or changes files`,
      { transient: true },
    );
  } finally {
    leave();
  }
}

async function send(place: SmbPlace, stream: BegunStream, signal: AbortSignal): Promise<number> {
  const { storage, path } = place;
  const upload = await open(place, signal);
  try {
    return await upload.send(stream);
  } catch (error) {
    throwIfAborted(signal);
    // The error of the stream stays as it is.
    if (error instanceof BackupError) throw error;
    throw error instanceof SmbRefusal ? storage.failure(error, `write ${path}`) : error;
  }
}

async function open(place: SmbPlace, signal: AbortSignal): Promise<Upload> {
  const { storage, path, temporary } = place;
  const folders = temporary.slice(0, -1);
  const doing = `write ${path}`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await storage.use(doing, signal, (session) => makeFolders(session, folders, signal));
      return await Upload.open(place, signal);
    } catch (error) {
      throwIfAborted(signal);
      if (mayPass(error) && attempt < ATTEMPTS) continue;
      throw storage.failure(error, doing);
    }
  }
}

/** Somebody else pruned the folder that was there a moment ago, or is about to. */
function mayPass(error: unknown): boolean {
  const reason = error instanceof BackupError ? error.cause : error;
  return saysMissing(reason) || isRefusal(reason, 'SHARING_VIOLATION', 'DELETE_PENDING');
}
