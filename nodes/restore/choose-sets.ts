import { z } from 'zod';
import { annotationsOf } from '../../lib/backupset/annotations.ts';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import type { BackupSet } from '../../lib/backupset/reader.ts';
import type { VerifyLevel } from '../../lib/backupset/verify-levels.ts';
import { BackupError, errorAbout } from '../../lib/errors.ts';
import { type Sample, type SampledSet, sampleSets } from '../../lib/restore/sample-sets.ts';
import type { BackupMessage, NodeContext } from '../define-node.ts';
import { STORAGE } from '../services.ts';
import { chooseSet, type SetChoice, setChoices } from './choose-set.ts';

const { storage, folder, job } = setChoices.latest;

/** Fields of each way to say which of a job's backup sets are meant, by the value of `from`. */
export const sampleChoices = {
  random: {
    from: z.literal('random'),
    storage,
    folder,
    job,
    last: z.number().int().min(1).max(10_000).default(30).meta({ icon: 'fa-random' }),
  },
  unverified: { from: z.literal('unverified'), storage, folder, job },
  all: { from: z.literal('all'), storage, folder, job },
} as const;

interface InJob {
  readonly storage: string;
  readonly folder: string;
  readonly job: string;
}

export type SampleChoice =
  | SetChoice
  | (InJob & { readonly from: 'random'; readonly last: number })
  | (InJob & { readonly from: 'unverified' | 'all' });

export interface ChosenSets {
  /** The newest first; at least one. */
  readonly sets: readonly BackupSet[];
  /** Why others of the job cannot be read: what is verified is not all. */
  readonly unreadable: readonly BackupError[];
}

/**
 * Opens the backup sets that a verify node is meant to look at.
 * @throws BackupError `not-found` when there is none, that of a set when none can be read, or of the storage
 */
export async function chooseSets(
  context: NodeContext<unknown>,
  choice: SampleChoice,
  message: BackupMessage,
  { level, signal }: { readonly level: VerifyLevel; readonly signal: AbortSignal },
): Promise<ChosenSets> {
  const sample = sampleOf(choice);
  if (sample === undefined) {
    return { sets: [await chooseSet(context, choice as SetChoice, message, signal)], unreadable: [] };
  }
  const { storage: id, folder: prefix, job: name } = choice as InJob;
  const driver = context.use(STORAGE, id).driver();
  const catalog = await listBackupSets(driver, { prefix, job: name, signal });
  const unreadable = catalog.unreadable.map(({ path, error }) =>
    errorAbout(`The set ${path} cannot be read`, error),
  );
  const sets = sampleSets(await withAnnotations(catalog.sets, sample, signal), sample, level);
  if (sets.length > 0) return { sets, unreadable };
  throw (
    unreadable[0] ??
    new BackupError('not-found', `${driver.describe()} holds no backup set of the job ${name}`)
  );
}

function sampleOf(choice: SampleChoice): Sample | undefined {
  switch (choice.from) {
    case 'random':
      return { which: 'random', last: choice.last };
    case 'unverified':
    case 'all':
      return { which: choice.from };
    default:
      return undefined;
  }
}

/** One after the other: reading them takes nothing compared to what follows. */
async function withAnnotations(
  sets: readonly BackupSet[],
  { which }: Sample,
  signal: AbortSignal,
): Promise<SampledSet[]> {
  const sampled: SampledSet[] = [];
  for (const set of sets) {
    sampled.push(which === 'unverified' ? { set, ...(await verifiedOf(set, signal)) } : { set });
  }
  return sampled;
}

async function verifiedOf(set: BackupSet, signal: AbortSignal): Promise<Pick<SampledSet, 'annotations'>> {
  const { value } = await annotationsOf(set, { signal });
  return { annotations: value };
}
