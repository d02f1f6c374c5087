import type { ByteStream } from '../../bytes/stream.ts';
import { toBackupError } from '../../errors.ts';
import type { RestoreReport } from '../driver.ts';
import type { Archive, ArchiveEntry } from './restore-archive.ts';
import { clearUp, inDatabase, type RestoreContext } from './restore-context.ts';
import { copyDatabase } from './restore-copy.ts';
import { emptyTables, requireReferences } from './restore-data.ts';
import type { RestoreInput } from './restore-input.ts';
import { type Choice, loadScript, prepare } from './restore-load.ts';
import { scriptOf, withoutTransactionTimeout } from './restore-script.ts';
import { type Selection, selectTables } from './restore-selection.ts';
import { dropDatabase } from './restore-swap.ts';
import { pgRestore, setsTooMuch } from './restore-tools.ts';

/**
 * Replaces a part of a database: its schema, its data, or some tables. All of it is one transaction, which is
 * committed when every byte of the dump has come and every statement has succeeded.
 * @throws BackupError; then the database is as it was
 */
export async function restoreInto(
  context: RestoreContext,
  input: RestoreInput,
  archive: Archive,
): Promise<Omit<RestoreReport, 'target'>> {
  const { options } = context;
  const selection = options.tables.length === 0 ? undefined : selectTables(archive, options.tables, false);
  const kept = options.safetyCopy ? await copyDatabase(context) : undefined;
  try {
    const { warnings, tables } = await load(context, input, archive, selection);
    return {
      ...(kept === undefined ? {} : { safetyCopy: kept }),
      proof: {
        statement: `${options.content} of ${tables} tables restored in one transaction`,
        facts: { tables },
        warnings: [...(selection?.warnings ?? []), ...warnings],
      },
    };
  } catch (error) {
    // Nothing has changed, so that nobody needs the copy.
    if (kept !== undefined) await clearUp(context, (session) => dropDatabase(session, kept));
    throw toBackupError(error);
  }
}

async function load(
  context: RestoreContext,
  input: RestoreInput,
  archive: Archive,
  selection: Selection | undefined,
) {
  const { options, signal } = context;
  const choice: Choice = {
    args: contentArguments(options.content),
    ...(selection === undefined ? {} : { entries: selection.entries }),
  };
  const { database, content } = options;
  const target = await inDatabase(context, database, async (session) => {
    const [row] = await session.query<{ may: boolean }>(
      session.major >= 15
        ? `SELECT has_parameter_privilege('session_replication_role', 'SET') AS may`
        : `SELECT rolsuper AS may FROM pg_roles WHERE rolname = current_user`,
    );
    return { major: session.major, maySilenceTriggers: row?.may === true };
  });
  const { tool, args, remove } = await prepare(context, archive, choice);
  try {
    const made = scriptOf(await pgRestore(context, tool, undefined, args), input, signal);
    const script = setsTooMuch(tool.major, target.major) ? withoutTransactionTimeout(made) : made;
    const data = content === 'data' ? dataOf(archive, selection) : undefined;
    const whole = data === undefined ? script : around(data, selection === undefined, target, script);
    const { warnings } = await loadScript(context, whole, input, database, ['--single-transaction']);
    const tables = selection?.tables ?? archive.entries.filter(({ kind }) => kind === 'TABLE');
    return { warnings, tables: data?.length ?? tables.length };
  } finally {
    await remove();
  }
}

function contentArguments(content: RestoreContext['options']['content']): string[] {
  const clean = ['--clean', '--if-exists'];
  if (content === 'data') return ['--data-only'];
  return content === 'schema' ? ['--schema-only', ...clean] : clean;
}

/** The tables whose data are put back. Those that an extension made keep the rows that it gave them. */
function dataOf({ entries }: Archive, selection: Selection | undefined): ArchiveEntry[] {
  const chosen = selection === undefined ? undefined : new Set(selection.entries);
  const own = new Set(entries.filter(({ kind }) => kind === 'TABLE').map(nameOf));
  return entries.filter(
    (entry) =>
      entry.kind === 'TABLE DATA' &&
      own.has(nameOf(entry)) &&
      (chosen === undefined || chosen.has(entry.dumpId)),
  );
}

/** Empties the tables before their data come, and compares the references afterwards where nobody did. */
async function* around(
  data: readonly ArchiveEntry[],
  isWhole: boolean,
  { maySilenceTriggers }: { readonly maySilenceTriggers: boolean },
  script: ByteStream,
): AsyncGenerator<Buffer, undefined> {
  yield Buffer.from(emptyTables(data, { maySilenceTriggers, largeObjects: isWhole }));
  yield* script;
  if (maySilenceTriggers) yield Buffer.from(requireReferences(data));
}

function nameOf({ namespace, tag }: ArchiveEntry): string {
  return `${namespace}.${tag}`;
}
