import { isStored, type Manifest } from '../lib/backupset/manifest.ts';
import type { CommittedSet } from '../lib/runs/outcome.ts';

/** What a destination puts into `msg.payload`: small, plain, for people and later nodes. */
export interface SetSummary {
  readonly job: string;
  readonly runId: string;
  /** `<job>/<set>`, below the storage's folder. */
  readonly set: string;
  readonly storage: string;
  readonly status: 'complete' | 'partial';
  readonly databases: readonly DatabaseSummary[];
  /** Stored bytes of all databases. */
  readonly bytes: number;
  readonly durationMs: number;
  /** True when it was copied from another destination of the run after the first try had failed. */
  readonly healed: boolean;
}

export interface DatabaseSummary {
  readonly name: string;
  readonly status: 'ok' | 'failed';
  readonly rawBytes?: number;
  readonly storedBytes?: number;
  readonly error?: string;
}

export function summarise({ reference, manifest, healed }: CommittedSet): SetSummary {
  return {
    job: manifest.job,
    runId: manifest.runId,
    set: reference.path,
    storage: reference.storage,
    status: manifest.status,
    databases: manifest.artifacts.map(summariseDatabase),
    bytes: storedBytes(manifest),
    durationMs: Date.parse(manifest.finishedAt) - Date.parse(manifest.startedAt),
    healed,
  };
}

/** Bytes that the storage holds for all databases of a set. */
export function storedBytes(manifest: Manifest): number {
  return manifest.artifacts.filter(isStored).reduce((sum, artifact) => sum + artifact.stored.bytes, 0);
}

function summariseDatabase(artifact: Manifest['artifacts'][number]): DatabaseSummary {
  const name = artifact.database;
  if (artifact.status === 'failed') return { name, status: 'failed', error: artifact.error.message };
  return { name, status: 'ok', rawBytes: artifact.raw.bytes, storedBytes: artifact.stored.bytes };
}
