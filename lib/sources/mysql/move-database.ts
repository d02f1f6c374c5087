import { BackupError, toBackupError } from '../../errors.ts';
import { type DatabaseObjects, listObjects } from './database-objects.ts';
import { type DefinitionSession, quoteName } from './definition-session.ts';
import {
  collationOf,
  createPrograms,
  dropPrograms,
  type FailedProgram,
  type Program,
  readPrograms,
  withoutDatabase,
} from './programs.ts';
import { adoptSequences } from './sequence-defaults.ts';

export interface DatabaseSwap {
  /** The complete restored database; gone afterwards. */
  readonly restored: string;
  /** The name that its content gets. */
  readonly target: string;
  /** Whether a database has that name now. */
  readonly exists: boolean;
  /** The name that the content gets which is there now. */
  readonly aside: string;
  /** Only these tables and views of the restored database; undefined: everything. */
  readonly only?: ReadonlySet<string>;
}

/**
 * Lets a restored database take the place of another one. MySQL and MariaDB cannot rename a database, so
 * - tables move, of both databases in one RENAME TABLE: at no moment is a table missing, and foreign keys,
 *   partitions and rows go along untouched;
 * - routines, views, triggers and events do not move: they are made again by their own definitions, under
 *   their own definer, sql_mode, character sets and time zone. Triggers hinder a move, so they go first;
 * - the defaults of columns that use sequences are told where the sequences are now.
 * What was there is whole under its new name afterwards. When a step fails, those before it are undone.
 * @returns warnings
 * @throws BackupError; when undoing failed too, it says what lies where
 */
export async function swapDatabases(session: DefinitionSession, swap: DatabaseSwap): Promise<string[]> {
  const steps = new Steps();
  try {
    return await takePlace(session, swap, steps);
  } catch (error) {
    const failure = toBackupError(error);
    await steps.undo().catch(async (undoing: unknown) => {
      throw new BackupError(
        failure.code,
        `${failure.message}. Undoing what was done failed too: ${toBackupError(undoing).message}. ${await whatLiesWhere(session, swap)}`,
        { cause: failure },
      );
    });
    throw failure;
  }
}

async function takePlace(session: DefinitionSession, swap: DatabaseSwap, steps: Steps): Promise<string[]> {
  const { restored, target, aside, exists } = swap;
  const all = (await readPrograms(session, restored)).map((program) => withoutDatabase(program, restored));
  const wanted = chosen(all, swap.only);
  const coming = (await listObjects(session, restored)).tables.filter((name) => isWanted(name, swap.only));
  const collation = await collationOf(session, restored);
  const old = exists ? await readOld(session, target) : undefined;
  await requireNoForeignKeys(session, restored, target, new Set(coming));

  const place = exists ? aside : target;
  await steps.do(
    () => session.run(`CREATE DATABASE ${quoteName(place)} COLLATE ${old?.collation ?? collation}`),
    () => dropEmpty(session, place),
  );
  await dropPrograms(session, restored, wanted.filter(isTrigger));
  if (old !== undefined) {
    steps.onUndo(() => remake(session, target, old.programs));
    await dropPrograms(session, target, old.programs.filter(isTrigger));
  }

  const leaving = old?.objects.tables ?? [];
  const back = [...moves(coming, target, restored), ...moves(leaving, aside, target)];
  // In reverse: first the tables return, then their defaults are told.
  if (leaving.length > 0) steps.onUndo(() => adoptSequences(session, target, aside));
  await steps.do(
    () => rename(session, [...moves(leaving, target, aside), ...moves(coming, restored, target)]),
    () => rename(session, back),
  );
  if (old !== undefined) {
    await dropPrograms(session, target, old.programs);
    await steps.do(
      () => session.run(`ALTER DATABASE ${quoteName(target)} COLLATE ${collation}`),
      () => session.run(`ALTER DATABASE ${quoteName(target)} COLLATE ${old.collation}`),
    );
  }
  await adoptSequences(session, target, restored);
  steps.onUndo(() => dropPrograms(session, target, wanted));
  requireMade(await createPrograms(session, target, wanted));
  const lost = old === undefined ? [] : await keepOld(session, swap, old);
  if (swap.only === undefined) await dropEmpty(session, restored);
  else await session.run(`DROP DATABASE ${quoteName(restored)}`);
  return lost;
}

interface OldDatabase {
  readonly objects: DatabaseObjects;
  readonly programs: readonly Program[];
  readonly collation: string;
}

async function readOld(session: DefinitionSession, name: string): Promise<OldDatabase> {
  return {
    objects: await listObjects(session, name),
    programs: await readPrograms(session, name),
    collation: await collationOf(session, name),
  };
}

