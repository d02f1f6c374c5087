import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { BackupError } from '../../lib/errors.ts';
import type { Dump } from '../../lib/sources/driver.ts';
import { Feed } from '../../lib/sources/sqlite/feed.ts';
import { childProcesses } from '../support/child-processes.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { drain, dumpTo, type SqliteSettings, startDump } from '../support/sqlite-dump.ts';
import { SqliteFolder } from '../support/sqlite-folder.ts';

const MIB = 1024 * 1024;

describe('a SQLite dump that goes wrong', function () {
  this.timeout(240_000);
  let folder: SqliteFolder;
  let before: number[];
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => {
    unhandled.push(reason);
  };

  beforeEach(async () => {
    folder = await SqliteFolder.create();
    before = childProcesses();
    unhandled.length = 0;
    process.on('unhandledRejection', onUnhandled);
  });
  afterEach(async () => {
    process.off('unhandledRejection', onUnhandled);
    assert.deepEqual(unhandled, []);
    assert.deepEqual(newChildren(), [], 'a child process was left behind');
    assert.deepEqual(await folder.spooled(), [], 'a spool was left behind');
    await folder.remove();
  });

  function newChildren(): number[] {
    return childProcesses().filter((pid) => !before.includes(pid));
  }

  function signalChild(signal: NodeJS.Signals): void {
    const [child, ...more] = newChildren();
    assert.ok(child !== undefined && more.length === 0, 'there must be one child');
    process.kill(child, signal);
  }

  const roads: [string, SqliteSettings][] = [
    ['streamed', {}],
    ['copied', { method: 'backup' }],
  ];
  for (const [road, settings] of roads) {
    describe(`because the process that reads is killed, ${road}`, () => {
      it('before it is ready', async () => {
        const path = folder.database('shop.db', { megabytes: 20 });
        const starting = startDump(folder, path, settings);
        while (newChildren().length === 0) await turn();
        signalChild('SIGKILL');
        await assert.rejects(starting, wasKilled);
      });

      it('before the first byte', async () => {
        const dump = await startDump(folder, folder.database('shop.db', { megabytes: 20 }), settings);
        signalChild('SIGKILL');
        await assert.rejects(drain(dump), wasKilled);
        await assert.rejects(dump.proof, wasKilled);
      });

      it('after 3 MB', async () => {
        const dump = await startDump(folder, folder.database('shop.db', { megabytes: 20 }), settings);
        const reading = eachChunk(dump, (bytes) => {
          if (bytes === 3 * MIB) signalChild('SIGKILL');
        });
        await assert.rejects(Promise.all([reading, dump.proof]), wasKilled);
        await assert.rejects(dump.proof, wasKilled);
        await reading.catch(wasKilled);
      });

      it('and nobody reads on', async () => {
        const dump = await startDump(folder, folder.database('shop.db', { megabytes: 20 }), settings);
        signalChild('SIGKILL');
        await assert.rejects(dump.proof, wasKilled);
        await assert.rejects(drain(dump), wasKilled);
      });
    });

    it(`hangs, ${road}: an abort ends it`, async () => {
      const abort = new AbortController();
      const path = folder.database('shop.db', { megabytes: 20 });
      const dump = await startDump(folder, path, settings, abort.signal);
      signalChild('SIGSTOP');
      setTimeout(() => abort.abort(), 200);
      await assert.rejects(dump.proof, { code: 'aborted' });
      await assert.rejects(drain(dump), { code: 'aborted' });
    });
  }

  it('is not proven by its bytes while the check still runs, and fails with it', async () => {
    const path = folder.database('shop.db', { megabytes: 60 });
    const dump = await startDump(folder, path, { method: 'backup' });
    signalChild('SIGSTOP');
    assert.equal(await drain(dump), dump.expectedBytes);
    const outcome = await Promise.race([dump.proof.then(() => 'proven'), later(300).then(() => 'open')]);
    assert.equal(outcome, 'open');
    signalChild('SIGKILL');
    await assert.rejects(dump.proof, wasKilled);
  });

  describe('because the database is damaged', () => {
    for (const [road, settings] of roads) {
      it(`in a table, ${road}`, async () => {
        const path = folder.database('shop.db', { megabytes: 4 });
        await scribble(path, await rootOf(path, 'orders_by_customer'));
        const dump = await startDump(folder, path, settings);
        await assert.rejects(Promise.all([drain(dump), dump.proof]), {
          code: 'corrupt',
          message: /shop\.db is damaged, quick_check found: .*(page|Page)/,
        });
        await assert.rejects(dump.proof, { code: 'corrupt' });
      });
    }

    it('in a list of free pages', async () => {
      const path = folder.database('shop.db', { megabytes: 4 });
      const database = new Database(path);
      database.exec('DELETE FROM documents');
      database.close();
      const header = await open(path, 'r+');
      await header.write(Buffer.from([0, 0, 0, 1]), 0, 4, 32);
      await header.close();
      const dump = await startDump(folder, path);
      await assert.rejects(Promise.all([drain(dump), dump.proof]), { code: 'corrupt' });
    });
  });

  describe('because the spool disk is full', () => {
    it('from the start: it says so before it copies', async function () {
      const disk = await mountSmallDisk(this, 'size=40m');
      try {
        const path = folder.database('shop.db', { megabytes: 20 });
        await assert.rejects(startDump(folder, path, { method: 'backup', spoolDirectory: disk.path }), {
          code: 'no-space',
          message: /bytes free, but the dump needs \d+ .*set another spool folder/,
        });
      } finally {
        await disk.unmount();
      }
    });

    it('half-way', async function () {
      const disk = await mountSmallDisk(this, 'size=80m');
      try {
        const path = folder.database('shop.db', { megabytes: 40, journalMode: 'delete' });
        const spoolDirectory = disk.path;
        const starting = startDump(folder, path, { method: 'backup', pagesPerStep: 20, spoolDirectory });
        starting.catch(() => {});
        await until(async () => await hasGrown(spoolDirectory));
        await fill(spoolDirectory);
        await assert.rejects(starting, { code: 'no-space', message: /spool folder .* ran full/ });
        assert.deepEqual(newChildren(), []);
      } finally {
        await disk.unmount();
      }
    });

    it('for the few blocks of a stream', async function () {
      const disk = await mountSmallDisk(this, 'size=1m');
      try {
        const path = folder.database('shop.db', { megabytes: 20 });
        await assert.rejects(startDump(folder, path, { spoolDirectory: disk.path }), {
          code: 'no-space',
          message:
            /^The spool folder \S+ has \d+ bytes free, but the dump needs 8388608 there: .*set another/,
        });
      } finally {
        await disk.unmount();
      }
    });

    it('for the few blocks of a stream, half-way', async () => {
      const descriptor = openSync('/dev/full', 'w');
      const source = { read: async () => undefined };
      const feed = new Feed({ descriptor, folder: '/spools/one' }, 4 * MIB, source, () => undefined);
      await assert.rejects(feed.run(), {
        code: 'no-space',
        message: /^The spool folder \/spools cannot be used: ENOSPC/,
      });
      closeSync(descriptor);
    });
  });

  it('does not harm the next one', async () => {
    const path = folder.database('shop.db', { megabytes: 20 });
    for (let attempt = 0; attempt < 3; attempt++) {
      const dump = await startDump(folder, path);
      signalChild('SIGKILL');
      await assert.rejects(dump.proof);
    }
    const proof = await dumpTo(folder.file('copy.db'), folder, path);
    assert.equal(proof.facts.method, 'direct');
  });
});

