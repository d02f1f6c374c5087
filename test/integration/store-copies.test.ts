import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { type Kysely, sql } from 'kysely';
import { MIGRATIONS, type Migrations } from '../../lib/store/migrations.ts';
import { openStore, STORE_FILE, type StoreOptions } from '../../lib/store/store.ts';
import { fillDisk, mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const RELEASED = ['0001_history', '0002_schedules'];
const INTERRUPTED = '20260203T060000Z_44444444';

describe('the file of an older store', () => {
  let dataDir: string;
  let disk: SmallDisk | undefined;

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'dbackup-store-'));
  });

  afterEach(async () => {
    await disk?.unmount();
    disk = undefined;
    rmSync(dataDir, { recursive: true, force: true });
  });

  const file = (name: string = STORE_FILE) => join(dataDir, name);
  const copies = () => readdirSync(dataDir).filter((name) => name.includes('.before-'));

  function writeReleased(schema: string): void {
    const dump = new URL(`../fixtures/store/${schema}.sql`, import.meta.url);
    const database = new Database(file());
    database.exec(readFileSync(dump, 'utf8'));
    database.close();
  }

  async function open(options: StoreOptions = {}): Promise<void> {
    await (await openStore(dataDir, options)).close();
  }

  const addColumn = (name: string) => (db: Kysely<unknown>) =>
    db.schema.alterTable('runs').addColumn(name, 'text').execute();
  const and = (name: string, up: (db: Kysely<unknown>) => Promise<unknown>): Migrations => ({
    ...MIGRATIONS,
    [name]: { up: async (db) => void (await up(db)) },
  });

  for (const schema of RELEASED) {
    it(`of schema ${schema} is brought up to date without loss`, async () => {
      writeReleased(schema);
      const before = rowsOf(file());
      const store = await openStore(dataDir);
      assert.deepEqual(store.interrupted, [INTERRUPTED]);
      const runs = await store.runs();
      assert.deepEqual(
        runs.map(({ state, rawBytes }) => [state, rawBytes]),
        [
          ['failed', null],
          ['cancelled', 17],
          ['failed', 0],
          ['partial', 4096],
          ['succeeded', 5_000_000_000],
        ],
      );
      await store.close();
      const after = rowsOf(file());
      for (const [table, rows] of Object.entries(before)) {
        assert.deepEqual(withoutLife(after[table] ?? [], rows), withoutLife(rows, rows), table);
      }
      const [first] = Object.keys(MIGRATIONS).filter((name) => name > schema);
      assert.deepEqual(copies(), [`${STORE_FILE}.before-${first}`]);
      assert.deepEqual(rowsOf(file(copies()[0])), before);
    });
  }

  it('has the same tables afterwards as a new one', async () => {
    const fresh = await mkdtempStore();
    for (const schema of RELEASED) {
      rmSync(file(), { force: true });
      writeReleased(schema);
      await open();
      assert.deepEqual(tablesOf(file()), fresh);
    }
  });

  it('is copied before, for its user only; the newest three copies are kept, and it is told', async () => {
    const told: string[] = [];
    await open();
    assert.deepEqual(copies(), [], 'a new one is not copied');
    let migrations: Migrations = MIGRATIONS;
    for (const name of ['9001', '9002', '9003', '9004', '9005']) {
      migrations = { ...migrations, [name]: { up: async (db) => void (await addColumn(`c${name}`)(db)) } };
      await open({ migrations, tell: (_, message) => void told.push(message) });
    }
    assert.deepEqual(
      copies().sort(),
      ['9003', '9004', '9005'].map((name) => `${STORE_FILE}.before-${name}`),
    );
    for (const copy of copies()) assert.equal(statSync(file(copy)).mode & 0o777, 0o600);
    assert.equal(told.filter((line) => /it is kept in .*\.before-/.test(line)).length, 5);
    assert.match(told.join('\n'), /The old copy .*before-9001 was removed/);
  });

  it('is put back from the copy when a failing step has gone around the transaction', async () => {
    writeReleased('0002_schedules');
    const before = rowsOf(file());
    const escaping = and('9001_escape', async (db) => {
      await addColumn('escaped')(db);
      await sql`COMMIT`.execute(db);
      await db.deleteFrom('sets' as never).execute();
      throw new Error('halfway');
    });
    await assert.rejects(open({ migrations: escaping }), /halfway/);
    assert.deepEqual(rowsOf(file()), before);
    await open();
  });

  it('is as it was when the process is killed in the middle', async function () {
    this.timeout(120_000);
    writeReleased('0002_schedules');
    const before = rowsOf(file());
    const script = fileURLToPath(new URL('store-migrating-process.ts', import.meta.url));
    const child = spawn(process.execPath, [script, dataDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await said(child, 'in the middle');
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    assert.ok(statSync(file(`${STORE_FILE}-wal`)).size > 1_000_000, 'much was written by then');
    assert.deepEqual(rowsOf(file()), before);
    assert.deepEqual(rowsOf(file(`${STORE_FILE}.before-0003_operations`)), before);
    await open();
  });

  it('is brought up to date once by several processes that open it at the same time', async function () {
    this.timeout(120_000);
    writeReleased('0001_history');
    const script = fileURLToPath(new URL('store-process.ts', import.meta.url));
    const codes = await Promise.all(
      ['a', 'b', 'c'].map(async (id) => {
        const args = [script, dataDir, id, 'write'];
        const [code] = await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit');
        return code;
      }),
    );
    assert.deepEqual(codes, [0, 0, 0]);
    assert.deepEqual(copies(), [`${STORE_FILE}.before-0002_schedules`]);
    const names = rowsOf(file()).kysely_migration?.map(({ name }) => name);
    assert.deepEqual(names, Object.keys(MIGRATIONS));
  });

  it('is as it was when the disk has no room for the copy, or runs full in the middle', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    rmSync(dataDir, { recursive: true, force: true });
    dataDir = disk.path;
    writeReleased('0002_schedules');
    const before = rowsOf(file());
    fillDisk(disk.path);
    await assert.rejects(open(), { code: 'no-space', message: /No space left for the store/ });
    rmSync(join(disk.path, 'filler'));
    assert.deepEqual(rowsOf(file()), before);
    assert.deepEqual(copies(), [], 'nothing half-written is left');
    const huge = and('9001_huge', async (db) => {
      await addColumn('filler')(db);
      await sql`UPDATE runs SET filler = hex(randomblob(900000))`.execute(db);
    });
    await assert.rejects(open({ migrations: huge }), { code: 'no-space' });
    assert.deepEqual(rowsOf(file()), before);
    await open();
  });

  async function mkdtempStore(): Promise<Record<string, string[]>> {
    const other = mkdtempSync(join(tmpdir(), 'dbackup-store-'));
    try {
      await (await openStore(other)).close();
      return tablesOf(join(other, STORE_FILE));
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  }
});

