import { type Catalog, listBackupSets } from '../../lib/backupset/catalog.ts';
import { isStored } from '../../lib/backupset/manifest.ts';
import type { BackupSet } from '../../lib/backupset/reader.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable, formatTime, printable } from '../format.ts';
import { errorJson } from '../output.ts';
import { type AnnotatedSet, annotationCell, annotationFields, withAnnotations } from '../set-annotations.ts';
import { openPlace, type StorageOptions } from '../storage-options.ts';
import { pathBelow, type StoragePlace } from '../stored-sets.ts';

export interface ListInput extends StorageOptions {
  readonly job?: string;
  /** Only sets that have all of these. */
  readonly tag?: readonly string[];
  readonly pinned?: boolean;
  readonly knownBad?: boolean;
  readonly json?: boolean;
}

/** Lists the backup sets of a storage. One that cannot be read is shown as such, and makes the list fail. */
export const list: CommandBody<ListInput> = async (input, { output, signal, env }) => {
  const place = await openPlace(input, env);
  const filter = input.job === undefined ? {} : { job: input.job };
  const catalog = await listBackupSets(place.driver, { prefix: place.prefix, signal, ...filter });
  const sets = (await withAnnotations(catalog.sets, signal)).filter((each) => isWanted(each, input));
  const listed = { sets, unreadable: catalog.unreadable };
  if (input.json) output.json(catalogJson(listed, place));
  else output.print(catalogTable(listed, place));
  return catalog.unreadable.length > 0 ? EXIT.failed : EXIT.ok;
};

interface Listed extends Pick<Catalog, 'unreadable'> {
  readonly sets: readonly AnnotatedSet[];
}

/** A set whose annotations cannot be read may have every tag, and counts as pinned. */
function isWanted({ annotations: { value, error } }: AnnotatedSet, input: ListInput): boolean {
  const { tag = [], pinned = false, knownBad = false } = input;
  if (knownBad && value.knownBad === undefined) return false;
  if (error !== undefined) return true;
  return tag.every((each) => value.tags.includes(each)) && (!pinned || value.pinned);
}

function catalogTable({ sets, unreadable }: Listed, place: StoragePlace): string {
  if (sets.length === 0 && unreadable.length === 0) return `No backup sets in ${place.driver.describe()}`;
  const cells = sets.map(({ annotations }) => annotationCell(annotations));
  // Where nobody has said anything the column would only take room.
  const notes = cells.some((cell) => cell !== '') ? ['NOTES'] : [];
  const header = ['SET', 'STARTED', 'STATUS', 'DATABASES', 'RAW', 'STORED', ...notes];
  const rows = sets.map(({ set }, index) => {
    const { manifest } = set;
    const { stored, raw, bytes } = totals(set);
    return [
      pathBelow(place, set.path),
      formatTime(manifest.startedAt),
      manifest.status,
      stored === manifest.artifacts.length ? `${stored}` : `${stored} of ${manifest.artifacts.length}`,
      formatBytes(raw),
      formatBytes(bytes),
      ...(notes.length === 0 ? [] : [cells[index] ?? '']),
    ];
  });
  const broken = unreadable.map(({ path, error }) => [
    pathBelow(place, path),
    '',
    `unreadable: ${error.message}`,
  ]);
  return formatTable(
    header,
    [...rows, ...broken].map((row) => row.map(printable)),
  );
}

function catalogJson({ sets, unreadable }: Listed, place: StoragePlace) {
  return {
    storage: place.driver.describe(),
    sets: sets.map(({ set, annotations }) => {
      const { job, status, startedAt, finishedAt, host, runId, artifacts } = set.manifest;
      const { raw, bytes } = totals(set);
      return {
        set: pathBelow(place, set.path),
        job,
        status,
        startedAt,
        finishedAt,
        host,
        runId,
        databases: artifacts.map((artifact) => ({ database: artifact.database, status: artifact.status })),
        rawBytes: raw,
        storedBytes: bytes,
        ...annotationFields(annotations),
      };
    }),
    unreadable: unreadable.map(({ path, error }) => ({
      set: pathBelow(place, path),
      error: errorJson(error),
    })),
  };
}

function totals({ manifest }: BackupSet): { stored: number; raw: number; bytes: number } {
  const stored = manifest.artifacts.filter(isStored);
  return {
    stored: stored.length,
    raw: stored.reduce((sum, artifact) => sum + artifact.raw.bytes, 0),
    bytes: stored.reduce((sum, artifact) => sum + artifact.stored.bytes, 0),
  };
}
