import { type Backoff, pause, pauseBefore } from '../../backoff.ts';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import { type Basis, isWorthComparing } from './basis.ts';
import { includePath, NOTHING_ELSE } from './filters.ts';
import { entriesBelow } from './look.ts';
import type { RsyncPlace } from './place.ts';
import { RsyncError } from './run.ts';
import type { Spool } from './spool.ts';
import type { RsyncStorage } from './storage.ts';

/** How often a transfer that broke is taken up again. */
export const ATTEMPTS = 4;
export const PAUSES: Backoff = { firstMs: 2_000, longestMs: 15_000 };

/** Folder in the spool that holds the object under its whole path. */
export const TREE = 'tree';

export interface Upload {
  readonly place: RsyncPlace;
  readonly spool: Spool;
  /** Size of the object in the spool. */
  readonly bytes: number;
  readonly basis: Basis | undefined;
  readonly signal: AbortSignal;
  readonly onActivity: (() => void) | undefined;
}

/** What the far side has already that a transfer can refer to. */
type Known =
  | { readonly from: 'basis'; readonly basis: Basis }
  | { readonly from: 'staging'; readonly staging: string };

/**
 * Transfers the object from the spool below a hidden folder; what breaks is tried again, with what had come already as
 * a basis. The far side proves each transfer by a checksum of the whole file.
 * @returns the hidden folder that holds it
 * @throws BackupError
 */
export async function upload(uploading: Upload): Promise<string> {
  const { place, bytes, basis, signal } = uploading;
  const { clock } = place.storage;
  const earlier: Known | undefined =
    basis !== undefined && isWorthComparing(bytes) ? { from: 'basis', basis } : undefined;
  let known: Known | undefined = earlier;
  for (let attempt = 1; ; attempt += 1) {
    const staging = place.newStaging();
    try {
      await send(uploading, staging, known);
      await requireWhole(uploading, staging);
      return staging;
    } catch (error) {
      throwIfAborted(signal);
      if (!toBackupError(error).transient || attempt === ATTEMPTS) throw error;
      await pause(pauseBefore(attempt, PAUSES), signal, clock);
      known = await bestKnown(uploading, { staging, earlier, failed: error });
    }
  }
}

async function send(uploading: Upload, staging: string, known: Known | undefined): Promise<void> {
  const { place, spool, onActivity, signal } = uploading;
  const { storage, names, path } = place;
  const folders = names.slice(0, -1);
  const options = ['-tO', '--inplace', '--no-whole-file', '--ignore-times', '--from0'];
  const doing = `write ${path}`;
  if (known?.from !== 'basis') {
    const list = await spool.writeList('object', [path]);
    const beside = known === undefined ? [] : [`--copy-dest=${storage.basis([known.staging], 1)}`];
    const paths = [spool.at(TREE, '/'), storage.target(`${staging}/`)];
    const args = [...options, '-R', ...beside, `--files-from=${list}`, ...paths];
    await storage.runSynced({ doing, args, onActivity }, signal);
    return;
  }
  // The basis must lie in a folder of its own under the same name.
  const folder = folders.join('/');
  await makeFolders(storage, spool, { doing, path: folder, target: storage.target(`${staging}/`) }, signal);
  const list = await spool.writeList('object', names.slice(-1));
  const paths = [spool.at(TREE, ...folders, '/'), storage.target(`${staging}/${folder}/`)];
  const beside = `--copy-dest=${storage.basis(known.basis.folder, folders.length + 1)}`;
  const args = [...options, beside, `--files-from=${list}`, ...paths];
  await storage.runSynced({ doing, args, onActivity }, signal);
}

/** Makes a folder and those above it, below another one. Those that are there stay as they are. */
export async function makeFolders(
  storage: RsyncStorage,
  spool: Spool,
  { doing, path, target }: { readonly doing: string; readonly path: string; readonly target: string },
  signal: AbortSignal,
): Promise<void> {
  const list = await spool.writeList('folder', [path]);
  await spool.makeFolder('folders', path);
  const options = ['-dOR', '--no-implied-dirs', '--ignore-existing', '--from0', `--files-from=${list}`];
  await storage.run({ doing, args: [...options, spool.at('folders', '/'), target] }, signal);
}

/**
 * The far rsync has compared a checksum of what it wrote with ours. The size is looked at where a look costs little
 * beside the transfer; for all others the commit compares it.
 */
async function requireWhole({ place, bytes, signal }: Upload, staging: string): Promise<void> {
  if (!isWorthComparing(bytes)) return;
  const held = await bytesHeld(place, staging, signal);
  if (held === bytes) return;
  throw new BackupError(
    'incomplete',
    `${place.storage.location} holds ${held} of ${bytes} bytes of ${place.path}`,
    { transient: true },
  );
}

async function bytesHeld(place: RsyncPlace, staging: string, signal: AbortSignal): Promise<number> {
  const names = [staging, ...place.names];
  const rules = [...includePath(names), NOTHING_ELSE];
  let held = 0;
  for await (const found of entriesBelow(place.storage, `write ${place.path}`, rules, signal)) {
    if (found.type === 'file' && found.path === names.join('/')) held = found.bytes;
  }
  return held;
}

interface Broken {
  readonly staging: string;
  readonly earlier: Known | undefined;
  readonly failed: unknown;
}

/**
 * What the next attempt should build on: the part that has come, or the earlier backup again. A transfer can refer to
 * one of them only; the one with which fewer bytes are to be expected, as far as the broken transfer tells.
 */
async function bestKnown(
  { place, bytes, signal }: Upload,
  { staging, earlier, failed }: Broken,
): Promise<Known | undefined> {
  const held = await bytesHeld(place, staging, signal).catch((error: unknown) => {
    throwIfAborted(signal);
    if (toBackupError(error).transient) return 0;
    throw error;
  });
  if (held === 0) return earlier;
  const part: Known = { from: 'staging', staging };
  if (earlier === undefined) return part;
  const sent = failed instanceof RsyncError ? failed.sent : held;
  const anew = (bytes * Math.min(sent, held)) / held;
  return bytes - held <= anew ? part : earlier;
}
