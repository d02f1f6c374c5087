import { type ColumnDefinitionBuilder, type Kysely, PostgresAdapter } from 'kysely';

/** What SQLite and PostgreSQL call differently in a table's definition. */
export interface ColumnTypes {
  /** Whole numbers up to 2^53. */
  readonly bigint: 'integer' | 'bigint';
  /** A primary key of type `bigint` that the database numbers. */
  numbered(column: ColumnDefinitionBuilder): ColumnDefinitionBuilder;
}

const SQLITE: ColumnTypes = {
  bigint: 'integer',
  numbered: (column) => column.primaryKey().autoIncrement(),
};

const POSTGRES: ColumnTypes = {
  bigint: 'bigint',
  numbered: (column) => column.primaryKey().generatedAlwaysAsIdentity(),
};

/** Those of the database that a migration works on. */
export function columnTypes(db: Kysely<unknown>): ColumnTypes {
  return db.getExecutor().adapter instanceof PostgresAdapter ? POSTGRES : SQLITE;
}
