import { chooseArtifact } from '../../lib/restore/choose-artifact.ts';
import { restoreArtifact } from '../../lib/restore/restore.ts';
import { openRestoreTarget } from '../../lib/restore/targets.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { printable } from '../format.ts';
import { type KeyOptions, keyRing } from '../key-options.ts';
import { createMeter } from '../report/meter.ts';
import { openServer, type ServerOptions } from '../server-options.ts';
import { openPlace, type StorageOptions } from '../storage-options.ts';
import { findSet } from '../stored-sets.ts';

export interface RestoreInput extends StorageOptions, ServerOptions, KeyOptions {
  readonly set: string;
  readonly job?: string;
  /** May be left out when the set holds one only. */
  readonly database?: string;
  /** A file for SQLite, else a database: the one that it was when left out. */
  readonly to?: string;
  readonly overwrite?: boolean;
  readonly safetyCopy: boolean;
  readonly schemaOnly?: boolean;
  readonly dataOnly?: boolean;
  readonly table?: readonly string[];
  readonly owners: boolean;
  readonly privileges: boolean;
  readonly jobs: number;
  readonly json?: boolean;
}

/** Puts one database of a set back. */
export const restore: CommandBody<RestoreInput> = async (input, { output, signal, env }) => {
  const place = await openPlace(input, env);
  const set = await findSet(place, { set: input.set, job: input.job, signal });
  const artifact = chooseArtifact(set, input.database);
  const target = openRestoreTarget(artifact, {
    to: input.to,
    server: input.server === undefined ? undefined : await openServer(input, env),
    overwrite: input.overwrite ? 'replace' : 'refuse',
    safetyCopy: input.safetyCopy,
    content: input.schemaOnly ? 'schema' : input.dataOnly ? 'data' : 'all',
    tables: input.table ?? [],
    owners: input.owners,
    privileges: input.privileges,
    jobs: input.jobs,
  });
  const keys = await keyRing(input, env);
  const total = artifact.raw.bytes;
  const meter = await createMeter('restoring');
  const onBytes = (done: number) => meter.update(done, total);
  const report = await restoreArtifact({ set, artifact, target, keys, signal, onBytes }).finally(meter.stop);
  if (input.json) {
    output.json({ set: set.path, database: artifact.database, bytes: total, ...report });
    return EXIT.ok;
  }
  output.print(
    printable(`${artifact.database} of ${set.path} restored to ${report.target} (${formatBytes(total)})`),
  );
  output.print(printable(`Checked: ${report.proof.statement}`));
  for (const warning of report.proof.warnings) output.note(printable(`warning: ${warning}`));
  if (report.safetyCopy !== undefined) {
    output.print(printable(`The previous content was kept in ${report.safetyCopy}`));
  }
  return EXIT.ok;
};
