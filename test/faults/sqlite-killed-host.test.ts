import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newSpoolFolder, sweepSpool } from '../../lib/sources/sqlite/spool.ts';
import { createSqliteRestoreTarget } from '../../lib/sources/sqlite/sqlite-restore.ts';
import { compareDatabases } from '../fixtures/sqlite-database.ts';
import { childrenOf } from '../support/child-processes.ts';
import { dumpTo, RUNNING } from '../support/sqlite-dump.ts';
import { SqliteFolder } from '../support/sqlite-folder.ts';
import { until } from '../support/until.ts';

const HOST = join(import.meta.dirname, '../fixtures/sqlite-host-process.ts');

describe('a host process that is killed while it works on SQLite databases', () => {
  let folder: SqliteFolder;

  beforeEach(async () => {
    folder = await SqliteFolder.create();
  });
  afterEach(async () => await folder.remove());

  async function kill(host: ChildProcess): Promise<void> {
    const ended = once(host, 'exit');
    host.kill('SIGKILL');
    await ended;
  }

  it('takes its child with it while it streams, and leaves no file', async () => {
    const path = folder.database('shop.db', { megabytes: 20 });
    const host = fork(HOST, ['dump', path, folder.spool, 'auto'], { execArgv: [] });
    await once(host, 'message');
    const [child, ...more] = childrenOf(host.pid ?? 0);
    assert.ok(child !== undefined && more.length === 0);
    await kill(host);
    await until(() => !isRunning(child));
    assert.deepEqual(await folder.spooled(), []);
  });

  it('takes its child with it while it copies; the next dump sweeps the rest', async () => {
    const path = folder.database('shop.db', { megabytes: 40, journalMode: 'delete' });
    const host = fork(HOST, ['dump', path, folder.spool, 'backup'], { execArgv: [] });
    await until(() => readdirSync(folder.spool).length > 0, 120_000);
    const [child] = childrenOf(host.pid ?? 0);
    assert.ok(child !== undefined);
    await kill(host);
    await until(() => !isRunning(child));
    assert.equal((await folder.spooled()).length, 1, 'the copy should have been killed half-way');
    await dumpTo(folder.file('copy.db'), folder, path);
    assert.deepEqual(await folder.spooled(), []);
    compareDatabases(path, folder.file('copy.db'));
  });

  it('leaves the target of a restore alone; the next restore sweeps the rest', async () => {
    const dump = folder.database('dump.sqlite');
    const path = folder.file('new.db');
    const host = fork(HOST, ['restore', path], { execArgv: [] });
    await once(host, 'message');
    await kill(host);
    const left = (await readdir(folder.path)).filter((name) => name.includes('new.db'));
    assert.equal(left.length, 1);
    assert.match(left[0] ?? '', /^\.new\.db\.restoring-/);
    const target = createSqliteRestoreTarget({ path, overwrite: 'refuse', safetyCopy: true });
    await target.restore(createReadStream(dump), RUNNING);
    assert.deepEqual(
      (await readdir(folder.path)).filter((name) => name.includes('new.db')),
      ['new.db'],
    );
  });

  describe('sweeping', () => {
    it('keeps the spools of living processes, links and other things', async () => {
      const mine = newSpoolFolder(folder.spool);
      await mkdir(mine);
      const gone = mine.replace(`-${process.pid}-`, '-4194303-');
      await symlink(folder.path, gone);
      await writeFile(gone.replace(/[0-9a-f]$/, 'x'), '');
      await mkdir(join(folder.spool, 'dbackup-sqlite-notes'));
      assert.deepEqual(await sweepSpool(folder.spool), []);
      assert.equal((await folder.spooled()).length, 4);
    });

    it('removes those of processes that are gone, or whose id another process has now', async () => {
      const mine = newSpoolFolder(folder.spool);
      const left = [
        mine.replace(`-${process.pid}-`, '-4194303-'),
        mine.replace(/-\d+-([0-9a-f]{16})$/, '-1-$1'),
      ];
      for (const path of left) {
        await mkdir(path);
        await writeFile(join(path, 'spool.sqlite'), 'rest');
      }
      assert.equal((await sweepSpool(folder.spool)).length, 2);
      assert.deepEqual(await folder.spooled(), []);
    });

    it('removes those of another boot or container only after a day', async () => {
      const mine = newSpoolFolder(folder.spool);
      const foreign = mine.replace(/dbackup-sqlite-[0-9a-f]+-/, 'dbackup-sqlite-00000000-');
      await mkdir(foreign);
      assert.deepEqual(await sweepSpool(folder.spool), []);
      const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000);
      await utimes(foreign, yesterday, yesterday);
      assert.equal((await sweepSpool(folder.spool)).length, 1);
    });

    it('says when the folder is not there', async () => {
      const missing = join(folder.spool, 'missing');
      await assert.rejects(sweepSpool(missing), { code: 'not-found', message: /cannot be swept/ });
    });
  });
});

function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}
