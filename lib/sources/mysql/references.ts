import { BackupError } from '../../errors.ts';
import { type DefinitionSession, quoteName } from './definition-session.ts';

/** One foreign key. */
interface Reference {
  readonly name: string;
  readonly child: string;
  readonly parent: string;
  /** Columns of the child, each with the one of the parent that it refers to. */
  readonly columns: readonly (readonly [string, string])[];
}

/**
 * Compares the rows of tables that were filled without checks with those of the tables that were not: keys
 * between two that were filled are as they were in the dump.
 * @throws BackupError `invalid-config` when a row refers to one that is not there
 */
export async function requireReferences(
  session: DefinitionSession,
  database: string,
  tables: readonly string[],
): Promise<void> {
  for (const { name, child, parent, columns } of await referencesAcross(session, database, tables)) {
    const filled = columns.map(([column]) => `c.${quoteName(column)} IS NOT NULL`);
    const same = columns.map(([column, other]) => `p.${quoteName(other)} = c.${quoteName(column)}`);
    const [lost] = await session.rows(
      `SELECT 1 FROM ${child} c WHERE ${filled.join(' AND ')}
        AND NOT EXISTS (SELECT 1 FROM ${parent} p WHERE ${same.join(' AND ')}) LIMIT 1`,
    );
    if (lost === undefined) continue;
    throw new BackupError(
      'invalid-config',
      `Rows of ${child} would refer to rows of ${parent} that are not there (foreign key ${name}): choose both tables, or restore the whole database`,
    );
  }
}

async function referencesAcross(
  session: DefinitionSession,
  database: string,
  tables: readonly string[],
): Promise<Reference[]> {
  const rows = await session.rows(
    `SELECT TABLE_SCHEMA, TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, CONSTRAINT_NAME,
            COLUMN_NAME, REFERENCED_COLUMN_NAME
       FROM information_schema.KEY_COLUMN_USAGE
      WHERE REFERENCED_TABLE_NAME IS NOT NULL AND (TABLE_SCHEMA = ? OR REFERENCED_TABLE_SCHEMA = ?)
      ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION`,
    [database, database],
  );
  const isFilled = (schema: string, table: string) => schema === database && tables.includes(table);
  const found = new Map<string, Reference>();
  for (const row of rows) {
    const [schema = '', table = '', parentSchema = '', parentTable = '', name = '', column = '', other = ''] =
      row.map((cell) => cell ?? '');
    if (isFilled(schema, table) === isFilled(parentSchema, parentTable)) continue;
    const child = `${quoteName(schema)}.${quoteName(table)}`;
    const key = `${child} ${name}`;
    const columns = [...(found.get(key)?.columns ?? []), [column, other] as const];
    const parent = `${quoteName(parentSchema)}.${quoteName(parentTable)}`;
    found.set(key, { name, child, parent, columns });
  }
  return [...found.values()];
}
