import { settled } from '../../abort.ts';
import { BLOCK_BYTES, type ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { alreadyExists } from '../already-exists.ts';
import type { PendingObject, WriteOptions } from '../driver.ts';
import { keepMoving, type MovingStream } from '../keep-moving.ts';
import { splitObjectPath } from '../path.ts';
import { markActive, markDone, temporaryName } from '../temporary-names.ts';
import { pendingObject } from './commit.ts';
import type { FtpConnection } from './connection.ts';
import { replyCode, saysMissing, saysWhy } from './failures.ts';
import { FolderGone, hasRoot, look, makeFolders, pathOf, sizeOf } from './folders.ts';
import { type FtpPlace, removeTraces } from './place.ts';
import type { FtpStorage } from './storage.ts';
import { Transfer } from './transfer.ts';

/** How often a folder that another writer pruned just now is made again. */
const ATTEMPTS = 20;
const UNCLEAR_ATTEMPTS = 4;
/** How long a failed write waits for a server that hangs before it reports, in ms. */
const CLEAN_UP_MS = 1300;

/** See the port's `write`. */
export async function writeObject(
  storage: FtpStorage,
  path: string,
  bytes: ByteStream,
  writing: WriteOptions,
): Promise<PendingObject> {
  const { signal, replace = false } = writing;
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  await storage.use(`write ${path}`, signal, (connection) =>
    refuseExisting(connection, names, replace, signal),
  );
  const temporary = temporaryName(names.at(-1) as string);
  const place: FtpPlace = { storage, path, names, temporary: [...names.slice(0, -1), temporary] };
  const source = keepMoving(bytes, signal, storage.longestPauseMs);
  markActive(temporary);
  let begun = false;
  try {
    // No connection waits for a producer that has nothing yet.
    const first = await source.next();
    begun = true;
    const sent = await storage.use(`write ${path}`, signal, async (connection) => {
      const transfer = await startStoring(place, connection, writing);
      return await send(transfer, source, first, place, connection, signal);
    });
    return pendingObject(place, sent, replace);
  } catch (error) {
    source.return().catch(() => undefined);
    const cleaned = begun ? removeTraces(place) : Promise.resolve();
    cleaned.catch(() => undefined).finally(() => markDone(temporary));
    await settled(cleaned, CLEAN_UP_MS);
    throw error;
  }
}

async function refuseExisting(
  connection: FtpConnection,
  names: readonly string[],
  replace: boolean,
  signal: AbortSignal,
): Promise<void> {
  const found = await look(connection, names, signal);
  if (found === undefined) {
    await hasRoot(connection, signal);
    return;
  }
  if (!replace) throw alreadyExists(names.join('/'));
  if (found.type !== 'folder') return;
  throw new BackupError('invalid-config', `${names.join('/')} is a folder and cannot be replaced by a file`);
}

/**
 * Some servers check with ALLO whether the disk of the current folder has room (RFC 959); the others say that
 * it is superfluous.
 * @throws the server's refusal as it came, for the reason of a full disk only
 */
async function reserve(
  connection: FtpConnection,
  bytes: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (bytes === undefined) return;
  try {
    await connection.command(`ALLO ${bytes}`, signal);
  } catch (error) {
    const code = replyCode(error);
    if (code === undefined || code === 552 || code === 452) throw error;
  }
}

async function startStoring(
  place: FtpPlace,
  connection: FtpConnection,
  writing: WriteOptions,
): Promise<Transfer> {
  const { signal } = writing;
  const { temporary } = place;
  const folders = temporary.slice(0, -1);
  for (let attempt = 1; ; attempt += 1) {
    try {
      await makeFolders(connection, folders, signal);
      await reserve(connection, writing.expectedBytes, signal);
      return await Transfer.start(connection, `STOR ${pathOf(connection, temporary)}`, signal);
    } catch (error) {
      const again = error instanceof FolderGone || (await wasPruned(connection, folders, error, signal));
      if (attempt === ATTEMPTS) throw error;
      // It may have been made again before we looked: a refusal without words gets some more chances.
      if (!again && (attempt >= UNCLEAR_ATTEMPTS || !isUnclear(connection, error))) throw error;
    }
  }
}

async function wasPruned(
  connection: FtpConnection,
  folders: readonly string[],
  error: unknown,
  signal: AbortSignal,
): Promise<boolean> {
  if (folders.length === 0 || replyCode(error) === undefined || !connection.usable) return false;
  return saysMissing(error) || (await look(connection, folders, signal)) === undefined;
}

function isUnclear(connection: FtpConnection, error: unknown): boolean {
  return connection.usable && replyCode(error) !== undefined && !saysWhy(error);
}

/** @returns the bytes that the server holds, by its own account */
async function send(
  transfer: Transfer,
  source: MovingStream,
  first: IteratorResult<Buffer, undefined>,
  place: FtpPlace,
  connection: FtpConnection,
  signal: AbortSignal,
): Promise<number> {
  let sent = 0;
  try {
    transfer.upload();
    for (let next = first; next.done !== true; next = await transfer.whileGoing(source.next())) {
      sent += next.value.length;
      await transfer.send(next.value, (chunk) => source.release(chunk));
    }
    await transfer.finish();
  } catch (error) {
    const reason = await transfer.fail(error);
    // ProFTPD calls the write that filled the disk an "Input/output error": only the next one tells.
    if (replyCode(reason) === 451) await reserve(connection, BLOCK_BYTES, signal);
    throw reason;
  }
  const held = await sizeHeld(connection, place.temporary, signal);
  if (held === sent) return held;
  throw new BackupError('incomplete', `The FTP server holds ${held} of ${sent} bytes of ${place.path}`, {
    transient: true,
  });
}

async function sizeHeld(
  connection: FtpConnection,
  names: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  if (connection.features.has('SIZE')) return await sizeOf(connection, pathOf(connection, names), signal);
  return (await look(connection, names, signal))?.bytes ?? 0;
}
