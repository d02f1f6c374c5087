import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { checkInvariants, Writer } from '../fixtures/sqlite-database.ts';
import { OtherProcess } from '../support/sqlite-connection.ts';
import { dumpTo } from '../support/sqlite-dump.ts';
import { SqliteFolder } from '../support/sqlite-folder.ts';

describe('a dump of a SQLite database with a rollback journal', function () {
  this.timeout(240_000);
  let folder: SqliteFolder;

  beforeEach(async () => {
    folder = await SqliteFolder.create();
  });
  afterEach(async () => {
    assert.deepEqual(await folder.spooled(), []);
    await folder.remove();
  });

  for (const method of ['auto', 'backup'] as const) {
    it(`is one moment of it, however often writers come between its steps, by ${method}`, async () => {
      const path = folder.database('shop.db', { journalMode: 'delete', pageSize: 1024 });
      const writers = [
        await Writer.start(path, { seed: 1, pauseMs: 4 }),
        await Writer.start(path, { seed: 2, pauseMs: 9 }),
      ];
      try {
        for (let round = 0; round < 8; round++) {
          await dumpTo(folder.file('copy.db'), folder, path, { method, pagesPerStep: 5 + 20 * round });
          checkInvariants(folder.file('copy.db'));
        }
      } finally {
        for (const writer of writers) assert.ok((await writer.stop()) > 8, 'the writer had no turn');
      }
    });
  }

  it('is its file, byte for byte', async () => {
    const path = folder.database('shop.db', { journalMode: 'persist' });
    for (const pagesPerStep of [1, 100, 100_000]) {
      await dumpTo(folder.file('copy.db'), folder, path, { pagesPerStep });
      assert.deepEqual(await readFile(folder.file('copy.db')), await readFile(path));
    }
  });

  it('leaves out what a transaction that is under way has changed', async () => {
    const path = folder.database('shop.db', { journalMode: 'delete' });
    const before = await readFile(path);
    const other = await OtherProcess.open(path, 'BEGIN IMMEDIATE', 'UPDATE accounts SET balance = 0');
    await dumpTo(folder.file('copy.db'), folder, path);
    assert.deepEqual(await readFile(folder.file('copy.db')), before);
    await other.kill();
  });
});