/** Some may be gone, some not. */
async function remake(
  session: DefinitionSession,
  database: string,
  programs: readonly Program[],
): Promise<void> {
  await dropPrograms(session, database, programs);
  requireMade(await createPrograms(session, database, programs));
}

/** The previous content is whole under its new name, but for views that did not work before either. */
async function keepOld(session: DefinitionSession, swap: DatabaseSwap, old: OldDatabase): Promise<string[]> {
  await adoptSequences(session, swap.aside, swap.target);
  const failed = await createPrograms(session, swap.aside, old.programs);
  requireMade(failed.filter(({ program }) => program.kind !== 'view'));
  return failed.map(
    ({ program, error }) =>
      `The view ${program.name} of the previous ${swap.target} does not work, it is not in ${swap.aside}: ${error.message}`,
  );
}

function requireMade(failed: readonly FailedProgram[]): void {
  const [first] = failed;
  if (first === undefined) return;
  const { program, error } = first;
  throw new BackupError(
    error.code,
    `The ${program.kind} ${program.name} cannot be made under its final name: ${error.message}`,
    { cause: error },
  );
}

/** A foreign key of another database would follow the table that moves away, unnoticed. */
async function requireNoForeignKeys(
  session: DefinitionSession,
  restored: string,
  target: string,
  coming: ReadonlySet<string>,
): Promise<void> {
  const keys = await session.rows(
    `SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME
     FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA IN (?, ?)`,
    [restored, target],
  );
  for (const [schema, table, constraint, to, referenced] of keys) {
    const stays = schema === restored && !coming.has(table ?? '');
    if (stays) continue;
    if (schema === restored && !coming.has(referenced ?? '')) {
      throw new BackupError(
        'invalid-config',
        `The table ${table} has a foreign key to ${referenced}: choose that table too`,
      );
    }
    if (schema === to) continue;
    throw new BackupError(
      'invalid-config',
      `The foreign key ${constraint} of ${schema}.${table} leads to ${to}.${referenced}, which is to be replaced: drop it first, or restore under another name`,
    );
  }
}

function isTrigger({ kind }: Program): boolean {
  return kind === 'trigger';
}

function isWanted(name: string, only: ReadonlySet<string> | undefined): boolean {
  return only === undefined || only.has(name);
}

/** With chosen tables come their triggers, and chosen views. */
function chosen(programs: readonly Program[], only: ReadonlySet<string> | undefined): Program[] {
  if (only === undefined) return [...programs];
  return programs.filter(({ kind, name, table }) =>
    kind === 'view' ? only.has(name) : table !== undefined && only.has(table),
  );
}

function moves(tables: readonly string[], from: string, to: string): string[] {
  return tables.map((name) => `${quoteName(from)}.${quoteName(name)} TO ${quoteName(to)}.${quoteName(name)}`);
}

/** @throws BackupError when it has tables after all */
async function dropEmpty(session: DefinitionSession, database: string): Promise<void> {
  const { tables } = await listObjects(session, database);
  if (tables.length > 0) throw new BackupError('internal', `${database} is not empty`);
  await session.run(`DROP DATABASE ${quoteName(database)}`);
}

/** Of all tables, or none. */
async function rename(session: DefinitionSession, all: readonly string[]): Promise<void> {
  if (all.length > 0) await session.run(`RENAME TABLE ${all.join(', ')}`);
}

async function whatLiesWhere(session: DefinitionSession, swap: DatabaseSwap): Promise<string> {
  const places: string[] = [];
  for (const database of [swap.target, swap.aside, swap.restored]) {
    const tables = await listObjects(session, database).then(
      (objects) => objects.tables,
      () => undefined,
    );
    if (tables === undefined) places.push(`what ${database} has cannot be told`);
    else
      places.push(`${database} has ${tables.length === 0 ? 'no tables' : `the tables ${tables.join(', ')}`}`);
  }
  return `Now ${places.join('; ')}. The previous content was to be in ${swap.aside}, the restored one came as ${swap.restored}`;
}

/** What was done, and how it is undone. */
class Steps {
  readonly #undo: (() => Promise<void>)[] = [];

  async do(step: () => Promise<void>, undo: () => Promise<void>): Promise<void> {
    await step();
    this.#undo.push(undo);
  }

  onUndo(undo: () => Promise<void>): void {
    this.#undo.push(undo);
  }

  /** @throws BackupError of the first step that cannot be undone; the others are */
  async undo(): Promise<void> {
    const failures: unknown[] = [];
    for (const undo of this.#undo.reverse()) await undo().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}
