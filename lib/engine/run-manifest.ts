import {
  type FailedArtifact,
  MAX_COUNTED_TABLES,
  type Manifest,
  type StoredArtifact,
} from '../backupset/manifest.ts';
import type { BackupError } from '../errors.ts';
import type { SourceBinding } from '../plan/bindings.ts';
import { needsField } from '../plan/needs.ts';
import { annotationsField } from '../plan/run-annotations.ts';
import { PRODUCT } from '../product.ts';
import type { Dump, DumpProof } from '../sources/driver.ts';
import type { Delivery, PassResult } from './artifact-pass.ts';
import type { DestinationRun } from './destination-run.ts';
import type { SealedRun } from './planning-run.ts';

/** Which database an entry of the manifest is about. */
export interface ArtifactSubject {
  readonly binding: SourceBinding;
  readonly database: string;
  /** Position in the run's listing. */
  readonly place: number;
  /** What was noticed while listing. */
  readonly warnings: readonly string[];
  readonly startedAt: Date;
}

export interface StoredDump {
  readonly dump: Dump;
  readonly rawFile: string;
  readonly raw: PassResult['raw'];
  readonly proof: DumpProof;
  readonly finishedAt: Date;
}

/** The manifest's entry for what one destination has committed of a dump. */
export function storedArtifact(subject: ArtifactSubject, stored: StoredDump, at: Delivery): StoredArtifact {
  const { dump, rawFile, raw, proof, finishedAt } = stored;
  const { tables } = proof;
  const isTooMany = tables !== undefined && tables.length > MAX_COUNTED_TABLES;
  return {
    ...identity(subject, finishedAt),
    status: 'ok',
    file: at.file,
    rawFile,
    format: dump.format,
    engineVersion: dump.version,
    steps: [...at.steps],
    raw,
    stored: at.stored,
    proof: { statement: proof.statement, facts: { ...proof.facts } },
    ...(tables === undefined || isTooMany ? {} : { tables: [...tables] }),
    warnings: [...subject.warnings, ...proof.warnings, ...(isTooMany ? [tooMany(tables.length)] : [])],
  };
}

/** The manifest's entry for a database whose dump failed. */
export function failedArtifact(
  subject: ArtifactSubject,
  error: BackupError,
  finishedAt: Date,
): FailedArtifact {
  const { code, message } = error;
  return { ...identity(subject, finishedAt), status: 'failed', error: { code, message } };
}

/** The manifest of a destination's set. Destinations behind the same steps get the same, byte by byte. */
export function runManifest(
  { id, job, openedAt, needs, annotations }: SealedRun,
  destination: DestinationRun,
  { host, finishedAt }: { readonly host: string; readonly finishedAt: Date },
): Manifest {
  const { artifacts, path } = destination;
  return {
    format: 'dbackup-manifest',
    version: 1,
    set: id,
    job,
    runId: id,
    host,
    product: PRODUCT,
    startedAt: openedAt.toISOString(),
    // A clock may be set back while the run goes on; a set that ends before it begins is taken for damaged.
    finishedAt: new Date(Math.max(openedAt.getTime(), finishedAt.getTime())).toISOString(),
    status: artifacts.every((artifact) => artifact.status === 'ok') ? 'complete' : 'partial',
    artifacts,
    recipe: {
      version: 1,
      runId: id,
      job,
      openedAt: openedAt.toISOString(),
      path: [...path],
      ...needsField(needs),
      ...annotationsField(annotations),
    },
  };
}

function tooMany(tables: number): string {
  return `There are ${tables} tables: the manifest keeps the rows of ${MAX_COUNTED_TABLES} at most, so those of none`;
}

function identity({ binding, database, startedAt }: ArtifactSubject, finishedAt: Date) {
  return {
    node: binding.node,
    source: binding.driver.kind,
    origin: binding.driver.describe(),
    database,
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt.toISOString(),
  };
}
