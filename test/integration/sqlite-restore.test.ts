import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import Database from 'better-sqlite3';
import type { RestoreReport } from '../../lib/sources/driver.ts';
import {
  createSqliteRestoreTarget,
  type SqliteRestoreOptions,
} from '../../lib/sources/sqlite/sqlite-restore.ts';
import { compareDatabases, createDatabase } from '../fixtures/sqlite-database.ts';
import { skipBecause } from '../support/skip.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { OtherProcess } from '../support/sqlite-connection.ts';
import { RUNNING } from '../support/sqlite-dump.ts';
import { SqliteFolder } from '../support/sqlite-folder.ts';

type Settings = Partial<Omit<SqliteRestoreOptions, 'path'>>;

const REPLACE: Settings = { overwrite: 'replace' };
const SAFETY_NAME = /\.before-restore-\d{8}T\d{6}Z(-\d+)?$/;

describe('the restore into a SQLite file', () => {
  let folder: SqliteFolder;
  let dump: string;
  const others: OtherProcess[] = [];

  beforeEach(async () => {
    folder = await SqliteFolder.create();
    dump = folder.database('dump.sqlite', { megabytes: 3, seed: 9 });
  });
  afterEach(async () => {
    await Promise.all(others.splice(0).map((other) => other.kill()));
    assert.deepEqual(
      (await readdir(folder.path)).filter((name) => name.includes('.restoring-')),
      [],
    );
    await folder.remove();
  });

  function target(path: string, settings: Settings = {}): ReturnType<typeof createSqliteRestoreTarget> {
    return createSqliteRestoreTarget({ path, overwrite: 'refuse', safetyCopy: true, ...settings });
  }

  async function restore(path: string, settings: Settings = {}, from = dump): Promise<RestoreReport> {
    const restoring = target(path, settings);
    await restoring.check((await stat(from)).size, RUNNING);
    return await restoring.restore(createReadStream(from), RUNNING);
  }

  async function open(path: string, ...statements: string[]): Promise<OtherProcess> {
    const other = await OtherProcess.open(path, ...statements);
    others.push(other);
    return other;
  }

  describe('where nothing is', () => {
    it('creates the file, for its own user only', async () => {
      const path = folder.file('new.db');
      const report = await restore(path);
      assert.equal(report.target, path);
      assert.equal(report.safetyCopy, undefined);
      assert.match(report.proof.statement, /^integrity_check ok, \d+ pages of 4096 bytes$/);
      assert.equal(report.proof.tables?.find(({ name }) => name === 'accounts')?.rows, 500);
      assert.equal((await stat(path)).mode & 0o777, 0o600);
      assert.deepEqual(await readFile(path), await readFile(dump));
      compareDatabases(path, dump);
    });

    for (const journalMode of ['wal', 'delete'] as const) {
      it(`keeps the journal mode ${journalMode}`, async () => {
        const source = folder.database(`${journalMode}.db`, { journalMode });
        await restore(folder.file('new.db'), {}, source);
        const database = new Database(folder.file('new.db'));
        assert.equal(database.pragma('journal_mode', { simple: true }), journalMode);
        database.close();
      });
    }

    it('refuses a folder that is not there', async () => {
      const path = join(folder.path, 'missing', 'new.db');
      await assert.rejects(restore(path), {
        code: 'not-found',
        message: /missing cannot be used: create it/,
      });
    });

    it('refuses a link to nothing', async () => {
      await symlink('nowhere.db', folder.file('link.db'));
      await assert.rejects(restore(folder.file('link.db')), { code: 'invalid-config', message: /link/ });
    });

    it('refuses a log that would be applied to the new database', async () => {
      await writeFile(folder.file('new.db-wal'), 'old log');
      await assert.rejects(restore(folder.file('new.db')), {
        code: 'already-exists',
        message: /new\.db-wal exists/,
      });
    });

    it('puts a lonely log aside when it may replace', async () => {
      await writeFile(folder.file('new.db-wal'), 'old log');
      const report = await restore(folder.file('new.db'), REPLACE);
      assert.match(report.safetyCopy ?? '', SAFETY_NAME);
      assert.equal(await readFile(`${report.safetyCopy}-wal`, 'utf8'), 'old log');
      compareDatabases(folder.file('new.db'), dump);
    });
  });

  describe('where a database is', () => {
    it('refuses unless it may replace', async () => {
      const path = folder.database('old.db');
      const before = await readFile(path);
      await assert.rejects(restore(path), {
        code: 'already-exists',
        message: /old\.db exists: restore to another/,
      });
      assert.deepEqual(await readFile(path), before);
    });

    for (const journalMode of ['wal', 'delete'] as const) {
      it(`keeps the previous one with journal mode ${journalMode}`, async () => {
        const path = folder.database('old.db', { seed: 1, journalMode });
        createDatabase(folder.file('expected.db'), { megabytes: 2, seed: 1, journalMode });
        const report = await restore(path, REPLACE);
        assert.match(basename(report.safetyCopy ?? ''), SAFETY_NAME);
        compareDatabases(path, dump);
        compareDatabases(report.safetyCopy ?? '', folder.file('expected.db'));
      });
    }

    it('does not keep it when told so', async () => {
      const path = folder.database('old.db');
      const report = await restore(path, { ...REPLACE, safetyCopy: false });
      assert.equal(report.safetyCopy, undefined);
      compareDatabases(path, dump);
      assert.deepEqual(
        (await readdir(folder.path)).filter((name) => SAFETY_NAME.test(name)),
        [],
      );
    });

    it('keeps several in the same second', async () => {
      const path = folder.database('old.db');
      const copies = new Set<string | undefined>();
      for (let time = 0; time < 3; time++) copies.add((await restore(path, REPLACE)).safetyCopy);
      assert.equal(copies.size, 3);
    });

    it('takes over its owner and permissions', async function () {
      if (process.getuid?.() !== 0) skipBecause(this, 'only root gives files away');
      const path = folder.database('old.db');
      await chown(path, 1234, 2345);
      await chmod(path, 0o640);
      await restore(path, REPLACE);
      const { uid, gid, mode } = await stat(path);
      assert.deepEqual([uid, gid, mode & 0o777], [1234, 2345, 0o640]);
    });

    it('follows a link to it', async () => {
      const path = folder.database('old.db');
      await symlink(path, folder.file('link.db'));
      const report = await restore(folder.file('link.db'), REPLACE);
      assert.equal(report.target, path);
      compareDatabases(path, dump);
    });

    it('keeps what a crashed program left in the log, and does not apply it to the new one', async () => {
      const path = folder.database('old.db', { seed: 1 });
      createDatabase(folder.file('expected.db'), { megabytes: 2, seed: 1 });
      for (const file of [path, folder.file('expected.db')]) {
        const crashed = await OtherProcess.open(file, "UPDATE customers SET name = 'from the log'");
        await crashed.kill();
        assert.ok((await stat(`${file}-wal`)).size > 0);
      }
      const report = await restore(path, REPLACE);
      await assert.rejects(stat(`${path}-wal`), { code: 'ENOENT' });
      compareDatabases(path, dump);
      compareDatabases(report.safetyCopy ?? '', folder.file('expected.db'));
    });

    it('rolls back what a crashed program left in the journal, before it keeps it', async () => {
      const path = folder.database('old.db', { journalMode: 'delete' });
      createDatabase(folder.file('expected.db'), { megabytes: 2, journalMode: 'delete' });
      const crashed = await OtherProcess.open(
        path,
        'PRAGMA cache_size = 5',
        'BEGIN',
        'UPDATE documents SET body = 1',
      );
      await crashed.kill();
      assert.ok((await stat(`${path}-journal`)).size > 0);
      const report = await restore(path, REPLACE);
      await assert.rejects(stat(`${path}-journal`), { code: 'ENOENT' });
      compareDatabases(path, dump);
      compareDatabases(report.safetyCopy ?? '', folder.file('expected.db'));
    });

    it('replaces a damaged one, and keeps it with its log', async () => {
      const path = folder.file('old.db');
      await writeFile(path, 'no database any more');
      await writeFile(`${path}-wal`, 'its log');
      const report = await restore(path, REPLACE);
      compareDatabases(path, dump);
      assert.equal(await readFile(report.safetyCopy ?? '', 'utf8'), 'no database any more');
      assert.equal(await readFile(`${report.safetyCopy}-wal`, 'utf8'), 'its log');
    });

    it('refuses a folder', async () => {
      await mkdir(folder.file('old.db'));
      await assert.rejects(restore(folder.file('old.db'), REPLACE), { code: 'invalid-config' });
    });
  });

  describe('while a program uses the database', () => {
    const inUse = { code: 'unavailable', transient: true, message: /in use|is open in/ };

    it('refuses one in WAL mode', async () => {
      const path = folder.database('old.db');
      await open(path, 'SELECT count(*) FROM accounts');
      await assert.rejects(restore(path, REPLACE), inUse);
      await assert.rejects(target(path, REPLACE).restore(createReadStream(dump), RUNNING), inUse);
    });

    it('refuses one with a rollback journal, which an idle program does not lock', async () => {
      const path = folder.database('old.db', { journalMode: 'delete' });
      await open(path, 'SELECT count(*) FROM accounts');
      await assert.rejects(restore(path, REPLACE), inUse);
      await assert.rejects(target(path, REPLACE).restore(createReadStream(dump), RUNNING), inUse);
    });

    it('refuses one that is open in this very process', async () => {
      const path = folder.database('old.db', { journalMode: 'delete' });
      const mine = new Database(path);
      mine.prepare('SELECT count(*) FROM accounts').get();
      await assert.rejects(restore(path, REPLACE), { code: 'unavailable', message: /this process itself/ });
      mine.close();
    });

    it('leaves the log of a database that it only looked at', async () => {
      const path = folder.database('old.db');
      const crashed = await OtherProcess.open(path, "UPDATE customers SET name = 'from the log'");
      await crashed.kill();
      const files = [path, `${path}-wal`];
      const before = await Promise.all(files.map((file) => readFile(file)));
      await target(path, REPLACE).check(1, RUNNING);
      assert.deepEqual(await Promise.all(files.map((file) => readFile(file))), before);
    });
  });

  describe('of bytes that are no whole database', () => {
    async function damaged(change: (copy: string) => Promise<void>): Promise<string> {
      const copy = folder.file('damaged.sqlite');
      await copyFile(dump, copy);
      await change(copy);
      return copy;
    }

    const damages: [string, string, RegExp, (copy: string) => Promise<void>][] = [
      ['no byte', 'incomplete', /has 0 bytes, too few/, (copy) => truncate(copy, 0)],
      ['a few bytes', 'incomplete', /has 50 bytes, too few/, (copy) => truncate(copy, 50)],
      [
        'a page less',
        'incomplete',
        /by its header/,
        async (copy) => truncate(copy, (await stat(copy)).size - 4096),
      ],
      ['a byte more', 'incomplete', /by its header/, (copy) => writeFile(copy, '!', { flag: 'a' })],
      ['other bytes', 'corrupt', /not a SQLite database/, (copy) => writeFile(copy, 'x'.repeat(8192))],
      [
        'an index that does not fit its table',
        'corrupt',
        /integrity_check found/,
        async (copy) => misfile(copy),
      ],
    ];
    for (const [what, code, message, change] of damages) {
      it(`refuses ${what} and leaves everything as it was`, async () => {
        const path = folder.database('old.db');
        const before = await readFile(path);
        const from = await damaged(change);
        const expected = { code, message };
        await assert.rejects(target(path, REPLACE).restore(createReadStream(from), RUNNING), expected);
        assert.deepEqual(await readFile(path), before);
        assert.deepEqual(
          (await readdir(folder.path)).filter((name) => name.startsWith('old.db')),
          ['old.db'],
        );
        await assert.rejects(
          target(folder.file('new.db')).restore(createReadStream(from), RUNNING),
          expected,
        );
        await assert.rejects(stat(folder.file('new.db')), { code: 'ENOENT' });
      });
    }
  });

  describe('on a disk without room', () => {
    it('refuses early', async function () {
      const disk = await mountSmallDisk(this, 'size=8m');
      try {
        await assert.rejects(restore(join(disk.path, 'new.db')), { code: 'no-space', message: /bytes free/ });
      } finally {
        await disk.unmount();
      }
    });

    it('fails half-way and leaves the old database', async function () {
      const disk = await mountSmallDisk(this, 'size=4m');
      try {
        const path = join(disk.path, 'old.db');
        createDatabase(path, { megabytes: 1 });
        const before = await readFile(path);
        await assert.rejects(target(path, REPLACE).restore(createReadStream(dump), RUNNING), {
          code: 'no-space',
        });
        assert.deepEqual(await readFile(path), before);
        assert.deepEqual(await readdir(disk.path), ['old.db']);
      } finally {
        await disk.unmount();
      }
    });

    it('refuses a disk that is read-only', async function () {
      const disk = await mountSmallDisk(this, 'size=30m');
      try {
        await disk.remount('ro');
        await assert.rejects(restore(join(disk.path, 'new.db')), { code: 'permission' });
      } finally {
        await disk.unmount();
      }
    });
  });
});

/** Makes an index disagree with its table, which only a thorough check finds. */
function misfile(path: string): void {
  const database = new Database(path);
  database.unsafeMode();
  database.pragma('writable_schema = ON');
  database.exec(
    "UPDATE sqlite_schema SET sql = replace(sql, 'total > 900', 'total > 800') WHERE name = 'large_orders'",
  );
  database.close();
}
