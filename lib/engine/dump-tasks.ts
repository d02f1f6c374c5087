import { orAbort } from '../abort.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { SourceBinding } from '../plan/bindings.ts';
import type { SourcePlan } from '../plan/plan-tree.ts';
import type { DatabaseInfo } from '../sources/driver.ts';
import type { SealedRun } from './planning-run.ts';

/** One database that the run shall dump. */
export interface DumpTask {
  readonly plan: SourcePlan;
  readonly binding: SourceBinding;
  readonly database: DatabaseInfo;
}

export interface ListingFailure {
  readonly binding: SourceBinding;
  readonly startedAt: Date;
  readonly error: BackupError;
}

/**
 * The databases that the run's sources select now, in the order of the sources. A source that cannot tell
 * fails alone.
 * @throws BackupError when aborted
 */
export async function listDumpTasks(
  run: SealedRun,
  signal: AbortSignal,
): Promise<{ tasks: DumpTask[]; failures: ListingFailure[] }> {
  const tasks: DumpTask[] = [];
  const failures: ListingFailure[] = [];
  for (const plan of run.plans) {
    const binding = run.sources.get(plan.source.node);
    if (binding === undefined) {
      throw new BackupError('internal', `Source ${plan.source.node} was never bound`);
    }
    const startedAt = new Date();
    try {
      const databases = await orAbort(binding.driver.listDatabases(signal), signal);
      if (databases.length === 0) throw nothingSelected(binding);
      tasks.push(...databases.map((database) => ({ plan, binding, database })));
    } catch (error) {
      throwIfAborted(signal);
      failures.push({ binding, startedAt, error: toBackupError(error) });
    }
  }
  return { tasks, failures };
}

function nothingSelected({ label }: SourceBinding): BackupError {
  return new BackupError('not-found', `${label} selects no database: check its list of databases`);
}