function wasKilled(error: unknown): boolean {
  assert.ok(error instanceof BackupError);
  assert.equal(error.code, 'incomplete');
  assert.equal(error.transient, true);
  assert.match(error.message, /^The process that reads .*shop\.db was killed \(SIGKILL\) before it was done/);
  return true;
}

/** Reads a dump and tells after each chunk how many bytes have come. */
async function eachChunk(dump: Dump, tell: (bytes: number) => void): Promise<void> {
  let bytes = 0;
  for await (const chunk of dump.stream) {
    bytes += chunk.length;
    tell(bytes);
  }
}

async function rootOf(path: string, name: string): Promise<number> {
  const database = new Database(path, { readonly: true });
  try {
    const root = database.prepare<[string], number>('SELECT rootpage FROM sqlite_schema WHERE name = ?');
    return root.pluck().get(name) ?? 1;
  } finally {
    database.close();
  }
}

async function scribble(path: string, page: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(200, 0xee), 0, 200, (page - 1) * 4096 + 8);
  await file.close();
}

/** True once the copy in a spool folder has more than one MiB. */
async function hasGrown(directory: string): Promise<boolean> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const spool = names.find((name) => name.endsWith('spool.sqlite'));
  if (spool === undefined) return false;
  const found = await stat(join(directory, spool)).catch(() => undefined);
  return (found?.size ?? 0) > MIB;
}

/** Leaves the disk without a free byte. */
async function fill(directory: string): Promise<void> {
  const filler = await open(join(directory, 'filler'), 'w');
  const block = Buffer.alloc(256 * 1024);
  try {
    for (;;) await filler.write(block);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  } finally {
    await filler.close();
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await condition())) assert.ok(Date.now() < end, 'it did not come true in time');
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

async function later(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
