import { CompiledQuery, type Kysely, type Transaction } from 'kysely';
import type { HandOver } from '../schedule/scheduler.ts';
import { claimFire } from './schedules.ts';
import type { StoreSchema } from './schema.ts';
import type { SqlConnection } from './sql-connection.ts';

/**
 * Records that every fire of a schedule up to `at` is dealt with, and hands it to others in the same transaction: it is
 * neither lost nor fired twice when this process dies in between.
 * @param offer false when an earlier fire is in the way
 */
export async function handOverFire(
  db: Kysely<StoreSchema>,
  node: string,
  at: number,
  offer: (connection: SqlConnection) => Promise<boolean>,
): Promise<HandOver> {
  return await db.transaction().execute(async (tx) => {
    if (!(await claimFire(tx, node, at))) return 'others';
    return (await offer(connectionOf(tx))) ? 'handed' : 'busy';
  });
}

function connectionOf(tx: Transaction<StoreSchema>): SqlConnection {
  return {
    async executeSql(text, values = []) {
      const { rows } = await tx.executeQuery(CompiledQuery.raw(text, values));
      return { rows: [...rows] };
    },
  };
}
