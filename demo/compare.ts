import { type SampleState, STATIC_TABLES } from './sample-database.ts';

export interface Comparison {
  readonly source: SampleState;
  readonly restored: SampleState;
  /** Entries of the source's ledger before the dump began and after it had ended. */
  readonly before: number;
  readonly after: number;
}

/**
 * Says what shows that a restored database is not what the source held at some moment of the dump: the tables
 * that nobody writes to must be the same, and the ledger must end where it was at that moment.
 * @returns nothing when it is
 */
export function differences({ source, restored, before, after }: Comparison): string[] {
  const found: string[] = [];
  if (restored.integrity !== 'ok')
    found.push(`SQLite finds the restored database damaged: ${restored.integrity}`);
  for (const table of STATIC_TABLES) {
    const digest = restored.digests[table];
    if (digest === undefined || digest !== source.digests[table]) {
      found.push(`The table ${table} differs from the source's`);
    }
  }
  if (!restored.consistent) {
    found.push('The restored ledger has a gap, or its sum is not the balance: a torn transaction');
  }
  if (restored.ledger < before || restored.ledger > after) {
    found.push(
      `The restored ledger has ${restored.ledger} entries, the source had ${before} before the dump and ${after} after it`,
    );
  }
  if (after <= before)
    found.push('The writer wrote nothing while the backup ran: this run has shown too little');
  return found;
}
