import type { Generated, Kysely } from 'kysely';
import type { VerifyLevel } from '../backupset/verify-levels.ts';
import { columnTypes } from './column-types.ts';
import type { StoreSchema } from './schema.ts';
import { storeError } from './store-error.ts';

/** Verifications that are kept of each job. */
const KEPT = 1000;
/** Most of them in one answer. */
const MOST = 1000;

/** That a stored set was looked at, and came to a verdict. */
export interface VerificationTable {
  id: Generated<number>;
  at: string;
  job: string;
  /** The run that made the set, which the history need not know. */
  run: string;
  storage: string;
  /** Folder of the set below the storage's root. */
  path: string;
  level: VerifyLevel;
  ok: 0 | 1;
  message: string | null;
}

export interface RecordedVerification {
  /** ISO 8601. */
  readonly at: string;
  readonly job: string;
  /** Id of the run that made the set. */
  readonly run: string;
  /** For people: `file:///backups`. */
  readonly storage: string;
  readonly path: string;
  readonly level: VerifyLevel;
  readonly ok: boolean;
  /** What did not hold, or what was looked at. */
  readonly message: string | null;
}

export interface VerificationQuery {
  readonly job?: string;
  readonly run?: string;
  /** The newest so many; 1000 when absent or more. */
  readonly limit?: number;
}

/** What the history remembers of verifications. What counts stands beside the sets. */
export interface Verifications {
  /** @throws BackupError when it cannot be recorded */
  record(verification: RecordedVerification): Promise<void>;
  /** Newest first. */
  list(query?: VerificationQuery): Promise<RecordedVerification[]>;
}

/** The table of verifications. */
export async function createVerificationTable(db: Kysely<unknown>): Promise<void> {
  const { bigint, numbered } = columnTypes(db);
  await db.schema
    .createTable('verifications')
    .addColumn('id', bigint, numbered)
    .addColumn('at', 'text', (column) => column.notNull())
    .addColumn('job', 'text', (column) => column.notNull())
    .addColumn('run', 'text', (column) => column.notNull())
    .addColumn('storage', 'text', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('level', 'text', (column) => column.notNull())
    .addColumn('ok', 'integer', (column) => column.notNull())
    .addColumn('message', 'text')
    .execute();
  await db.schema.createIndex('verifications_by_job').on('verifications').columns(['job', 'id']).execute();
  await db.schema.createIndex('verifications_by_run').on('verifications').column('run').execute();
}

/** The verifications in the store `where`. */
export function createVerifications(db: Kysely<StoreSchema>, where: string): Verifications {
  return {
    async record(verification) {
      try {
        await insertVerification(db, verification);
      } catch (thrown) {
        throw storeError(thrown, where);
      }
    },
    async list(query = {}) {
      try {
        return await queryVerifications(db, query);
      } catch (thrown) {
        throw storeError(thrown, where);
      }
    },
  };
}

/** Newest first. */
export async function queryVerifications(
  db: Kysely<StoreSchema>,
  { job, run, limit = MOST }: VerificationQuery,
): Promise<RecordedVerification[]> {
  let query = db.selectFrom('verifications').selectAll();
  if (job !== undefined) query = query.where('job', '=', job);
  if (run !== undefined) query = query.where('run', '=', run);
  const rows = await query.orderBy('id', 'desc').limit(Math.min(limit, MOST)).execute();
  return rows.map(({ id: _id, ok, ...row }) => ({ ...row, ok: ok === 1 }));
}

async function insertVerification(
  db: Kysely<StoreSchema>,
  { ok, ...verification }: RecordedVerification,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto('verifications')
      .values({ ...verification, ok: ok ? 1 : 0 })
      .execute();
    const last = await tx
      .selectFrom('verifications')
      .select('id')
      .where('job', '=', verification.job)
      .orderBy('id', 'desc')
      .offset(KEPT)
      .limit(1)
      .executeTakeFirst();
    if (last === undefined) return;
    await tx
      .deleteFrom('verifications')
      .where('job', '=', verification.job)
      .where('id', '<=', last.id)
      .execute();
  });
}
