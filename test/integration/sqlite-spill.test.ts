import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import type { Dump } from '../../lib/sources/driver.ts';
import { checkInvariants, compareDatabases, createDatabase, Writer } from '../fixtures/sqlite-database.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { OtherProcess } from '../support/sqlite-connection.ts';
import { startDump, writeTo } from '../support/sqlite-dump.ts';
import { SqliteFolder } from '../support/sqlite-folder.ts';

/** One MiB of log is soon written. */
const SETTINGS = { walGrowthLimit: 1 };

describe('a streamed SQLite database whose consumer is slow', () => {
  let folder: SqliteFolder;

  beforeEach(async () => {
    folder = await SqliteFolder.create();
  });
  afterEach(async () => {
    assert.deepEqual(await folder.spooled(), [], 'a spool was left behind');
    await folder.remove();
  });

  it('lets go of the log when it has grown, and still is the moment at which it began', async () => {
    const path = folder.database('shop.db', { megabytes: 25 });
    createDatabase(folder.file('before.db'), { megabytes: 25 });
    const dump = await startDump(folder, path, SETTINGS);
    const first = await firstChunk(dump);
    const other = await OtherProcess.open(path, 'UPDATE documents SET body = upper(body)');
    await until(
      async () => (await other.run('PRAGMA busy_timeout = 1')) === 'ok' && (await emptiesLog(other, path)),
    );
    await writeTo(folder.file('copy.db'), rest(dump, first));
    const proof = await dump.proof;
    assert.equal(proof.facts.method, 'spool');
    assert.deepEqual(proof.warnings, []);
    await other.kill();
    compareDatabases(folder.file('before.db'), folder.file('copy.db'));
  });

  it('is consistent while a writer goes on', async () => {
    const path = folder.database('shop.db', { megabytes: 12 });
    const writer = await Writer.start(path);
    const dump = await startDump(folder, path, SETTINGS);
    const first = await firstChunk(dump);
    const before = (await stat(`${path}-wal`)).size;
    await until(async () => (await stat(`${path}-wal`)).size > before + 2 * 1024 * 1024);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await writeTo(folder.file('copy.db'), rest(dump, first));
    assert.equal((await dump.proof).facts.method, 'spool');
    assert.ok((await writer.stop()) > 10);
    checkInvariants(folder.file('copy.db'));
  });

  it('keeps the log and warns when the spool folder has no room for the rest', async function () {
    const disk = await mountSmallDisk(this, 'size=40m');
    try {
      const path = folder.database('shop.db', { megabytes: 25 });
      createDatabase(folder.file('before.db'), { megabytes: 25 });
      const dump = await startDump(folder, path, { ...SETTINGS, spoolDirectory: disk.path });
      const first = await firstChunk(dump);
      const other = await OtherProcess.open(path, 'UPDATE documents SET body = upper(body)');
      await new Promise((resolve) => setTimeout(resolve, 1000));
      assert.equal(await emptiesLog(other, path), false);
      await writeTo(folder.file('copy.db'), rest(dump, first));
      const proof = await dump.proof;
      assert.equal(proof.facts.method, 'direct');
      assert.match(proof.warnings.join(), /grew past its limit.*bytes free/);
      await other.kill();
      compareDatabases(folder.file('before.db'), folder.file('copy.db'));
    } finally {
      await disk.unmount();
    }
  });
});

interface Begun {
  readonly chunk: Buffer;
  readonly iterator: AsyncIterator<Buffer>;
}

/** Takes one chunk; what comes after must wait. */
async function firstChunk(dump: Dump): Promise<Begun> {
  const iterator = dump.stream[Symbol.asyncIterator]();
  const first = await iterator.next();
  assert.ok(first.done !== true);
  return { chunk: first.value, iterator };
}

function rest(dump: Dump, { chunk, iterator }: Begun): Dump {
  async function* stream(): AsyncGenerator<Buffer> {
    yield chunk;
    yield* { [Symbol.asyncIterator]: () => iterator };
  }
  return { ...dump, stream: stream() };
}

/** True when no reader is in the way of the log any more. */
async function emptiesLog(other: OtherProcess, path: string): Promise<boolean> {
  await other.run('PRAGMA wal_checkpoint(TRUNCATE)');
  return (await stat(`${path}-wal`)).size === 0;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `it did not come true in time: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
