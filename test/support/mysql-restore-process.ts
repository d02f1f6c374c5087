import { readFile } from 'node:fs/promises';
import { json } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { restoreInto, targetOn } from '../fixtures/mysql-restore-shop.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';

// Usage: mysql-restore-process.ts <dump> <database> <whole|hanging>, and the server's settings as JSON on stdin, since they
// hold a password. Restores the dump; `hanging` gives the half of it and waits.
const [, , file = '', database = '', how = ''] = process.argv;
const settings = (await json(process.stdin)) as TestMysqlServer['settings'];
const dump = await readFile(file);

async function* half(): AsyncGenerator<Buffer> {
  yield dump.subarray(0, dump.length / 2);
  await wait(3_600_000);
}

await restoreInto(targetOn({ settings }, database), how === 'whole' ? dump : half());
