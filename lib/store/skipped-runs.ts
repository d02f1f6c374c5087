import type { Kysely } from 'kysely';
import type { SkippedRun } from '../runs/jobs.ts';
import type { StoreSchema } from './schema.ts';
import { storeError } from './store-error.ts';

/** Records in the store `file` that a run was due and not begun. It begins and ends at that moment. */
export async function recordSkippedRun(
  db: Kysely<StoreSchema>,
  file: string,
  instance: string,
  { runId, job, at, message }: Omit<SkippedRun, 'nodes'>,
): Promise<void> {
  const time = at.toISOString();
  try {
    await db
      .insertInto('runs')
      .values({
        id: runId,
        instance,
        job,
        state: 'skipped',
        opened_at: time,
        finished_at: time,
        error_code: 'aborted',
        error_message: message,
      })
      .execute();
  } catch (thrown) {
    throw storeError(thrown, file);
  }
}
