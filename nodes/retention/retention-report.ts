import type { BackupError } from '../../lib/errors.ts';
import type { PruneReport } from '../../lib/retention/prune.ts';

/** `msg.retention`: what became of the sets of a job, in plain JSON. */
export interface RetentionReport {
  readonly storage: string;
  readonly job: string;
  /** Nothing was removed: what `removed` counts would have been. */
  readonly dryRun: boolean;
  readonly kept: number;
  readonly removed: number;
  /** Stored bytes of the databases that were removed. */
  readonly freedBytes: number;
  /** Newest first. */
  readonly sets: readonly RetentionSet[];
  /** Why nothing, or nothing more, was removed. */
  readonly error?: { readonly code: string; readonly message: string };
}

export interface RetentionSet {
  readonly set: string;
  readonly startedAt: string;
  readonly status: 'complete' | 'partial';
  readonly bytes: number;
  readonly kept: boolean;
  /** `kept: weekly 2026-W46` */
  readonly verdict: string;
  readonly error?: string;
}

export function retentionReport({ storage, job, remove, sets, error }: PruneReport): RetentionReport {
  const removed = sets.filter(({ kept }) => !kept);
  return {
    storage,
    job,
    dryRun: !remove,
    kept: sets.length - removed.length,
    removed: removed.length,
    freedBytes: removed.reduce((sum, { bytes }) => sum + bytes, 0),
    sets: sets.map(({ path, startedAt, status, bytes, kept, verdict, error: problem }) => ({
      set: path,
      startedAt,
      status,
      bytes,
      kept,
      verdict,
      ...(problem === undefined ? {} : { error: problem.message }),
    })),
    ...(error === undefined ? {} : { error: plainError(error) }),
  };
}

function plainError({ code, message }: BackupError) {
  return { code, message };
}
