import { commitFolder } from '../commit-folder.ts';
import { cleanUp, type WritePlace } from '../write-place.ts';
import type { SftpChannel } from './channel.ts';
import { attempt, pathOf, pruneFolders, undefinedIfMissing } from './folders.ts';
import type { SftpStorage } from './storage.ts';

const PAUSES_MS = [1000];

export type SftpPlace = WritePlace<SftpStorage>;

/** What a commit may have left beside the temporary file. */
interface Traces {
  readonly lock?: boolean;
  before?(channel: SftpChannel): Promise<void>;
}

/** Removes the temporary file and the folders that were made for it, on any connection that can be had. */
export async function removeTraces(place: SftpPlace, traces: Traces = {}): Promise<void> {
  await cleanUp((signal) => removeOnce(place, traces, signal), PAUSES_MS);
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
