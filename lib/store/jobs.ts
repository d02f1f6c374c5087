import type { Kysely, Selectable } from 'kysely';
import { BackupError } from '../errors.ts';
import type { JobMemory, JobOccurred, JobQuery, JobRecord, JobStep } from '../runs/job-memory.ts';
import { type JobFailure, type JobStanding, NEW_JOB, nextStanding } from '../runs/jobs.ts';
import { queryRuns } from './history.ts';
import { queryLastRuns } from './last-runs.ts';
import { errorOf } from './run-errors.ts';
import type { JobTable, StoreSchema } from './schema.ts';
import { storeError } from './store-error.ts';

/** Failed runs that are told of a job that is not healthy, unless more are asked for. */
const ERRORS_TOLD = 5;

/**
 * Keeps in the store `file` how jobs stand. A step is decided by what was read, and written only where that still
 * holds: each statement is atomic, so that no process loses what another has counted, nor holds a lock while it thinks.
 */
export function createJobMemory(db: Kysely<StoreSchema>, file: string): JobMemory {
  const guarded = async <T>(query: () => Promise<T>): Promise<T> => {
    try {
      return await query();
    } catch (thrown) {
      throw storeError(thrown, file);
    }
  };
  return {
    record: (occurred) => guarded(() => recordOccurrence(db, occurred)),
    find: (job) => guarded(() => findJob(db, job)),
    standings: () => guarded(() => allStandings(db)),
    list: (query = {}) => guarded(() => listJobs(db, query)),
    requeue: (job, at) => guarded(() => requeueJob(db, job, at)),
    discard: (job) => guarded(() => discardJob(db, job)),
  };
}

async function recordOccurrence(
  db: Kysely<StoreSchema>,
  { job, occurrence, at, deadLetterAfter }: JobOccurred,
): Promise<JobStep> {
  for (;;) {
    await db
      .insertInto('jobs')
      .values({ job, ...NEW_JOB, changed_at: at.toISOString() })
      .onConflict((conflict) => conflict.column('job').doNothing())
      .execute();
    const next = (standing: JobStanding) => nextStanding(standing, occurrence, deadLetterAfter);
    const step = await takeStep(db, job, at, next);
    // Somebody may have discarded it in between.
    if (step !== undefined) return step;
  }
}

/** Undefined when there is no such job. */
async function takeStep(
  db: Kysely<StoreSchema>,
  job: string,
  at: Date,
  next: (standing: JobStanding) => JobStanding,
): Promise<JobStep | undefined> {
  for (;;) {
    const row = await selectJob(db, job);
    if (row === undefined) return undefined;
    const before = { state: row.state, failures: row.failures };
    const after = next(before);
    const isSame = after.state === before.state && after.failures === before.failures;
    if (isSame) return { before, after };
    const changedAt = after.state === before.state ? row.changed_at : at.toISOString();
    const { numUpdatedRows } = await db
      .updateTable('jobs')
      .set({ state: after.state, failures: after.failures, changed_at: changedAt })
      .where('job', '=', job)
      .where('state', '=', before.state)
      .where('failures', '=', before.failures)
      .executeTakeFirst();
    if (numUpdatedRows > 0n) return { before, after };
  }
}

async function requeueJob(db: Kysely<StoreSchema>, job: string, at: Date): Promise<JobStep> {
  const step = await takeStep(db, job, at, (standing) => nextStanding(standing, 'requeued', 0));
  if (step === undefined) throw unknownJob(job);
  return step;
}

async function discardJob(db: Kysely<StoreSchema>, job: string): Promise<JobStanding> {
  const row = await db
    .deleteFrom('jobs')
    .where('job', '=', job)
    .returning(['state', 'failures'])
    .executeTakeFirst();
  if (row === undefined) throw unknownJob(job);
  return row;
}

async function findJob(db: Kysely<StoreSchema>, job: string) {
  const row = await selectJob(db, job);
  return row === undefined ? undefined : { state: row.state, failures: row.failures, since: row.changed_at };
}

async function allStandings(db: Kysely<StoreSchema>): Promise<ReadonlyMap<string, JobStanding>> {
  const rows = await db.selectFrom('jobs').select(['job', 'state', 'failures']).execute();
  return new Map(rows.map(({ job, ...standing }) => [job, standing]));
}

function selectJob(db: Kysely<StoreSchema>, job: string): Promise<Selectable<JobTable> | undefined> {
  return db.selectFrom('jobs').selectAll().where('job', '=', job).executeTakeFirst();
}

async function listJobs(db: Kysely<StoreSchema>, { job, state, errors }: JobQuery): Promise<JobRecord[]> {
  let select = db.selectFrom('jobs').selectAll().orderBy('job');
  if (job !== undefined) select = select.where('job', '=', job);
  if (state !== undefined) select = select.where('state', '=', state);
  const rows = await select.execute();
  const lastRuns = new Map((await queryLastRuns(db)).map((last) => [last.job, last]));
  const records: JobRecord[] = [];
  for (const row of rows) {
    const last = lastRuns.get(row.job);
    records.push({
      job: row.job,
      state: row.state,
      failures: row.failures,
      since: row.changed_at,
      lastRun: last === undefined ? null : { state: last.state, finishedAt: last.finishedAt },
      lastSuccessAt: last?.succeededAt ?? null,
      errors: await failuresOf(db, row.job, errors ?? (row.state === 'healthy' ? 0 : ERRORS_TOLD)),
    });
  }
  return records;
}

async function failuresOf(db: Kysely<StoreSchema>, job: string, limit: number): Promise<JobFailure[]> {
  if (limit === 0) return [];
  const runs = await queryRuns(db, { job, state: 'failed', limit });
  return runs.map((run) => ({
    runId: run.id,
    at: run.finishedAt ?? run.openedAt,
    ...(errorOf(run) ?? { code: 'internal', message: 'It left no error' }),
  }));
}

function unknownJob(job: string): BackupError {
  return new BackupError(
    'not-found',
    `There is no job ${JSON.stringify(job)}: dbackup jobs lists those that have run`,
  );
}