type Row = Readonly<Record<string, unknown>>;

function rowsOf(path: string): Record<string, Row[]> {
  const database = new Database(path, { readonly: true });
  try {
    const names = database
      .prepare<[], string>("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
      .pluck()
      .all();
    return Object.fromEntries(
      names.map((name) => [name, database.prepare<[], Row>(`SELECT * FROM "${name}" ORDER BY rowid`).all()]),
    );
  } finally {
    database.close();
  }
}

/** Columns of each table and the indexes, however they came about. */
function tablesOf(path: string): Record<string, string[]> {
  const database = new Database(path, { readonly: true });
  try {
    const names = database
      .prepare<[], string>("SELECT name FROM sqlite_master WHERE type IN ('table', 'index') ORDER BY name")
      .pluck()
      .all();
    const columns = database.prepare<[string], string>(
      'SELECT name || type || "notnull" || pk FROM pragma_table_info(?)',
    );
    return Object.fromEntries(names.map((name) => [name, columns.pluck().all(name)]));
  } finally {
    database.close();
  }
}

/** The columns that the old rows had, but for what the end of a dead process and a new one change. */
function withoutLife(rows: readonly Row[], like: readonly Row[]): unknown[] {
  const columns = Object.keys(like[0] ?? {}).filter((column) => column !== 'ended_at');
  return rows
    .slice(0, like.length)
    .filter(({ id }) => id !== INTERRUPTED)
    .map((row) => columns.map((column) => row[column]));
}

async function said(child: ChildProcess, text: string): Promise<void> {
  let output = '';
  const { stdout } = child;
  assert.ok(stdout);
  for await (const chunk of stdout) {
    output += String(chunk);
    if (output.includes(text)) return;
  }
  assert.fail(`the process ended: ${output}`);
}
