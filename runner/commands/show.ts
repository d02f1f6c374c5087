import { annotationsOf, type StoredAnnotations } from '../../lib/backupset/annotations.ts';
import { remedyOf } from '../../lib/backupset/known-bad.ts';
import { isStored, type Manifest, type StoredArtifact } from '../../lib/backupset/manifest.ts';
import { isSuspicious } from '../../lib/backupset/suspicion.ts';
import { isServerWide } from '../../lib/restore/choose-artifact.ts';
import type { StepRecord } from '../../lib/transforms/records.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTime, printable } from '../format.ts';
import { lastVerification } from '../set-annotations.ts';
import { openPlace, type StorageOptions } from '../storage-options.ts';
import { findSet } from '../stored-sets.ts';

export interface ShowInput extends StorageOptions {
  readonly set: string;
  readonly job?: string;
  readonly json?: boolean;
}

/** Shows what a set holds: for people, or the manifest as it is. */
export const show: CommandBody<ShowInput> = async (input, { output, signal, env }) => {
  const place = await openPlace(input, env);
  const set = await findSet(place, { set: input.set, job: input.job, signal });
  if (input.json) {
    output.json(set.manifest);
    return EXIT.ok;
  }
  const annotations = await annotationsOf(set, { signal });
  const where = `${place.driver.describe()}/${set.path}`;
  output.print(describeManifest(set.manifest, where, describeAnnotations(annotations)));
  return EXIT.ok;
};

function describeManifest(manifest: Manifest, where: string, annotations: readonly string[]): string {
  const lines = [
    `Set        ${manifest.set} (${manifest.status})`,
    `Job        ${manifest.job}`,
    `Stored at  ${where}`,
    `Started    ${formatTime(manifest.startedAt)}`,
    `Finished   ${formatTime(manifest.finishedAt)}`,
    `Host       ${manifest.host}`,
    `Run        ${manifest.runId}`,
    `Written by ${manifest.product.name} ${manifest.product.version}`,
    ...annotations,
    ...manifest.artifacts.flatMap((artifact) => [
      '',
      headingOf(artifact),
      `Origin     ${artifact.origin} (${artifact.source})`,
      ...(isStored(artifact) ? describeStored(artifact) : [`FAILED     ${artifact.error.message}`]),
    ]),
  ];
  return lines.map(printable).join('\n');
}

function describeAnnotations({ value, error }: StoredAnnotations): string[] {
  if (error !== undefined) return [`Annotated  ${error.message} (it counts as pinned)`];
  const { tags, note, pinned, knownBad, suspicious } = value;
  const verified = lastVerification(value);
  return [
    ...(tags.length === 0 ? [] : [`Tags       ${tags.join(', ')}`]),
    ...(note === undefined ? [] : [`Note       ${note}`]),
    ...(pinned ? ['Pinned     yes: retention does not remove it'] : []),
    ...(verified === undefined ? [] : [`Verified   ${verified}`]),
    ...(knownBad === undefined
      ? []
      : [
          `KNOWN BAD  since ${formatTime(knownBad.since)}: ${knownBad.reason}`,
          `           ${remedyOf(knownBad)}`,
        ]),
    ...(suspicious === undefined || !isSuspicious(value)
      ? []
      : [`SUSPICIOUS since ${formatTime(suspicious.since)}: ${suspicious.reason}`]),
  ];
}

/** Roles and users are dumped beside the databases, and belong to the whole server. */
function headingOf(artifact: Manifest['artifacts'][number]): string {
  if (!isServerWide(artifact)) return `Database   ${artifact.database}`;
  return `Server     ${artifact.database} (${artifact.source === 'postgres' ? 'roles and tablespaces' : 'users and grants'})`;
}

function describeStored(artifact: StoredArtifact): string[] {
  return [
    `File       ${artifact.file}`,
    `Stored     ${formatBytes(artifact.stored.bytes)}, SHA-256 ${artifact.stored.sha256}`,
    `Raw        ${formatBytes(artifact.raw.bytes)} ${artifact.format} ${artifact.engineVersion}, SHA-256 ${artifact.raw.sha256}`,
    `Steps      ${artifact.steps.map(describeStep).join(', ') || 'none'}`,
    `Proof      ${artifact.proof.statement}`,
    ...(artifact.tables === undefined ? [] : [`Rows       ${describeRows(artifact.tables)}`]),
    ...artifact.warnings.map((warning) => `Warning    ${warning}`),
  ];
}

function describeRows(tables: NonNullable<StoredArtifact['tables']>): string {
  const total = tables.reduce((sum, { rows }) => sum + rows, 0);
  return `${total} in ${tables.length} ${tables.length === 1 ? 'table' : 'tables'}`;
}

function describeStep(step: StepRecord): string {
  switch (step.kind) {
    case 'compress':
      return `${step.algorithm} level ${step.level}`;
    case 'checksum':
      return `${step.algorithm} ${step.digest}`;
    case 'encrypt':
      return `encrypted (${step.format}, ${describeKey(step.key)})`;
  }
}

function describeKey(key: Extract<StepRecord, { kind: 'encrypt' }>['key']): string {
  switch (key.type) {
    case 'vault':
      return `vault key ${key.id} version ${key.version}`;
    case 'passphrase':
      return 'passphrase';
    case 'age':
      return `for ${key.recipients.join(' and ')}`;
  }
}
