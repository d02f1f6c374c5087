/** A connection that is in a transaction, for libraries that take part in it. */
export interface SqlConnection {
  executeSql(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}
