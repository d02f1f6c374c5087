import type { Kysely, Transaction } from 'kysely';
import { isStored } from '../backupset/manifest.ts';
import type { BackupError } from '../errors.ts';
import type { RunJournal } from '../runs/journal.ts';
import type { CommittedSet, RunResult } from '../runs/outcome.ts';
import type { RunState } from '../runs/states.ts';
import type { StoreSchema } from './schema.ts';
import { storeError } from './store-error.ts';

/** Writes an instance's runs into the store `file`. Each promise resolves when its record is durable. */
export function createRunJournal(db: Kysely<StoreSchema>, file: string, instance: string): RunJournal {
  const write = async (query: () => Promise<unknown>) => {
    try {
      await query();
    } catch (thrown) {
      throw storeError(thrown, file);
    }
  };
  return {
    opened: ({ id, job, openedAt }) =>
      write(() =>
        db
          .insertInto('runs')
          .values({ id, instance, job, state: 'planning', opened_at: openedAt.toISOString() })
          .execute(),
      ),
    state: (runId, state) =>
      write(() => db.updateTable('runs').set(stateColumns(state)).where('id', '=', runId).execute()),
    finished: (result) => write(() => db.transaction().execute((tx) => recordResult(tx, result))),
  };
}

function stateColumns(state: RunState) {
  return state === 'running' ? { state, started_at: new Date().toISOString() } : { state };
}

async function recordResult(tx: Transaction<StoreSchema>, result: RunResult): Promise<void> {
  const run = result.runId;
  await tx
    .updateTable('runs')
    .set({
      state: result.state,
      finished_at: result.finishedAt.toISOString(),
      raw_bytes: result.rawBytes,
      ...errorColumns(result.error),
    })
    .where('id', '=', run)
    .execute();
  for (const { node, database, error } of result.artifacts) {
    await tx
      .insertInto('artifacts')
      .values({ run, node, database, ...errorColumns(error) })
      .execute();
  }
  for (const { node, label, set, error } of result.destinations) {
    await tx
      .insertInto('destinations')
      .values({ run, node, label, ...errorColumns(error) })
      .execute();
    if (set !== undefined) await recordSet(tx, run, node, set);
  }
}

async function recordSet(
  tx: Transaction<StoreSchema>,
  run: string,
  node: string,
  set: CommittedSet,
): Promise<void> {
  const stored = set.manifest.artifacts.filter(isStored);
  await tx
    .insertInto('sets')
    .values({
      run,
      node,
      storage: set.reference.storage,
      path: set.reference.path,
      status: set.reference.status,
      healed: set.healed ? 1 : 0,
      raw_bytes: stored.reduce((sum, artifact) => sum + artifact.raw.bytes, 0),
      stored_bytes: stored.reduce((sum, artifact) => sum + artifact.stored.bytes, 0),
    })
    .execute();
}

function errorColumns(error: BackupError | undefined) {
  return { error_code: error?.code ?? null, error_message: error?.message ?? null };
}
