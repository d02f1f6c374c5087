import { BackupError } from '../../errors.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import { type DumpReader, FORMATS, scriptReader } from './dump-reader.ts';

/** How a dump of one format is put back. */
export interface RestoreFormat {
  /** The archive that `pg_restore` reads; undefined for a script for `psql`. */
  readonly archive?: 'custom' | 'tar';
  /** Follows the dump and knows whether it is whole. */
  reader(): DumpReader;
}

const BY_NAME = new Map<string, RestoreFormat>([
  ['pg-custom', { archive: 'custom', reader: () => FORMATS.custom.reader(true) }],
  ['pg-tar', { archive: 'tar', reader: () => FORMATS.tar.reader(true) }],
  ['pg-plain', { reader: () => FORMATS.plain.reader(true) }],
  ['pg-globals', { reader: () => scriptReader('database cluster') }],
]);

/**
 * The format of the dump, when it can do what the options ask for.
 * @throws BackupError `invalid-config`
 */
export function restoreFormat(options: ServerRestoreOptions): RestoreFormat {
  const { format, content, tables, owners, privileges, jobs } = options;
  const found = BY_NAME.get(format);
  if (found === undefined) {
    throw refusal(`The dump has the format ${format}, which is none of PostgreSQL: update DBackup`);
  }
  if (!Number.isInteger(jobs) || jobs < 1) throw refusal(`${jobs} is no number of jobs`);
  if (jobs > 1 && found.archive !== 'custom') {
    throw refusal(`A dump in the format ${format} is restored by one job, not by ${jobs}: set jobs to 1`);
  }
  if (found.archive !== undefined) return found;
  if (content !== 'all' || tables.length > 0) {
    throw refusal(
      `A dump in the format ${format} can only be restored as a whole: restore it under a new name, and copy what you need from there`,
    );
  }
  if (!owners || !privileges) {
    throw refusal(`A dump in the format ${format} cannot be restored without its owners and privileges`);
  }
  return found;
}

function refusal(message: string): BackupError {
  return new BackupError('invalid-config', message);
}
