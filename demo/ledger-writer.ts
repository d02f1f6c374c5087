import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import Database from 'better-sqlite3';

/*
 * The application at work: `node demo/ledger-writer.ts <database>`. Books ledger entries and changes sessions
 * in small transactions until it gets SIGTERM, then says how many entries there are.
 */
const [, , file = ''] = process.argv;
const database = new Database(file, { timeout: 10_000 });
database.pragma('synchronous = NORMAL');
let going = true;
process.once('SIGTERM', () => {
  going = false;
});

const lastEntry = database.prepare<[], number>('SELECT coalesce(max(n), 0) FROM ledger').pluck();
const addEntry = database.prepare('INSERT INTO ledger VALUES (?, ?, ?)');
const addToBalance = database.prepare('UPDATE balance SET amount = amount + ?');
const putSession = database.prepare('INSERT OR REPLACE INTO sessions VALUES (?, ?)');

const book = database.transaction(() => {
  const next = (lastEntry.get() ?? 0) + 1;
  for (let n = next; n < next + 5; n++) {
    const amount = ((n * 7919) % 2001) - 1000;
    addEntry.run(n, amount, `entry ${n}`);
    addToBalance.run(amount);
  }
  putSession.run(next % 400, randomBytes(2000));
});

for (let booked = 0; going; booked++) {
  book.immediate();
  if (booked === 20) process.stdout.write('ready\n');
  await wait(2);
}
process.stdout.write(`${lastEntry.get()}\n`);
database.close();
