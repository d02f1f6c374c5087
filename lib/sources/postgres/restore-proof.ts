import { BackupError } from '../../errors.ts';
import type { DumpProof, TableRows } from '../driver.ts';
import type { PostgresSession } from './connect.ts';
import type { ArchiveEntry } from './restore-archive.ts';
import { inDatabase, type RestoreContext } from './restore-context.ts';
import { quoteIdentifier } from './restore-sql.ts';

/** Rows are counted again in a database that is no larger, in bytes: that takes a few seconds. */
const COUNTED_BYTES = 2 * 1024 ** 3;
/** And of no more tables than this. */
const COUNTED_TABLES = 5_000;
/** Names that an error shows. */
const SHOWN = 10;

/** What an archive calls the relations that must be there afterwards. */
const RELATIONS = ['TABLE', 'FOREIGN TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SEQUENCE', 'INDEX'];

interface Found {
  readonly tables: number;
  readonly bytes: string;
}

/**
 * Looks into a restored database: every table, view, sequence and index of the archive is there, and every
 * table has the number of rows that were dumped, as far as that is known and cheap to count.
 * @param entries what was restored of the archive; undefined when the dump is a script
 * @param tables the rows that the dump has of each table, where they could be counted
 * @throws BackupError `incomplete` that names what is missing
 */
export async function proveRestored(
  context: RestoreContext,
  database: string,
  entries: readonly ArchiveEntry[] | undefined,
  tables: readonly TableRows[],
): Promise<Omit<DumpProof, 'warnings'>> {
  return await inDatabase(context, database, async (session) => {
    await requireRelations(session, entries ?? []);
    const [found = { tables: 0, bytes: '0' }] = await session.query<Found>(
      `SELECT (SELECT count(*)::integer FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
                  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'
                                                            AND d.classid = 'pg_class'::regclass)) AS tables,
              pg_database_size(current_database())::text AS bytes`,
    );
    const bytes = Number(found.bytes);
    const names = namesWithData(entries ?? []);
    const isCheap = bytes <= COUNTED_BYTES && names.length <= COUNTED_TABLES;
    const rows = isCheap ? await requireRows(session, names, tables) : undefined;
    const counted = rows === undefined ? '' : `, ${rows} rows counted`;
    const objects = entries === undefined ? 'whole script' : `${entries.length} entries`;
    return {
      statement: `${objects} restored, ${found.tables} tables${counted}`,
      facts: {
        tables: found.tables,
        bytes,
        ...(entries === undefined ? {} : { entries: entries.length }),
        ...(rows === undefined ? {} : { rows }),
      },
    };
  });
}

/** What an archive names in full, as one text: `public.orders`. */
function fullName({ namespace, tag }: ArchiveEntry): string {
  return `${namespace}.${tag}`;
}

async function requireRelations(session: PostgresSession, entries: readonly ArchiveEntry[]): Promise<void> {
  const wanted = entries.filter(({ kind }) => RELATIONS.includes(kind));
  const rows = await session.query<{ name: string }>(
    `SELECT wanted.name FROM unnest($1::text[]) AS wanted(name)
     EXCEPT
     SELECT nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace`,
    [wanted.map(fullName)],
  );
  if (rows.length === 0) return;
  const names = rows.slice(0, SHOWN).map(({ name }) => name);
  throw new BackupError(
    'incomplete',
    `${rows.length} objects of the dump are missing after the restore, such as ${names.join(', ')}`,
  );
}

/** The tables whose rows the archive holds, each with its schema. */
function namesWithData(entries: readonly ArchiveEntry[]): ArchiveEntry[] {
  return entries.filter(({ kind }) => kind === 'TABLE DATA');
}

/** @returns the number of all rows, or undefined when they may not all be seen */
async function requireRows(
  session: PostgresSession,
  entries: readonly ArchiveEntry[],
  tables: readonly TableRows[],
): Promise<number | undefined> {
  if (entries.length === 0) return undefined;
  const dumped = new Map(tables.map(({ name, rows }) => [name, rows]));
  const filled = await tablesOfExtensions(session);
  // An error where row security would hide rows.
  await session.query('SET row_security = off');
  let total = 0;
  for (const table of entries) {
    const relation = `${quoteIdentifier(table.namespace)}.${quoteIdentifier(table.tag)}`;
    const counted = await session
      .query<{ rows: string }>(`SELECT count(*)::text AS rows FROM ONLY ${relation}`)
      .catch(() => undefined);
    if (counted === undefined) return undefined;
    const rows = Number(counted[0]?.rows);
    const expected = dumped.get(fullName(table));
    if (expected !== undefined && expected !== rows && !filled.has(fullName(table))) {
      throw new BackupError(
        'incomplete',
        `${fullName(table)} has ${rows} rows after the restore, the dump has ${expected}`,
      );
    }
    total += rows;
  }
  return total;
}

/** Tables that come with an extension: a dump has only the rows that were added to those which it fills itself. */
export async function tablesOfExtensions(session: PostgresSession): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ name: string }>(
    `SELECT nspname || '.' || relname AS name
       FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'`,
  );
  return new Set(rows.map(({ name }) => name));
}
