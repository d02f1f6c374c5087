import type { MysqlSession } from './connect.ts';

/** What a database consists of, as far as the user can see it. */
export interface Inventory {
  readonly characterSet: string;
  readonly collation: string;
  /** How many there are of each kind. */
  readonly counts: Readonly<
    Record<'tables' | 'views' | 'sequences' | 'routines' | 'events' | 'triggers', number>
  >;
  /** Tables that no transaction keeps still while they are dumped, with their engines: `log (MyISAM)`. */
  readonly nonTransactional: readonly string[];
  /** Whether it has tables that keep their history (MariaDB). */
  readonly hasHistory: boolean;
  /** Whether it has columns that the server computes. */
  readonly hasGeneratedColumns: boolean;
  /** Events with two semicolons in a row somewhere in their definition. */
  readonly endlessEvents: readonly string[];
}

/** @throws BackupError */
export async function takeInventory(session: MysqlSession, database: string): Promise<Inventory> {
  const ask = (sql: string) => session.query(sql, [database]);
  const [[characterSet, collation] = []] = await ask(
    'SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = ?',
  );
  const tables = await ask(
    'SELECT table_type, COUNT(*) FROM information_schema.tables WHERE table_schema = ? GROUP BY table_type',
  );
  const ofType = (wanted: (type: string) => boolean) =>
    tables.reduce((sum, [type, count]) => (wanted(type ?? '') ? sum + Number(count) : sum), 0);
  const [counts = []] = await session.query(COUNTS, [database, database, database, database]);
  const [routines = 0, events = 0, triggers = 0, generated = 0] = counts.map(Number);
  return {
    characterSet: characterSet ?? '',
    collation: collation ?? '',
    counts: {
      tables: ofType((type) => type !== 'SEQUENCE' && !type.endsWith('VIEW')),
      views: ofType((type) => type.endsWith('VIEW')),
      sequences: ofType((type) => type === 'SEQUENCE'),
      routines,
      events,
      triggers,
    },
    nonTransactional: (await ask(NON_TRANSACTIONAL)).map(([table, engine]) => `${table} (${engine})`),
    hasHistory: ofType((type) => type === 'SYSTEM VERSIONED') > 0,
    hasGeneratedColumns: generated > 0,
    endlessEvents: (await ask(ENDLESS_EVENTS)).map(([name]) => name ?? ''),
  };
}

const NON_TRANSACTIONAL = `
  SELECT t.table_name, t.engine
    FROM information_schema.tables t JOIN information_schema.engines e ON e.engine = t.engine
   WHERE t.table_schema = ? AND e.transactions <> 'YES'
   ORDER BY t.table_name`;

const ENDLESS_EVENTS = `
  SELECT event_name FROM information_schema.events
   WHERE event_schema = ?
     AND (event_definition LIKE '%;;%' OR event_comment LIKE '%;;%' OR event_name LIKE '%;;%'
          OR definer LIKE '%;;%')
   ORDER BY event_name`;

const COUNTS = `
  SELECT (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = ?),
         (SELECT COUNT(*) FROM information_schema.events WHERE event_schema = ?),
         (SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = ?),
         (SELECT COUNT(*) FROM information_schema.columns
           WHERE table_schema = ? AND generation_expression <> '')`;
