/** A process that stays in the middle of a migration until it is killed: `store-migrating-process.ts <data dir>`. */
import { sql } from 'kysely';
import { MIGRATIONS } from '../../lib/store/migrations.ts';
import { openStore } from '../../lib/store/store.ts';

const stay = {
  up: async (db: Parameters<(typeof MIGRATIONS)[string]['up']>[0]) => {
    await db.schema.alterTable('runs').addColumn('filler', 'text').execute();
    await db.schema.dropTable('schedules').execute();
    // More than SQLite keeps in its memory.
    await sql`UPDATE runs SET filler = hex(randomblob(4000000))`.execute(db);
    process.stdout.write('in the middle\n');
    setInterval(() => undefined, 1000);
    await new Promise(() => undefined);
  },
};

await openStore(process.argv[2] ?? '', { migrations: { ...MIGRATIONS, '9001_stay': stay } });
