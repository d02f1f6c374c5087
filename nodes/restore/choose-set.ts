import { z } from 'zod';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { joinPath, openedAtOf } from '../../lib/backupset/names.ts';
import { type BackupSet, openBackupSet } from '../../lib/backupset/reader.ts';
import { BackupError } from '../../lib/errors.ts';
import { EMPTY_KEY_RING, type KeyRing } from '../../lib/keys/keys.ts';
import type { BackupMessage, NodeContext } from '../define-node.ts';
import { holderOf } from '../destinations/pass-destination.ts';
import { configNode, jobName, storageFolder } from '../forms/common-fields.ts';
import { requireStoredRecipe } from '../message-recipe.ts';
import { KEY, STORAGE } from '../services.ts';
import { storageTypes } from '../storages.ts';

const storage = configNode(storageTypes, 'fa-hdd-o');

/** Fields of each way to say which backup set is meant, by the value of `from`. */
export const setChoices = {
  message: { from: z.literal('message').meta({ icon: 'fa-search' }) },
  latest: { from: z.literal('latest'), storage, folder: storageFolder, job: jobName },
  path: {
    from: z.literal('path'),
    storage,
    path: z.string().min(1).meta({ icon: 'fa-folder-open-o', placeholder: 'shop/20260131T030000Z_9f86d081' }),
  },
} as const;

export type SetChoice =
  | { readonly from: 'message' }
  | { readonly from: 'latest'; readonly storage: string; readonly folder: string; readonly job: string }
  | { readonly from: 'path'; readonly storage: string; readonly path: string };

/**
 * Opens the backup set that a restore or verify node is meant to work on.
 * @throws BackupError `not-found` when there is none; that of the newest set when it cannot be read
 */
export function chooseSet(
  context: NodeContext<unknown>,
  choice: SetChoice,
  message: BackupMessage,
  signal: AbortSignal,
): Promise<BackupSet> {
  switch (choice.from) {
    case 'message':
      return setOfMessage(context, message, signal);
    case 'latest':
      return latestSet(context, choice, signal);
    case 'path':
      return openBackupSet(context.use(STORAGE, choice.storage).driver(), choice.path, signal);
  }
}

/** Keys of the chosen key node; none are needed for sets that are not encrypted. */
export async function keysOf(context: NodeContext<unknown>, key: string | undefined): Promise<KeyRing> {
  return key === undefined ? EMPTY_KEY_RING : context.use(KEY, key).keyRing();
}

async function setOfMessage(
  context: NodeContext<unknown>,
  message: BackupMessage,
  signal: AbortSignal,
): Promise<BackupSet> {
  const recipe = requireStoredRecipe(context, message);
  const { driver, prefix } = holderOf(context, recipe);
  return openBackupSet(driver, joinPath(prefix, recipe.set.path), signal);
}

/** The name of a folder tells its time, to the second: who cannot read the manifest knows no more. */
function isAsNew(path: string, newest: BackupSet | undefined): boolean {
  if (newest === undefined) return true;
  const opened = openedAtOf(path.slice(path.lastIndexOf('/') + 1));
  return opened !== undefined && opened.getTime() + 1000 > Date.parse(newest.manifest.startedAt);
}

/** An older set is not taken for one that cannot be read: it would be restored, or pinned, instead of that. */
async function latestSet(
  context: NodeContext<unknown>,
  choice: SetChoice & { readonly from: 'latest' },
  signal: AbortSignal,
): Promise<BackupSet> {
  const driver = context.use(STORAGE, choice.storage).driver();
  const { sets, unreadable } = await listBackupSets(driver, {
    prefix: choice.folder,
    job: choice.job,
    signal,
  });
  const [newest] = sets;
  const newer = unreadable.find(({ path }) => isAsNew(path, newest));
  if (newer !== undefined) {
    const { code, message, transient } = newer.error;
    throw new BackupError(
      code,
      `The newest set ${newer.path} cannot be read (${message}): repair or remove it, or name the set that is meant`,
      { transient, cause: newer.error },
    );
  }
  for (const { error } of unreadable) context.warn(error.message);
  if (newest !== undefined) return newest;
  throw new BackupError(
    'not-found',
    `${driver.describe()} holds no backup set of the job ${choice.job}${choice.folder === '' ? '' : ` below ${choice.folder}`}`,
  );
}
