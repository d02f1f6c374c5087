import { setTimeout as wait } from 'node:timers/promises';
import { toBackupError } from '../../errors.ts';
import { commitFolder } from '../commit-folder.ts';
import type { FtpConnection } from './connection.ts';
import { replyCode, saysMissing } from './failures.ts';
import { look, pathOf, pruneFolders } from './folders.ts';
import type { FtpStorage } from './storage.ts';

/** How long a clean-up may go on after its caller has given up waiting, in ms. */
const CLEAN_UP_MS = 60_000;
const BETWEEN_TRIES_MS = 2000;

/** Where one object is being written. */
export interface FtpPlace {
  readonly storage: FtpStorage;
  readonly path: string;
  /** Its names below the storage's folder. */
  readonly names: readonly string[];
  /** The same with the hidden name that it has until it is committed. */
  readonly temporary: readonly string[];
}

/**
 * Removes the temporary file and the folders that were made for it, on any connection that can be had; tries
 * again while the server cannot be reached. What stays is swept later.
 */
export async function removeTraces(place: FtpPlace, { lock = false } = {}): Promise<void> {
  const signal = AbortSignal.timeout(CLEAN_UP_MS);
  for (;;) {
    try {
      await removeOnce(place, lock, signal);
      return;
    } catch (error) {
      if (!toBackupError(error).transient) throw error;
      await wait(BETWEEN_TRIES_MS, undefined, { signal, ref: false });
    }
  }
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
