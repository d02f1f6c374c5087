import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { BackupError } from '../../lib/errors.ts';
import { openStore, STORE_FILE } from '../../lib/store/store.ts';

describe('the store as a file', () => {
  let dataDir: string;

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'dbackup-store-'));
  });

  afterEach(() => {
    rmSync(dataDir, { recursive: true, force: true });
  });

  it('journals a run durably before the promise resolves', async () => {
    const store = await openStore(dataDir);
    await store.journal.opened({ id: 'r1', job: 'shop', openedAt: new Date() });
    const reader = new Database(join(dataDir, STORE_FILE), { readonly: true });
    assert.equal(reader.pragma('journal_mode', { simple: true }), 'wal');
    assert.deepEqual(reader.prepare('SELECT id, state FROM runs').all(), [{ id: 'r1', state: 'planning' }]);
    reader.close();
    await store.close();
  });

  it('keeps its files to its user', async () => {
    const store = await openStore(join(dataDir, 'new', 'folder'));
    assert.equal(statSync(join(dataDir, 'new', 'folder')).mode & 0o777, 0o700);
    assert.equal(statSync(join(dataDir, 'new', 'folder', STORE_FILE)).mode & 0o777, 0o600);
    await store.close();
  });

  it('leaves no presence file behind and closes twice without harm', async () => {
    const store = await openStore(dataDir);
    assert.equal(readdirSync(join(dataDir, 'instances')).filter((name) => name.endsWith('.lock')).length, 1);
    await store.close();
    await store.close();
    assert.deepEqual(readdirSync(join(dataDir, 'instances')), []);
  });

  it('says what to do when a fire cannot be recorded', async () => {
    const store = await openStore(dataDir);
    const memory = store.schedule('a');
    await memory.open('t', 1);
    // What a disk that went read-only does to an open database.
    const other = new Database(join(dataDir, STORE_FILE));
    other.exec("CREATE TRIGGER no_writes BEFORE UPDATE ON schedules BEGIN SELECT RAISE(ABORT, 'no'); END");
    other.close();
    await assert.rejects(memory.claim(2), /The store .*dbackup\.db cannot be used/);
    await store.close();
  });

  it('says when nothing can be written', async () => {
    const store = await openStore(dataDir);
    await store.probe();
    const other = new Database(join(dataDir, STORE_FILE));
    other.exec("CREATE TRIGGER full BEFORE UPDATE ON instances BEGIN SELECT RAISE(FAIL, 'no room'); END");
    await assert.rejects(store.probe(), /no room/);
    other.exec('DROP TRIGGER full');
    other.close();
    await store.probe();
    await store.close();
  });

  it('waits for its turn to be probed without holding the process up', async () => {
    const store = await openStore(dataDir);
    const other = new Database(join(dataDir, STORE_FILE));
    other.exec('BEGIN IMMEDIATE');
    const probing = store.probe();
    // A process that is held up comes to this when it has given up.
    setImmediate(() => other.close());
    await probing;
    await store.close();
  });

  describe('broken stores', () => {
    it('says that a damaged store is damaged', async () => {
      writeFileSync(join(dataDir, STORE_FILE), 'this is not a database'.repeat(500));
      await assert.rejects(openStore(dataDir), (error: unknown) => {
        assert.ok(error instanceof BackupError);
        assert.equal(error.code, 'corrupt');
        assert.match(error.message, /holds history only, no backups/);
        return true;
      });
    });

    it('says that it cannot write where a folder of that name stands', async () => {
      mkdirSync(join(dataDir, STORE_FILE));
      await assert.rejects(openStore(dataDir), { name: 'BackupError', code: 'permission' });
    });

    it('says that it cannot make the data directory', async () => {
      writeFileSync(join(dataDir, 'file'), '');
      await assert.rejects(openStore(join(dataDir, 'file', 'data')), /cannot be (used|written)/);
    });

    it('refuses a store that it may not write', async () => {
      const store = await openStore(dataDir);
      await store.close();
      chmodSync(join(dataDir, STORE_FILE), 0o444);
      chmodSync(join(dataDir, 'instances'), 0o777);
      chmodSync(dataDir, 0o755);
      await asPlainUser(async () => {
        await assert.rejects(openStore(dataDir), { name: 'BackupError', code: 'permission' });
      });
    });

    it('rejects a record when the store has gone bad under it', async () => {
      const store = await openStore(dataDir);
      const other = new Database(join(dataDir, STORE_FILE));
      other.exec('PRAGMA foreign_keys = OFF; DROP TABLE runs');
      other.close();
      await assert.rejects(
        store.journal.opened({ id: 'r1', job: 'shop', openedAt: new Date() }),
        /The store .* cannot be used/,
      );
      await assert.rejects(store.close());
      assert.ok(!existsSync(join(dataDir, 'instances', 'x.lock')));
      assert.deepEqual(readdirSync(join(dataDir, 'instances')), []);
    });
  });
});

/** Permissions do not bind root: for the time of `act` this process gives its rights up. */
async function asPlainUser(act: () => Promise<void>): Promise<void> {
  const root = process.geteuid?.() === 0;
  if (root) process.seteuid?.(65_534);
  try {
    await act();
  } finally {
    if (root) process.seteuid?.(0);
  }
}
