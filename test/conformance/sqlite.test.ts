import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSqliteRestoreTarget } from '../../lib/sources/sqlite/sqlite-restore.ts';
import { createSqliteSource } from '../../lib/sources/sqlite/sqlite-source.ts';
import { checkInvariants, compareDatabases, createDatabase, Writer } from '../fixtures/sqlite-database.ts';
import { describeSource, type OpenSource, type SourceFixture } from './source.suite.ts';

type Settings = Pick<Parameters<typeof createSqliteSource>[0], 'method' | 'pagesPerStep'>;

describeSource(sqliteFixture('sqlite in WAL mode', 'wal', {}));
describeSource(sqliteFixture('sqlite in WAL mode by online backup', 'wal', { method: 'backup' }));
describeSource(sqliteFixture('sqlite with a rollback journal', 'delete', { pagesPerStep: 200 }));
describeSource(
  sqliteFixture('sqlite with a rollback journal by online backup', 'delete', {
    method: 'backup',
    pagesPerStep: 200,
  }),
);

function sqliteFixture(name: string, journalMode: 'wal' | 'delete', settings: Settings): SourceFixture {
  return { name, open: () => openFixture(journalMode, settings) };
}

async function openFixture(journalMode: 'wal' | 'delete', settings: Settings): Promise<OpenSource> {
  const home = await mkdtemp(join(tmpdir(), 'dbackup-sqlite-test-'));
  const spool = join(home, 'spool');
  const restored = join(home, 'restored');
  await mkdir(spool);
  await mkdir(restored);
  createDatabase(join(home, 'shop.db'), { megabytes: 5, seed: 1, journalMode });
  createDatabase(join(home, 'blog.db'), { megabytes: 3, seed: 2, journalMode });
  let targets = 0;
  const newTarget = (): string => join(restored, `target-${++targets}.db`);
  return {
    driver: createSqliteSource({ files: [join(home, '*.db')], spoolDirectory: spool, ...settings }),
    missing: { id: join(home, 'missing.db'), name: 'missing.db' },
    secrets: [],
    emptyTarget: () =>
      createSqliteRestoreTarget({ path: newTarget(), overwrite: 'refuse', safetyCopy: true }),
    usedTarget: async () => {
      const path = newTarget();
      createDatabase(path, { megabytes: 1, seed: 3, journalMode });
      createDatabase(`${path}.expected`, { megabytes: 1, seed: 3, journalMode });
      return {
        target: createSqliteRestoreTarget({ path, overwrite: 'replace', safetyCopy: true }),
        requireUntouched: async () => {
          compareDatabases(path, `${path}.expected`);
          const names = await readdir(restored);
          assert.deepEqual(
            names.filter((other) => other.includes('.restoring-') || other.includes('.before-restore-')),
            [],
          );
        },
      };
    },
    compare: async ({ id }, target) => compareDatabases(id, target.describe()),
    keepWriting: async ({ id }) => {
      const writer = await Writer.start(id, { pauseMs: 1 });
      return async () => assert.ok((await writer.stop()) > 10, 'the writer had no turn');
    },
    requireConsistent: async (target) => checkInvariants(target.describe()),
    traces: () => readdir(spool),
    close: () => rm(home, { recursive: true, force: true }),
  };
}
