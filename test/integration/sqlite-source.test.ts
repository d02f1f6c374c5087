import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { ErrorCode } from '../../lib/errors.ts';
import { createSqliteSource } from '../../lib/sources/sqlite/sqlite-source.ts';
import { checkInvariants, compareDatabases, createDatabase } from '../fixtures/sqlite-database.ts';
import { OtherProcess } from '../support/sqlite-connection.ts';
import { drain, dumpTo, RUNNING, startDump } from '../support/sqlite-dump.ts';
import { SqliteFolder } from '../support/sqlite-folder.ts';

describe('the SQLite source', () => {
  let folder: SqliteFolder;
  const others: OtherProcess[] = [];

  beforeEach(async () => {
    folder = await SqliteFolder.create();
  });
  afterEach(async () => {
    await Promise.all(others.splice(0).map((other) => other.kill()));
    assert.deepEqual(await folder.spooled(), [], 'a spool was left behind');
    await folder.remove();
  });

  async function open(path: string, ...statements: string[]): Promise<OtherProcess> {
    const other = await OtherProcess.open(path, ...statements);
    others.push(other);
    return other;
  }

  describe('refuses what is no database, each with its own words', () => {
    const refusals: [string, ErrorCode, RegExp, (path: string) => Promise<unknown>][] = [
      ['a missing file', 'not-found', /There is no file/, async () => {}],
      ['a folder', 'invalid-config', /is a folder/, (path) => mkdir(path)],
      ['an empty file', 'incomplete', /is empty/, (path) => writeFile(path, '')],
      [
        'another kind of file',
        'corrupt',
        /is not a SQLite database/,
        (path) => writeFile(path, 'x'.repeat(9000)),
      ],
      [
        'an encrypted file',
        'corrupt',
        /is not a SQLite database/,
        (path) => writeFile(path, randomBytes(8192)),
      ],
      [
        'a cut-off header',
        'corrupt',
        /is not a SQLite database/,
        (path) => writeFile(path, 'SQLite format 3\0'),
      ],
      ['a pipe', 'invalid-config', /is not a regular file/, async (path) => execFileSync('mkfifo', [path])],
      ['a dangling link', 'not-found', /There is no file/, (path) => symlink('nowhere', path)],
    ];
    for (const [what, code, message, make] of refusals) {
      it(what, async () => {
        const path = folder.file('wrong.db');
        await make(path);
        await assert.rejects(startDump(folder, path), { name: 'BackupError', code, message });
        await assert.rejects(createSqliteSource({ files: [path] }).probe(RUNNING), { code, message });
      });
    }

    it('a database that another program holds locked', async () => {
      const path = folder.database('locked.db', { journalMode: 'delete' });
      await open(path, 'BEGIN EXCLUSIVE');
      const busy = { code: 'unavailable', transient: true, message: /locked by another program/ };
      await assert.rejects(startDump(folder, path, { busyTimeout: 0 }), busy);
      await assert.rejects(createSqliteSource({ files: [path], busyTimeout: 0 }).probe(RUNNING), busy);
    });

    it('a database in WAL mode that another program has to itself', async () => {
      const path = folder.database('locked.db');
      await open(path, 'PRAGMA locking_mode = EXCLUSIVE', 'UPDATE accounts SET balance = balance');
      await assert.rejects(startDump(folder, path, { busyTimeout: 0 }), {
        code: 'unavailable',
        transient: true,
      });
    });

    it('a damaged schema', async () => {
      const path = folder.database('damaged.db');
      const damaged = new Database(path);
      damaged.unsafeMode();
      damaged.pragma('writable_schema = ON');
      damaged.exec("UPDATE sqlite_schema SET sql = 'CREATE TABLE broken' WHERE name = 'orders'");
      damaged.close();
      await assert.rejects(startDump(folder, path), { code: 'corrupt', message: /damaged/ });
    });
  });

  it('waits for a lock for as long as it was told', async () => {
    const path = folder.database('busy.db', { journalMode: 'delete' });
    const other = await open(path, 'BEGIN EXCLUSIVE');
    const dumping = dumpTo(folder.file('copy.db'), folder, path, { busyTimeout: 30 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(await other.run('COMMIT'), 'ok');
    await dumping;
    compareDatabases(path, folder.file('copy.db'));
  });

  it('dumps the good ones when some of the selected files are bad', async () => {
    const good = folder.database('good.db');
    await writeFile(folder.file('bad.db'), 'not a database');
    const source = createSqliteSource({
      files: [folder.file('*.db'), folder.file('gone')],
      spoolDirectory: folder.spool,
    });
    const databases = await source.listDatabases(RUNNING);
    assert.deepEqual(
      databases.map(({ id, name }) => [id, name]),
      [
        [folder.file('bad.db'), 'bad.db'],
        [good, 'good.db'],
        [folder.file('gone'), 'gone'],
      ],
    );
    const results = await Promise.allSettled(
      databases.map(async (each) => drain(await source.dump(each, RUNNING))),
    );
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled', 'rejected'],
    );
    const probe = await source.probe(RUNNING);
    assert.match(probe.summary, /1 database, /);
    assert.equal(probe.warnings.length, 2);
  });

  describe('knows what it dumped', () => {
    it('streams a database in WAL mode without a temporary copy', async () => {
      const path = folder.database('shop.db');
      const proof = await dumpTo(folder.file('copy.db'), folder, path);
      const { size } = await stat(path);
      assert.match(proof.statement, /^quick_check ok, \d+ pages of 4096 bytes$/);
      assert.deepEqual(proof.warnings, []);
      assert.equal(proof.facts.method, 'direct');
      assert.equal(proof.facts.bytes, size);
      assert.equal(proof.facts.pages, size / 4096);
      assert.equal(proof.facts.userVersion, 7);
      assert.equal(proof.facts.applicationId, 1_145_193_803);
      assert.equal(proof.facts.encoding, 'UTF-8');
      assert.equal(proof.facts.journalMode, 'wal');
      const counts = new Map(proof.tables?.map(({ name, rows }) => [name, rows]));
      assert.equal(counts.get('accounts'), 500);
      assert.equal(counts.get('odd "names" & ünïcode'), 5);
      assert.equal(counts.get('search'), undefined);
    });

    it('copies a database with a rollback journal first', async () => {
      const path = folder.database('shop.db', { journalMode: 'delete' });
      const proof = await dumpTo(folder.file('copy.db'), folder, path);
      assert.equal(proof.facts.method, 'spool');
      assert.equal(proof.facts.journalMode, 'delete');
      compareDatabases(path, folder.file('copy.db'));
    });

    it('does not count rows when it is told not to', async () => {
      const path = folder.database('shop.db');
      const { tables } = await dumpTo(folder.file('copy.db'), folder, path, { countRows: false });
      assert.equal(tables, undefined);
    });

    it('warns of a table that only its own program can check, and dumps it', async () => {
      const path = folder.database('shop.db');
      const database = new Database(path);
      database.unsafeMode();
      database.exec('CREATE TABLE sorted (name TEXT); CREATE INDEX by_name ON sorted (name)');
      database.pragma('writable_schema = ON');
      database.exec(
        "UPDATE sqlite_schema SET sql = 'CREATE TABLE sorted (name TEXT COLLATE icu)' WHERE name = 'sorted'",
      );
      database.close();
      const proof = await dumpTo(folder.file('copy.db'), folder, path);
      assert.deepEqual(proof.warnings, ['Table sorted was not checked: no such collation sequence: icu']);
    });
  });

  describe('dumps every kind of database file', () => {
    for (const pageSize of [512, 65_536]) {
      it(`with pages of ${pageSize} bytes`, async () => {
        const path = folder.database('shop.db', { pageSize });
        await dumpTo(folder.file('copy.db'), folder, path);
        compareDatabases(path, folder.file('copy.db'));
      });
    }

    for (const journalMode of ['truncate', 'persist'] as const) {
      it(`with the journal mode ${journalMode}`, async () => {
        const path = folder.database('shop.db', { journalMode });
        await dumpTo(folder.file('copy.db'), folder, path);
        compareDatabases(path, folder.file('copy.db'));
      });
    }

    it('in UTF-16 with auto-vacuum', async () => {
      const path = folder.file('utf16.db');
      const database = new Database(path);
      database.exec(`PRAGMA encoding = 'UTF-16le'; PRAGMA auto_vacuum = FULL; PRAGMA journal_mode = WAL;
        CREATE TABLE texts (value TEXT); INSERT INTO texts VALUES ('Größe 東京 👩‍👩‍👧'), (char(0, 65, 0))`);
      database.close();
      const proof = await dumpTo(folder.file('copy.db'), folder, path);
      assert.equal(proof.facts.encoding, 'UTF-16le');
      compareDatabases(path, folder.file('copy.db'));
    });

    it('with a single page', async () => {
      const path = folder.file('tiny.db');
      const database = new Database(path);
      database.exec('PRAGMA user_version = 1');
      database.close();
      const proof = await dumpTo(folder.file('copy.db'), folder, path);
      assert.equal(proof.facts.pages, 1);
    });

    it('under a name with spaces, quotes and question marks, through a link', async () => {
      const path = folder.database(`it's "my" db?mode=memory&x=%20#1.db`);
      await symlink(path, folder.file('link.db'));
      await dumpTo(folder.file('copy.db'), folder, folder.file('link.db'));
      compareDatabases(path, folder.file('copy.db'));
    });
  });

  describe('finds what a crashed program left', () => {
    it('takes committed transactions from a log that nobody has open', async () => {
      const path = folder.database('crashed.db');
      const other = await OtherProcess.open(path, 'UPDATE customers SET name = name || name');
      await other.kill();
      assert.ok((await stat(`${path}-wal`)).size > 0);
      const proof = await dumpTo(folder.file('copy.db'), folder, path);
      assert.equal(proof.facts.method, 'direct');
      compareDatabases(path, folder.file('copy.db'));
    });

    it('leaves out a transaction that was not committed', async () => {
      const path = folder.database('crashed.db');
      createDatabase(folder.file('before.db'), { megabytes: 2 });
      const other = await OtherProcess.open(
        path,
        'PRAGMA cache_size = 5',
        'BEGIN',
        'UPDATE documents SET body = 1',
      );
      assert.ok((await stat(`${path}-wal`)).size > 100_000, 'the transaction must have spilled into the log');
      await dumpTo(folder.file('during.db'), folder, path);
      await other.kill();
      await dumpTo(folder.file('after.db'), folder, path);
      compareDatabases(folder.file('before.db'), folder.file('during.db'));
      compareDatabases(folder.file('before.db'), folder.file('after.db'));
    });

    it('rolls back a hot journal and says so', async () => {
      const path = folder.database('crashed.db', { journalMode: 'delete' });
      const other = await OtherProcess.open(
        path,
        'PRAGMA cache_size = 5',
        'BEGIN',
        'UPDATE documents SET body = 1',
      );
      await other.kill();
      assert.ok((await stat(`${path}-journal`)).size > 0, 'the transaction must have reached the file');
      const proof = await dumpTo(folder.file('copy.db'), folder, path);
      assert.match(proof.warnings.join(), /rolled back/);
      checkInvariants(folder.file('copy.db'));
      createDatabase(folder.file('before.db'), { megabytes: 2, journalMode: 'delete' });
      compareDatabases(folder.file('before.db'), folder.file('copy.db'));
    });
  });

  it('never opens a database in its own process, whose other locks would go', async () => {
    const path = folder.database('shared.db', { journalMode: 'delete' });
    const mine = new Database(path);
    mine.exec("BEGIN IMMEDIATE; UPDATE counters SET value = value WHERE name = 'documents'");
    try {
      const source = createSqliteSource({ files: [path], spoolDirectory: folder.spool });
      await source.probe(RUNNING);
      const [database] = await source.listDatabases(RUNNING);
      assert.ok(database !== undefined);
      const dump = await source.dump(database, RUNNING);
      await drain(dump);
      await dump.proof;
      const other = await open(path);
      assert.equal(await other.run('BEGIN IMMEDIATE'), 'SQLITE_BUSY', 'the lock of this process was dropped');
    } finally {
      mine.exec('ROLLBACK');
      mine.close();
    }
  });

  it('lets writers go on while it streams a database in WAL mode', async () => {
    const path = folder.database('shop.db', { megabytes: 12 });
    const dump = await startDump(folder, path);
    const other = await open(path);
    for await (const chunk of dump.stream) {
      assert.ok(chunk.length > 0);
      assert.equal(await other.run('UPDATE accounts SET balance = balance + 1'), 'ok');
    }
    await dump.proof;
  });

  it('lets writers of a rollback journal go on once its copy is made', async () => {
    const path = folder.database('shop.db', { megabytes: 12, journalMode: 'delete' });
    const dump = await startDump(folder, path);
    const other = await open(path, 'UPDATE accounts SET balance = balance + 1');
    await drain(dump);
    await dump.proof;
    assert.equal(await other.run('SELECT min(balance) FROM accounts'), '1001');
  });

  describe('writes its temporary copy', () => {
    const settings = { method: 'backup' } as const;

    it('readable by its own user only, and without a name once bytes flow', async () => {
      const path = folder.database('shop.db', { megabytes: 12 });
      const starting = startDump(folder, path, settings);
      const modes = await modesDuring(starting);
      const dump = await starting;
      assert.deepEqual(await folder.spooled(), []);
      assert.ok(modes.size >= 2, `the copy was not seen: ${[...modes]}`);
      for (const mode of modes) assert.match(mode, /^(folder 700|file 600)$/);
      await drain(dump);
      await dump.proof;
    });

    /** The permissions of everything that was in the spool folder meanwhile. */
    async function modesDuring(work: Promise<unknown>): Promise<Set<string>> {
      const modes = new Set<string>();
      let done = false;
      work.finally(() => {
        done = true;
      });
      while (!done) {
        for (const name of await readdir(folder.spool, { recursive: true }).catch(() => [])) {
          const found = await stat(join(folder.spool, name)).catch(() => undefined);
          if (found === undefined) continue;
          modes.add(`${found.isDirectory() ? 'folder' : 'file'} ${(found.mode & 0o777).toString(8)}`);
        }
      }
      return modes;
    }

    it('not at all into a folder that is missing', async () => {
      const path = folder.database('shop.db');
      const spoolDirectory = join(folder.spool, 'missing');
      for (const method of ['auto', 'backup'] as const) {
        await assert.rejects(startDump(folder, path, { method, spoolDirectory }), {
          code: 'not-found',
          message: /spool folder/i,
        });
      }
      const probe = await createSqliteSource({ files: [path], spoolDirectory }).probe(RUNNING);
      assert.match(probe.warnings.join(), /spool folder .*missing cannot be used/);
    });
  });

  it('notices a database file that was cut off', async () => {
    const path = folder.database('cut.db', { journalMode: 'delete' });
    const { size } = await stat(path);
    await truncate(path, size - 8192);
    await assert.rejects(
      async () => {
        const dump = await startDump(folder, path);
        await drain(dump);
        await dump.proof;
      },
      { code: 'corrupt' },
    );
  });
});
