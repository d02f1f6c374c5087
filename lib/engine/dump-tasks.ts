import { orAbort } from '../abort.ts';
import { safeName } from '../backupset/names.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { SourceBinding } from '../plan/bindings.ts';
import type { SourcePlan } from '../plan/plan-tree.ts';
import type { DatabaseInfo } from '../sources/driver.ts';
import type { SealedRun } from './planning-run.ts';
import type { ProgressMeter } from './progress.ts';
import { attemptText, type Retries } from './retries.ts';
import type { RunAccount } from './run-account.ts';

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

export interface ListingContext {
  readonly account: RunAccount;
  readonly meter: ProgressMeter;
  readonly retries: Retries;
  readonly signal: AbortSignal;
}

/**
 * The databases that the run's sources select now: a list for each source, in the order of the plan. A source that cannot tell
 * fails alone, after some attempts where its trouble may pass.
 * @throws BackupError when aborted
 */
export async function listDumpTasks(
  run: SealedRun,
  context: ListingContext,
): Promise<{ tasks: DumpTask[][]; failures: ListingFailure[] }> {
  const listed: Pick<DumpTask, 'plan' | 'binding' | 'database'>[][] = [];
  const failures: Omit<ListingFailure, 'place'>[] = [];
  for (const plan of run.plans) {
    const binding = run.sources.get(plan.source.node);
    if (binding === undefined) {
      throw new BackupError('internal', `Source ${plan.source.node} was never bound`);
    }
    const startedAt = context.retries.date();
    try {
      const databases = await listDatabases(binding, context);
      listed.push(databases.map((database) => ({ plan, binding, database })));
    } catch (error) {
      throwIfAborted(context.signal);
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

async function listDatabases(binding: SourceBinding, context: ListingContext): Promise<DatabaseInfo[]> {
  const { retries, signal } = context;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const databases = await orAbort(binding.driver.listDatabases(signal), signal);
      if (databases.length > 0) return databases;
      throw nothingSelected(binding);
    } catch (thrown) {
      throwIfAborted(signal);
      const error = toBackupError(thrown);
      if (!error.transient || attempt >= retries.limits.databaseAttempts) throw error;
      await pauseFor(binding, error, attempt, context);
    }
  }
}

async function pauseFor(
  { node, label }: SourceBinding,
  error: BackupError,
  failed: number,
  { account, meter, retries, signal }: ListingContext,
): Promise<void> {
  const ms = retries.pauseAfter(failed);
  const attempts = retries.limits.databaseAttempts;
  const next = { attempt: failed + 1, attempts, seconds: Math.ceil(ms / 1000) };
  const text = `${label} could not list its databases: ${error.message}; ${attemptText(next)}`;
  account.notice('warn', text, node);
  await retries.wait(ms, signal, (seconds) => meter.waiting({ ...next, nodes: [node], seconds }));
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
