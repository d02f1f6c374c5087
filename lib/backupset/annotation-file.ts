import { orAbort } from '../abort.ts';
import { readAll } from '../bytes/drain.ts';
import { commitFolder } from '../destinations/commit-folder.ts';
import type { DestinationDriver, ObjectInfo } from '../destinations/driver.ts';
import { readSteadily } from '../destinations/steady-read.ts';
import { StorageTurn } from '../destinations/storage-turn.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import { type Annotations, MAX_ANNOTATIONS_BYTES, parseAnnotations } from './annotation-format.ts';
import { ANNOTATIONS_FILE, joinPath } from './names.ts';

/** How long a storage may take for one step, in ms. */
export const STALL_MS = 60_000;
/** An unfinished file that is older is left over from a dead process, in ms. */
const LEFTOVER_MS = 24 * 60 * 60_000;

/**
 * The annotations of the set in that folder.
 * @returns undefined when there are none
 * @throws BackupError `corrupt` or `invalid-config` when the file cannot be understood, else of the storage
 */
export async function readAnnotationsFile(
  driver: DestinationDriver,
  setPath: string,
  signal: AbortSignal,
): Promise<Annotations | undefined> {
  const path = joinPath(setPath, ANNOTATIONS_FILE);
  const where = `${driver.describe()}/${path}`;
  if ((await statObject(driver, path, signal)) === undefined) {
    await refuseWhileReplaced(driver, setPath, signal);
    return undefined;
  }
  try {
    const reading = readSteadily(driver, path, { signal, stallMs: STALL_MS });
    const bytes = await readAll(reading, MAX_ANNOTATIONS_BYTES, where);
    return parseAnnotations(bytes.toString('utf8'), where);
  } catch (error) {
    if (toBackupError(error).code !== 'not-found') throw error;
    throw new BackupError('unavailable', `${where} is just being replaced or removed: try again`, {
      transient: true,
      cause: error,
    });
  }
}

/**
 * Storages that cannot replace a file in one step show none for a moment. It must not be read as "not pinned" then.
 * @throws BackupError `unavailable` while there is an unfinished one
 */
async function refuseWhileReplaced(
  driver: DestinationDriver,
  setPath: string,
  signal: AbortSignal,
): Promise<void> {
  const { unfinished } = driver;
  if (driver.properties.atomicReplace || unfinished === undefined) return;
  const lock = commitFolder([ANNOTATIONS_FILE]).at(-1);
  const found = await inTurn(driver, `list ${setPath}`, signal, async (turn) => {
    for await (const { path, modified } of unfinished.call(driver, setPath, turn)) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const isOurs = name.startsWith(`.${ANNOTATIONS_FILE}.`) || name === lock;
      if (isOurs && Date.now() - modified.getTime() < LEFTOVER_MS) return path;
    }
    return undefined;
  });
  if (found === undefined) return;
  throw new BackupError(
    'unavailable',
    `${driver.describe()}/${found} is unfinished: the annotations may be being replaced. If nobody does, sweep the storage`,
    { transient: true },
  );
}

/** Undefined when there is no such object; gives up on a storage that hangs. */
export async function statObject(
  driver: DestinationDriver,
  path: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  return await inTurn(driver, `look at ${path}`, signal, (turn) => driver.stat(path, turn));
}

/** Gives up on a storage that hangs. */
async function inTurn<T>(
  driver: DestinationDriver,
  doing: string,
  signal: AbortSignal,
  work: (turn: AbortSignal) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const complaint = `${driver.describe()} did not answer (${doing})`;
  const turn = new StorageTurn({ complaint, stallMs: STALL_MS, signal });
  turn.begin();
  try {
    return await orAbort(work(turn.signal), turn.signal);
  } finally {
    turn.close();
  }
}
