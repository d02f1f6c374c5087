import { BackupError, toBackupError } from '../../errors.ts';
import type { DumpProof, RestoreReport } from '../driver.ts';
import type { Archive, ArchiveEntry } from './restore-archive.ts';
import { requireExpected } from './restore-check.ts';
import { beside, clearUp, inDatabase, type RestoreContext } from './restore-context.ts';
import { type DatabasePlan, planOfArchive, planOfScript } from './restore-database.ts';
import type { RestoreInput } from './restore-input.ts';
import { type Choice, type Loaded, loadArchive, loadPlain } from './restore-load.ts';
import { temporaryName } from './restore-names.ts';
import { proveRestored } from './restore-proof.ts';
import {
  databaseNames,
  dropDatabase,
  dropSubscriptions,
  runStatement,
  type Swap,
  swapIn,
} from './restore-swap.ts';

/** What becomes a database of its own. */
export interface Draft {
  /** Undefined: a script. */
  readonly archive: Archive | undefined;
  readonly choice: Choice;
  readonly warnings: readonly string[];
  /** The name that it gets in the end, and what happens to a database that has it. */
  readonly swap: Omit<Swap, 'temporary' | 'finish'>;
}

/**
 * Restores into a new database, which has a temporary name until all is done and checked.
 * @throws BackupError; the new database is gone then, and every other as it was
 */
export async function restoreNew(
  context: RestoreContext,
  input: RestoreInput,
  draft: Draft,
): Promise<Omit<RestoreReport, 'target'>> {
  const temporary = temporaryName(draft.swap.name);
  try {
    return await fillAndSwap(context, input, draft, temporary);
  } catch (error) {
    const failure = toBackupError(error);
    const problem = await clearUp(context, async (session, way) => {
      if (!(await databaseNames(session)).includes(temporary)) return;
      await inDatabase(way, temporary, dropSubscriptions);
      await dropDatabase(session, temporary);
    });
    if (problem === undefined) throw failure;
    throw new BackupError(
      failure.code,
      `${failure.message}. The database ${temporary} may be left over, drop it: ${problem}`,
      { transient: failure.transient, cause: failure },
    );
  }
}

async function fillAndSwap(
  context: RestoreContext,
  input: RestoreInput,
  draft: Draft,
  temporary: string,
): Promise<Omit<RestoreReport, 'target'>> {
  const { archive, choice, swap } = draft;
  const plan = await planOf(context, input, archive);
  const major = await beside(context, async (session) => {
    await runStatement(session, plan.create(temporary));
    for (const statement of plan.settings(temporary)) await runStatement(session, statement);
    return session.major;
  });
  const loaded = await load(context, input, draft, temporary, major);
  const restored = archive === undefined ? undefined : chosen(archive, choice, context);
  const proof = await proveRestored(context, temporary, restored, loaded.tables);
  if (swap.name === context.options.database)
    await beside(context, (session) => requireExpected(session, context));
  const { kept, warnings } = await swapIn(context, { ...swap, temporary, finish: plan.finish });
  return {
    ...(kept === undefined ? {} : { safetyCopy: kept }),
    proof: withWarnings(proof, [...draft.warnings, ...plan.warnings, ...loaded.warnings, ...warnings]),
  };
}

async function planOf(
  { options }: RestoreContext,
  input: RestoreInput,
  archive: Archive | undefined,
): Promise<DatabasePlan> {
  if (archive !== undefined) {
    const plan = planOfArchive(archive, options);
    if (options.tables.length === 0) return plan;
    // A database of a few tables is another one, of the same encoding and locale.
    return { create: plan.create, settings: () => [], finish: () => [], warnings: [] };
  }
  return planOfScript((await input.peek(4096)).toString('latin1'));
}

async function load(
  context: RestoreContext,
  input: RestoreInput,
  { archive, choice }: Draft,
  temporary: string,
  serverMajor: number,
): Promise<Loaded> {
  if (archive === undefined) return await loadPlain(context, input, temporary, serverMajor);
  return await loadArchive(context, input, archive, temporary, choice, serverMajor);
}

/** The entries that the tool was told to restore. */
function chosen(
  { entries }: Archive,
  choice: Choice,
  { options }: Pick<RestoreContext, 'options'>,
): readonly ArchiveEntry[] {
  const ids = choice.entries === undefined ? undefined : new Set(choice.entries);
  const listed = ids === undefined ? entries : entries.filter(({ dumpId }) => ids.has(dumpId));
  if (options.content === 'all') return listed;
  const isData = ({ kind }: ArchiveEntry) => kind.endsWith(' DATA') || kind === 'SEQUENCE SET';
  return listed.filter((entry) => isData(entry) === (options.content === 'data'));
}

function withWarnings(proof: Omit<DumpProof, 'warnings'>, warnings: readonly string[]): DumpProof {
  return { ...proof, warnings };
}
