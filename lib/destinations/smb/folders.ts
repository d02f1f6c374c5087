import { BackupError } from '../../errors.ts';
import { type Entry, type Listing, parseListing } from './entries.ts';
import { isRefusal, saysMissing } from './failures.ts';
import { sharePath } from './names.ts';
import { rootNames } from './options.ts';
import type { SmbSession } from './session.ts';

/** A path below the storage's folder, as a word of a command. */
export function quoted(session: SmbSession, names: readonly string[]): string {
  return `"${sharePath(rootNames(session.options.root), names)}"`;
}

/**
 * Everything in a folder.
 * @throws SmbRefusal; BackupError when the listing is not certain
 */
export async function listFolder(
  session: SmbSession,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly Entry[]> {
  const path = sharePath(rootNames(session.options.root), names);
  const pattern = path === '\\' ? '\\*' : `${path}\\*`;
  try {
    return parseListing(await session.command(`ls "${pattern}"`, signal)).entries;
  } catch (error) {
    // The root of a Windows disk has no entry for itself: without others there is nothing that fits.
    if (path === '\\' && isRefusal(error, 'NO_SUCH_FILE')) return [];
    throw error;
  }
}

/** What has that name; undefined when nothing has. @throws SmbRefusal */
export async function look(
  session: SmbSession,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Entry | undefined> {
  let listing: Listing;
  try {
    listing = parseListing(await session.command(`ls ${quoted(session, names)}`, signal));
  } catch (error) {
    if (saysMissing(error) || isRefusal(error, 'NOT_A_DIRECTORY')) return undefined;
    throw error;
  }
  // Windows also finds files by a short name that it made for them (`BACKUP~1.ZST`): those are others.
  const wanted = folded(names.at(-1) ?? rootNames(session.options.root).at(-1) ?? '');
  return listing.entries.find(({ name }) => folded(name) === wanted);
}

/** Free bytes where the storage's folder is; undefined when the server does not tell. @throws SmbRefusal */
export async function freeBytes(session: SmbSession, signal: AbortSignal): Promise<number | undefined> {
  // smbclient tells the space of the current folder, whatever it lists. A folder that is missing is left out.
  await session.command(`cd ${quoted(session, [])}`, signal).catch(refused);
  try {
    return parseListing(await session.command('ls "*"', signal).catch(refused)).freeBytes;
  } finally {
    await session.command('cd "\\"', signal);
  }
}

function refused(error: unknown): readonly string[] {
  if (isRefusal(error)) return [];
  throw error;
}

/**
 * Whether the storage's folder is there. False only when it will be created by the first write.
 * @throws BackupError `not-found`, `invalid-config`; SmbRefusal
 */
export async function hasRoot(session: SmbSession, signal: AbortSignal): Promise<boolean> {
  const { root, create, share } = session.options;
  // The share itself is there: else there would be no session.
  if (rootNames(root).length === 0) return true;
  const found = await look(session, [], signal);
  if (found?.type === 'folder' || found?.type === 'link') return true;
  if (found !== undefined)
    throw new BackupError('invalid-config', `${root} in the share ${share} is a file, not a folder`);
  if (create) return false;
  throw new BackupError(
    'not-found',
    `The folder ${root} does not exist in the share ${share}: create it, check that the path is right, or let the storage create it`,
  );
}

/**
 * Makes the folders that are missing below the storage's, and that itself when the options say so.
 * @throws BackupError `invalid-config` when one of them is a file; SmbRefusal
 */
export async function makeFolders(
  session: SmbSession,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const root = rootNames(session.options.root);
  const whole = [...root, ...names];
  const first = session.options.create ? 0 : root.length;
  for (let depth = first + 1; depth <= whole.length; depth += 1) {
    try {
      await session.order(`mkdir "${sharePath(whole.slice(0, depth), [])}"`, signal);
    } catch (error) {
      if (isRefusal(error, 'NOT_A_DIRECTORY', 'OBJECT_PATH_NOT_FOUND'))
        throw await fileInTheWay(session, names, error, signal);
      if (isRefusal(error, 'OBJECT_NAME_COLLISION')) continue;
      // One that we may not make may be there.
      if (isRefusal(error, 'ACCESS_DENIED') && (await isFolder(session, whole.slice(0, depth), signal)))
        continue;
      throw error;
    }
  }
}

async function isFolder(
  session: SmbSession,
  whole: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const root = rootNames(session.options.root);
  if (whole.length < root.length) return true;
  return (await look(session, whole.slice(root.length), signal))?.type === 'folder';
}

/** Removes the folders that are empty, from the last one up to, and not including, the storage's own. */
export async function pruneFolders(
  session: SmbSession,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (let depth = names.length; depth > 0; depth -= 1) {
    try {
      const folder = quoted(session, names.slice(0, depth));
      await session.order(`rmdir ${folder}`, signal);
    } catch (error) {
      if (isRefusal(error)) return;
      throw error;
    }
  }
}

/** The file that is where a folder should be, if that is why. */
async function fileInTheWay(
  session: SmbSession,
  names: readonly string[],
  reason: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  for (const [index] of names.entries()) {
    const upTo = names.slice(0, index + 1);
    const found = await look(session, upTo, signal);
    if (found === undefined) break;
    if (found.type === 'file')
      return new BackupError(
        'invalid-config',
        `${upTo.join('/')} is a file in the share, but a folder is needed there`,
      );
  }
  return reason;
}

/** Case does not tell names in a share apart. */
function folded(name: string): string {
  return name.normalize('NFC').toLowerCase();
}
