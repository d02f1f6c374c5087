import { commitFolder } from '../commit-folder.ts';
import { cleanUp, type WritePlace } from '../write-place.ts';
import type { FtpConnection } from './connection.ts';
import { replyCode, saysMissing } from './failures.ts';
import { look, pathOf, pruneFolders } from './folders.ts';
import type { FtpStorage } from './storage.ts';

const PAUSES_MS = [2000];

export type FtpPlace = WritePlace<FtpStorage>;

/** Removes the temporary file and the folders that were made for it, on any connection that can be had. */
export async function removeTraces(place: FtpPlace, { lock = false } = {}): Promise<void> {
  await cleanUp((signal) => removeOnce(place, lock, signal), PAUSES_MS);
}

async function removeOnce(place: FtpPlace, lock: boolean, signal: AbortSignal): Promise<void> {
  await place.storage.use(`remove the unfinished ${place.path}`, signal, async (connection) => {
    await removeTemporary(connection, place, signal);
    if (lock) await connection.tryCommand(`RMD ${pathOf(connection, commitFolder(place.names))}`, signal);
    await pruneFolders(connection, place.names.slice(0, -1), signal);
  });
}

async function removeTemporary(
  connection: FtpConnection,
  { temporary }: FtpPlace,
  signal: AbortSignal,
): Promise<void> {
  try {
    await connection.command(`DELE ${pathOf(connection, temporary)}`, signal);
  } catch (error) {
    if (replyCode(error) === undefined) throw error;
    if (saysMissing(error) || (await look(connection, temporary, signal)) === undefined) return;
    throw error;
  }
}
