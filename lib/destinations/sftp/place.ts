import { setTimeout as wait } from 'node:timers/promises';
import { toBackupError } from '../../errors.ts';
import { commitFolder } from '../commit-folder.ts';
import type { SftpChannel } from './channel.ts';
import { attempt, pathOf, pruneFolders, undefinedIfMissing } from './folders.ts';
import type { SftpStorage } from './storage.ts';

/** How long a clean-up may go on after its caller has given up waiting, in ms. */
const CLEAN_UP_MS = 60_000;
const BETWEEN_TRIES_MS = 1000;

/** Where one object is being written. */
export interface SftpPlace {
  readonly storage: SftpStorage;
  readonly path: string;
  /** Its names below the storage's folder. */
  readonly names: readonly string[];
  /** The same with the hidden name that it has until it is committed. */
  readonly temporary: readonly string[];
}

/** What a commit may have left beside the temporary file. */
interface Traces {
  readonly lock?: boolean;
  before?(channel: SftpChannel): Promise<void>;
}

/**
 * Removes the temporary file and the folders that were made for it, on any connection that can be had; tries
 * again while the server cannot be reached. What stays is swept later.
 */
export async function removeTraces(place: SftpPlace, traces: Traces = {}): Promise<void> {
  const signal = AbortSignal.timeout(CLEAN_UP_MS);
  for (;;) {
    try {
      await removeOnce(place, traces, signal);
      return;
    } catch (error) {
      if (!toBackupError(error).transient) throw error;
      await wait(BETWEEN_TRIES_MS, undefined, { signal, ref: false });
    }
  }
}

async function removeOnce(place: SftpPlace, { lock, before }: Traces, signal: AbortSignal): Promise<void> {
  const { storage, path, names, temporary } = place;
  await storage.use(`remove the unfinished ${path}`, signal, async (channel) => {
    await before?.(channel);
    await undefinedIfMissing(channel.unlink(pathOf(channel, temporary)));
    if (lock === true) await attempt(channel.rmdir(pathOf(channel, commitFolder(names))));
    await pruneFolders(channel, names.slice(0, -1));
  });
}
