import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RestoreTarget } from '../../../lib/sources/driver.ts';
import type { POSTGRES_FORMATS } from '../../../lib/sources/postgres/options.ts';
import { createPostgresRestoreTarget } from '../../../lib/sources/postgres/postgres-restore.ts';
import { createPostgresSource } from '../../../lib/sources/postgres/postgres-source.ts';
import {
  compareShops,
  contentsOf,
  createShop,
  requireBalanced,
  ShopWriter,
} from '../../fixtures/postgres-shop.ts';
import { startPostgres, type TestPostgres } from '../../servers/postgres.ts';
import { until } from '../../support/until.ts';
import type { OpenSource } from './fixture.ts';

type Format = (typeof POSTGRES_FORMATS)[number];

/** A server with two databases, dumped in a format and restored beside them. */
export async function openPostgres(major: 15 | 17, format: Format): Promise<OpenSource> {
  const server = await startPostgres({ major });
  const spool = await mkdtemp(join(tmpdir(), 'dbackup-postgres-spool-'));
  await createShop(server, 'a shop', { megabytes: 4, seed: 1 });
  await createShop(server, 'blog', { megabytes: 3, seed: 2 });
  const driver = createPostgresSource(server.settings, {
    databases: ['a shop', 'blog'],
    format,
    globals: false,
  });
  const targets = new Map<RestoreTarget, string>();
  const newTarget = (database: string, overwrite: 'refuse' | 'replace'): RestoreTarget => {
    const target = createPostgresRestoreTarget(server.settings, {
      database,
      format: `pg-${format}`,
      engineVersion: String(major),
      overwrite,
      safetyCopy: true,
      content: 'all',
      tables: [],
      owners: true,
      privileges: true,
      jobs: 1,
      spoolDirectory: spool,
    });
    targets.set(target, database);
    return target;
  };
  const nameOf = (target: RestoreTarget) => targets.get(target) ?? assert.fail('no target of this fixture');
  return {
    driver,
    missing: { id: 'database:missing', name: 'missing' },
    secrets: [server.password],
    emptyTarget: () => newTarget(`restored ${targets.size}`, 'refuse'),
    usedTarget: async () => {
      const database = `used ${targets.size}`;
      await createShop(server, database, { megabytes: 0.1, seed: 3 });
      const [contents, databases] = [await contentsOf(server, database), await databasesOf(server)];
      return {
        target: newTarget(database, 'replace'),
        requireUntouched: async () => {
          assert.deepEqual(await contentsOf(server, database), contents);
          assert.deepEqual(await databasesOf(server), databases);
        },
      };
    },
    compare: async ({ name }, target) => await compareShops(server, name, nameOf(target)),
    keepWriting: async ({ name }) => {
      const writer = await ShopWriter.start(server, name);
      return async () => assert.ok((await writer.stop()) > 10, 'the writer had no turn');
    },
    requireConsistent: async (target) => await requireBalanced(server, nameOf(target)),
    traces: async () => [...(await readdir(spool)), ...(await sessionsLeft(server))],
    close: async () => {
      await server.stop();
      await rm(spool, { recursive: true, force: true });
    },
  };
}

async function databasesOf(server: TestPostgres): Promise<unknown[]> {
  return await server.query('SELECT datname FROM pg_database ORDER BY 1');
}

/** A server needs a moment to notice that a connection has ended. */
async function sessionsLeft(server: TestPostgres): Promise<string[]> {
  let left: string[] = [];
  await until(async () => {
    const rows = await server.query<{ name: string }>(
      `SELECT application_name AS name FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
    );
    left = rows.map(({ name }) => name);
    return left.length === 0;
  }, 20_000).catch(() => undefined);
  return left;
}
