import type { DefinitionSession } from './definition-session.ts';
import type { ObjectKind } from './restore-statement.ts';

/** What a database has. */
export interface DatabaseObjects {
  /** Everything that RENAME TABLE moves: tables and sequences. */
  readonly tables: readonly string[];
  /** Names by kind. */
  readonly names: ReadonlyMap<ObjectKind, readonly string[]>;
}

const QUERY = `
  SELECT CASE TABLE_TYPE WHEN 'VIEW' THEN 'view' WHEN 'SEQUENCE' THEN 'sequence' ELSE 'table' END, TABLE_NAME
    FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?
  UNION ALL SELECT 'trigger', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?
  UNION ALL SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?
  UNION ALL SELECT 'event', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?`;

/** @throws BackupError */
export async function listObjects(session: DefinitionSession, database: string): Promise<DatabaseObjects> {
  const rows = await session.rows(QUERY, [database, database, database, database]);
  const names = new Map<ObjectKind, string[]>();
  for (const [kind, name] of rows) {
    const known = names.get(kind as ObjectKind) ?? [];
    names.set(kind as ObjectKind, known);
    known.push(name ?? '');
  }
  return { tables: [...(names.get('table') ?? []), ...(names.get('sequence') ?? [])], names };
}
