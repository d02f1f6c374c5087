import { orAbort } from '../abort.ts';
import { safeName } from '../backupset/names.ts';
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
  /** Position in the run's listing. */
  readonly place: number;
  /** From 1: which of the source's databases of that name it is, for those who ignore case. */
  readonly namesake: number;
}

export interface ListingFailure {
  readonly place: number;
  readonly binding: SourceBinding;
  readonly startedAt: Date;
  readonly error: BackupError;
}

/**
 * The databases that the run's sources select now: a list for each source, in the order of the plan. A source that cannot tell
 * fails alone.
 * @throws BackupError when aborted
 */
export async function listDumpTasks(
  run: SealedRun,
  signal: AbortSignal,
): Promise<{ tasks: DumpTask[][]; failures: ListingFailure[] }> {
  const listed: Pick<DumpTask, 'plan' | 'binding' | 'database'>[][] = [];
  const failures: Omit<ListingFailure, 'place'>[] = [];
  for (const plan of run.plans) {
    const binding = run.sources.get(plan.source.node);
    if (binding === undefined) {
      throw new BackupError('internal', `Source ${plan.source.node} was never bound`);
    }
    const startedAt = new Date();
    try {
      const databases = await orAbort(binding.driver.listDatabases(signal), signal);
      if (databases.length === 0) throw nothingSelected(binding);
      listed.push(databases.map((database) => ({ plan, binding, database })));
    } catch (error) {
      throwIfAborted(signal);
      failures.push({ binding, startedAt, error: toBackupError(error) });
    }
  }
  let place = 0;
  return {
    failures: failures.map((failure) => ({ ...failure, place: place++ })),
    tasks: listed.map((ofSource) => {
      const namesakes = countNamesakes(ofSource.map(({ database }) => database.name));
      return ofSource.map((task, index) => ({ ...task, place: place++, namesake: namesakes[index] ?? 1 }));
    }),
  };
}

/** So that files are named alike whichever of several dumps begins first. */
function countNamesakes(names: readonly string[]): number[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const key = safeName(name).toLowerCase();
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return count;
  });
}

function nothingSelected({ label }: SourceBinding): BackupError {
  return new BackupError('not-found', `${label} selects no database: check its list of databases`);
}
