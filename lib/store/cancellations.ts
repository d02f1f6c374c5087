import type { Kysely } from 'kysely';
import { ACTIVE_STATES, isActiveState, type RunState } from '../runs/states.ts';
import type { StoreSchema } from './schema.ts';
import { storeError } from './store-error.ts';

/** Asks processes, this one or others, to end runs. Each method throws a BackupError when the store cannot be used. */
export interface Cancellations {
  /**
   * Asks the process that runs it to end a run. The first reason stays.
   * @returns the state that the run is in; undefined when the history does not know it
   */
  request(run: string, reason: string): Promise<RunState | undefined>;
  /** Undefined when the history does not know it. */
  stateOf(run: string): Promise<RunState | undefined>;
  /** Reasons of those of these runs that somebody wants to end. */
  requested(runs: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

/** @param store what it is called in errors */
export function createCancellations(db: Kysely<StoreSchema>, store: string): Cancellations {
  const guarded = async <T>(query: () => Promise<T>): Promise<T> => {
    try {
      return await query();
    } catch (thrown) {
      throw storeError(thrown, store);
    }
  };
  return {
    request: (run, reason) => guarded(() => request(db, run, reason)),
    stateOf: (run) => guarded(() => stateOf(db, run)),
    requested: (runs) => guarded(() => requested(db, runs)),
  };
}

async function request(db: Kysely<StoreSchema>, run: string, reason: string): Promise<RunState | undefined> {
  const state = await stateOf(db, run);
  if (state === undefined || !isActiveState(state)) return state;
  await db
    .updateTable('runs')
    .set({ cancel_reason: reason })
    .where('id', '=', run)
    .where('state', 'in', [...ACTIVE_STATES])
    .where('cancel_reason', 'is', null)
    .execute();
  return state;
}

async function stateOf(db: Kysely<StoreSchema>, run: string): Promise<RunState | undefined> {
  const row = await db.selectFrom('runs').select('state').where('id', '=', run).executeTakeFirst();
  return row?.state;
}

async function requested(
  db: Kysely<StoreSchema>,
  runs: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (runs.length === 0) return new Map();
  const rows = await db
    .selectFrom('runs')
    .select(['id', 'cancel_reason'])
    .where('id', 'in', [...runs])
    .where('cancel_reason', 'is not', null)
    .execute();
  return new Map(rows.map(({ id, cancel_reason }) => [id, cancel_reason ?? '']));
}
