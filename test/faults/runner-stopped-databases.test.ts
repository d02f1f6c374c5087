import assert from 'node:assert/strict';
import { MARIADB_FIVE_GIGABYTES, POSTGRES_FIVE_GIGABYTES } from '../fixtures/five-gigabytes.ts';
import { assertStops, storing } from '../fixtures/stopped-runner.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { startPostgres } from '../servers/postgres.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { RunnerProcess } from '../support/runner-process.ts';
import { filesBelow } from '../support/runner-traces.ts';
import { type ServerKind, serverFlow, serverNode, serverSecrets } from '../support/server-flow.ts';

/** MB/s at which a dump takes minutes at least. */
const SLOW = 2;

describe('dbackup run, stopped by SIGTERM while it dumps a server', function () {
  this.timeout(300_000);
  let work: RunnerWorkspace;

  before(() => {
    work = new RunnerWorkspace(100_000);
  });

  after(() => work.remove());

  const assertStopsDumpOf = async (kind: ServerKind, settings: Parameters<typeof serverNode>[1]) => {
    const entries = serverFlow(kind, work.first).map((node) => {
      if (node.id === 'source') return { ...node, wires: [['local']], globals: false, users: false };
      return node.id === 'local' ? { ...node, rate: SLOW } : node;
    });
    const flow = work.write(`${kind}.json`, [...entries, serverNode(kind, settings)]);
    work.write(`${kind}_cred.json`, serverSecrets(settings).plain);
    const runner = new RunnerProcess(['run', flow, '--json'], { env: work.env() });
    await storing(runner, 'local', 'shop');
    await assertStops(runner, work);
    assert.deepEqual(filesBelow(work.first), []);
  };

  it('PostgreSQL, with 5 GB: pg_dump is gone, its session too, and nothing is stored', async () => {
    const server = await startPostgres();
    try {
      await server.query('CREATE DATABASE shop');
      await server.query(POSTGRES_FIVE_GIGABYTES, 'shop');
      await assertStopsDumpOf('postgres', server.settings);
      const others = await server.query(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_dump'",
      );
      assert.deepEqual(others, []);
    } finally {
      await server.stop();
    }
  });

  it('MariaDB, with 5 GB: mariadb-dump is gone, and nothing is stored', async () => {
    const server = await startMariadb();
    try {
      await server.query('CREATE DATABASE shop');
      await server.query(MARIADB_FIVE_GIGABYTES, 'shop');
      await assertStopsDumpOf('mysql', server.settings);
    } finally {
      await server.stop();
    }
  });
});
