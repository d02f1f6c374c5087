import type { DefinitionSession } from './definition-session.ts';

interface Client {
  readonly id: number;
  /** The database that it uses. */
  readonly database: string | null;
}

/**
 * Who is connected to a server.
 *
 * Not by information_schema.PROCESSLIST: MySQL 9 ends a query of it with an error as long as any client's statement
 * holds a character beyond U+FFFF.
 */
export async function clientsOf(session: DefinitionSession): Promise<Client[]> {
  const rows = await session.rows('SHOW PROCESSLIST');
  return rows.map(([id, , , database]) => ({ id: Number(id), database: database ?? null }));
}

/** Ends what is connected to a database: a server goes on with a statement whose client is gone. */
export async function endClients(session: DefinitionSession, database: string): Promise<void> {
  for (const client of await clientsOf(session)) {
    if (client.database !== database) continue;
    // It may have ended meanwhile.
    await session.run(`KILL ${client.id}`).catch(() => undefined);
  }
}
