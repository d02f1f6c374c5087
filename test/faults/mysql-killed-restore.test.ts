import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSmallShop, dumpOf } from '../fixtures/mysql-restore-shop.ts';
import { startMariadb } from '../servers/mariadb.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { databasesOf } from '../support/mysql-backup.ts';
import { processesWithTemp } from '../support/runner-traces.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 120_000;

describe('a MySQL restore that is killed with SIGKILL', function () {
  this.timeout(300_000);
  let server: TestMysqlServer;
  let root: string;
  let temp: string;
  let dump: string;

  before(async () => {
    server = await startMariadb();
    await createSmallShop(server, 'shop');
    root = mkdtempSync(join(tmpdir(), 'dbackup-killed-'));
    dump = join(root, 'shop.sql');
    writeFileSync(dump, await dumpOf(server, 'shop'));
  });

  beforeEach(() => {
    temp = mkdtempSync(join(root, 'temp-'));
  });

  after(async () => {
    await server?.stop();
    rmSync(root, { recursive: true, force: true });
  });

  const restore = (database: string, how: 'whole' | 'hanging'): ChildProcess => {
    const script = new URL('../support/mysql-restore-process.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [script, dump, database, how], {
      stdio: ['pipe', 'inherit', 'inherit'],
      env: { ...process.env, TMPDIR: temp },
    });
    child.stdin?.end(JSON.stringify(server.settings));
    return child;
  };
  const optionFiles = () =>
    readdirSync(temp)
      .map((name) => join(temp, name, 'client.cnf'))
      .filter((file) => existsSync(file));
  /** Leaves what such a restore leaves; the option file's path. */
  const killed = async (database: string): Promise<string> => {
    const child = restore(database, 'hanging');
    const exited = once(child, 'exit');
    await until(() => {
      assert.equal(child.exitCode, null, 'the restore has ended by itself');
      return optionFiles().some((file) => statSync(file).size > 0);
    }, PATIENCE_MS);
    child.kill('SIGKILL');
    await exited;
    await until(() => processesWithTemp(temp).length === 0, PATIENCE_MS);
    const [file, ...more] = optionFiles();
    assert.ok(file !== undefined && more.length === 0);
    return file;
  };

  it('leaves its password to nobody else, and the next restore removes it', async () => {
    const file = await killed('first');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(readFileSync(file, 'utf8').includes('password'), 'it was an option file with a password');
    const next = restore('second', 'whole');
    assert.deepEqual(await once(next, 'exit'), [0, null]);
    assert.deepEqual(readdirSync(temp), []);
    assert.ok((await databasesOf(server)).includes('second'));
  });

  it('does not take the option file of another restore along that lives', async () => {
    const living = restore('third', 'hanging');
    const exited = once(living, 'exit');
    try {
      await until(() => optionFiles().length === 1, PATIENCE_MS);
      const [file = ''] = optionFiles();
      assert.deepEqual(await once(restore('fourth', 'whole'), 'exit'), [0, null]);
      assert.deepEqual(optionFiles(), [file]);
    } finally {
      living.kill('SIGKILL');
      await exited;
    }
  });
});
