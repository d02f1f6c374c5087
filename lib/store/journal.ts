import type { Kysely, Transaction } from 'kysely';
import { isStored } from '../backupset/manifest.ts';
import type { BackupError } from '../errors.ts';
import type { RunJournal } from '../runs/journal.ts';
import type { CommittedSet, RunResult } from '../runs/outcome.ts';
import { ACTIVE_STATES, isActiveState, type RunState } from '../runs/states.ts';
import type { StoreGuard } from './guard.ts';
import type { StoreSchema } from './schema.ts';

/** The journal of the store. */
export interface StoreJournal extends RunJournal {
  /** Notes what a run does at the moment, for the case that its process dies: `dumping shop`. */
  stage(runId: string, text: string): Promise<void>;
}

/** Writes the runs of this process into the store. Each promise resolves when its record is durable. */
export class RunRecords implements StoreJournal {
  readonly #db: Kysely<StoreSchema>;
  readonly #guard: StoreGuard;
  readonly #instance: () => string;
  /** Runs of this process that have not ended. */
  readonly #active = new Map<string, RunState>();
  /** What is being written of each run: what is tried again must not come after what has followed it. */
  readonly #turns = new Map<string, Promise<void>>();

  /** @param instance the id that this process has at the moment */
  constructor(db: Kysely<StoreSchema>, guard: StoreGuard, instance: () => string) {
    this.#db = db;
    this.#guard = guard;
    this.#instance = instance;
  }

  opened(run: { readonly id: string; readonly job: string; readonly openedAt: Date }): Promise<void> {
    const { id, job, openedAt } = run;
    return this.#inTurn(id, async () => {
      await this.#guard.write(() =>
        this.#db
          .insertInto('runs')
          .values({
            id,
            instance: this.#instance(),
            job,
            state: 'planning',
            opened_at: openedAt.toISOString(),
          })
          // Written twice when the answer to the first time was lost.
          .onConflict((conflict) => conflict.column('id').doNothing())
          .execute(),
      );
      this.#active.set(id, 'planning');
    });
  }

  state(runId: string, state: RunState): Promise<void> {
    return this.#inTurn(runId, async () => {
      if (isActiveState(state)) this.#active.set(runId, state);
      const columns =
        state === 'running' ? { state, started_at: this.#guard.now().toISOString() } : { state };
      await this.#guard.write(() =>
        this.#db.updateTable('runs').set(columns).where('id', '=', runId).execute(),
      );
    });
  }

  async stage(runId: string, text: string): Promise<void> {
    await this.#guard.once(() =>
      this.#db.updateTable('runs').set({ stage: text }).where('id', '=', runId).execute(),
    );
  }

  finished(result: RunResult): Promise<void> {
    return this.#inTurn(result.runId, async () => {
      this.#active.delete(result.runId);
      await this.#guard.write(() => this.#db.transaction().execute((tx) => recordResult(tx, result)));
    });
  }

  /** Others have taken this process for dead, and have failed its runs: they go on, under its new id. */
  async takeBack(): Promise<void> {
    for (const id of [...this.#active.keys()]) await this.#inTurn(id, () => this.#takeBackRun(id));
  }

  async #takeBackRun(id: string): Promise<void> {
    const state = this.#active.get(id);
    // It has ended meanwhile.
    if (state === undefined) return;
    await this.#db
      .updateTable('runs')
      .set({ instance: this.#instance(), state, finished_at: null, error_code: null, error_message: null })
      .where('id', '=', id)
      .where('state', 'in', [...ACTIVE_STATES, 'failed'])
      .execute();
  }

  #inTurn(runId: string, write: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(runId) ?? Promise.resolve();
    const done = before.then(write);
    const turn = done
      .catch(() => undefined)
      .then(() => {
        if (this.#turns.get(runId) === turn) this.#turns.delete(runId);
      });
    this.#turns.set(runId, turn);
    return done;
  }
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
  // All of it may have been written already, when the answer to that was lost.
  for (const table of ['artifacts', 'destinations', 'sets'] as const) {
    await tx.deleteFrom(table).where('run', '=', run).execute();
  }
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
