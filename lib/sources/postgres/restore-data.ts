import type { ArchiveEntry } from './restore-archive.ts';
import { quoteIdentifier, quoteLiteral } from './restore-sql.ts';

/**
 * A script that empties tables, so that their data can be put back. Where it may, it silences triggers for the
 * rest of the session, with them the checks of foreign keys: tables that refer to each other have no order in
 * which they could be filled.
 * @param largeObjects whether the large objects of the database are replaced too
 */
export function emptyTables(
  tables: readonly ArchiveEntry[],
  options: { readonly maySilenceTriggers: boolean; readonly largeObjects: boolean },
): string {
  const { maySilenceTriggers, largeObjects } = options;
  const only = tables.map((table) => `ONLY ${relationOf(table)}`);
  return [
    ...(maySilenceTriggers ? ['SET session_replication_role = replica;'] : []),
    ...(largeObjects
      ? ['DO $$ BEGIN PERFORM pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata; END $$;']
      : []),
    ...(tables.length === 0
      ? []
      : [maySilenceTriggers ? truncateOrDelete(only) : `TRUNCATE ${only.join(', ')};`]),
    '',
  ].join('\n');
}

/** TRUNCATE refuses tables that others refer to, whatever they hold; without triggers DELETE touches no other. */
function truncateOrDelete(only: readonly string[]): string {
  return `DO ${quoteLiteral(`
BEGIN
  TRUNCATE ${only.join(', ')};
EXCEPTION WHEN feature_not_supported THEN
  ${only.map((table) => `DELETE FROM ${table};`).join('\n  ')}
END`)};`;
}

/** A script that fails when a foreign key from or to these tables is not satisfied. */
export function requireReferences(tables: readonly ArchiveEntry[]): string {
  const names = tables.map((table) => `${quoteLiteral(relationOf(table))}::pg_catalog.regclass`);
  return `
SET session_replication_role = origin;
DO ${quoteLiteral(
    `
DECLARE
  fk record;
  pairs text;
  filled text;
  lost boolean;
BEGIN
  FOR fk IN
    SELECT conname, conrelid, confrelid, conkey, confkey, conpfeqop
      FROM pg_catalog.pg_constraint
     WHERE contype = 'f' AND convalidated
       AND (conrelid = ANY (tables_) OR confrelid = ANY (tables_))
  LOOP
    SELECT pg_catalog.string_agg(pg_catalog.format('p.%I OPERATOR(%I.%s) c.%I',
             p.attname, n.nspname, o.oprname, c.attname), ' AND '),
           pg_catalog.string_agg(pg_catalog.format('c.%I IS NOT NULL', c.attname), ' AND ')
      INTO pairs, filled
      FROM ROWS FROM (pg_catalog.unnest(fk.conkey), pg_catalog.unnest(fk.confkey),
                      pg_catalog.unnest(fk.conpfeqop)) AS k(child, parent, operator)
      JOIN pg_catalog.pg_attribute c ON c.attrelid = fk.conrelid AND c.attnum = k.child
      JOIN pg_catalog.pg_attribute p ON p.attrelid = fk.confrelid AND p.attnum = k.parent
      JOIN pg_catalog.pg_operator o ON o.oid = k.operator
      JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace;
    EXECUTE pg_catalog.format(
      'SELECT EXISTS (SELECT FROM %s c WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s))',
      fk.conrelid::pg_catalog.regclass, filled, fk.confrelid::pg_catalog.regclass, pairs) INTO lost;
    IF lost THEN
      RAISE EXCEPTION 'rows of % would refer to rows of % that are not there (foreign key %)',
        fk.conrelid::pg_catalog.regclass, fk.confrelid::pg_catalog.regclass, fk.conname
        USING ERRCODE = 'foreign_key_violation';
    END IF;
  END LOOP;
END`.replaceAll('tables_', `ARRAY[${names.join(', ')}]::pg_catalog.regclass[]`),
  )};
`;
}

function relationOf({ namespace, tag }: ArchiveEntry): string {
  return `${quoteIdentifier(namespace)}.${quoteIdentifier(tag)}`;
}
