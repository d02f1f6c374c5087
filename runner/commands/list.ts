import { type Catalog, listBackupSets } from '../../lib/backupset/catalog.ts';
import { isStored } from '../../lib/backupset/manifest.ts';
import type { BackupSet } from '../../lib/backupset/reader.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable, formatTime, printable } from '../format.ts';
import { errorJson } from '../output.ts';
import { openPlace, type StorageOptions } from '../storage-options.ts';
import { pathBelow, type StoragePlace } from '../stored-sets.ts';

export interface ListInput extends StorageOptions {
  readonly job?: string;
  readonly json?: boolean;
}

/** Lists the backup sets of a storage. One that cannot be read is shown as such, and makes the list fail. */
export const list: CommandBody<ListInput> = async (input, { output, signal, env }) => {
  const place = await openPlace(input, env);
  const filter = input.job === undefined ? {} : { job: input.job };
  const catalog = await listBackupSets(place.driver, { prefix: place.prefix, signal, ...filter });
  if (input.json) output.json(catalogJson(catalog, place));
  else output.print(catalogTable(catalog, place));
  return catalog.unreadable.length > 0 ? EXIT.failed : EXIT.ok;
};

function catalogTable({ sets, unreadable }: Catalog, place: StoragePlace): string {
  if (sets.length === 0 && unreadable.length === 0) return `No backup sets in ${place.driver.describe()}`;
  const header = ['SET', 'STARTED', 'STATUS', 'DATABASES', 'RAW', 'STORED'];
  const rows = sets.map((set) => {
    const { manifest } = set;
    const { stored, raw, bytes } = totals(set);
    return [
      pathBelow(place, set.path),
      formatTime(manifest.startedAt),
      manifest.status,
      stored === manifest.artifacts.length ? `${stored}` : `${stored} of ${manifest.artifacts.length}`,
      formatBytes(raw),
      formatBytes(bytes),
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

function catalogJson({ sets, unreadable }: Catalog, place: StoragePlace) {
  return {
    storage: place.driver.describe(),
    sets: sets.map((set) => {
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
