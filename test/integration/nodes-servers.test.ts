import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Manifest, parseManifest } from '../../lib/backupset/manifest.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import type { SetSummary } from '../../nodes/set-summary.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { startPostgres } from '../servers/postgres.ts';
import { TestProxy } from '../servers/proxy.ts';
import { type NodesRuntime, payloadOf, startNodes } from '../support/backup-nodes.ts';
import { freePort } from '../support/free-port.ts';
import { type ServerKind, serverFlow, serverNode, serverSecrets } from '../support/server-flow.ts';
import { until } from '../support/until.ts';

/** What the nodes need of a server of either kind. */
interface Server {
  readonly settings: Parameters<typeof serverNode>[1];
  query(sql: string, database?: string): Promise<unknown[]>;
  stop(): Promise<void>;
}

interface Engine {
  readonly kind: ServerKind;
  start(): Promise<Server>;
  /** Makes an empty database that takes all of Unicode. */
  readonly create: (database: string) => string;
  /** The artifact of what belongs to the whole server, and the setting that asks for it. */
  readonly wide: { readonly name: string; readonly setting: string };
  readonly wrongPassword: RegExp;
}

const ENGINES: readonly Engine[] = [
  {
    kind: 'postgres',
    start: () => startPostgres(),
    create: (database) => `CREATE DATABASE ${database}`,
    wide: { name: 'globals', setting: 'globals' },
    wrongPassword: /password/i,
  },
  {
    kind: 'mysql',
    start: () => startMariadb(),
    create: (database) => `CREATE DATABASE ${database} CHARACTER SET utf8mb4`,
    wide: { name: 'users', setting: 'users' },
    wrongPassword: /password|denied/i,
  },
];

const ROWS = 'SELECT id, name FROM item ORDER BY id';

for (const { kind, start, create, wide, wrongPassword } of ENGINES) {
  describe(`${kind} nodes in Node-RED`, function () {
    this.timeout(240_000);
    let server: Server;
    let folder: string;
    let nodes: NodesRuntime | undefined;

    before(async function () {
      this.timeout(240_000);
      server = await start();
      for (const database of ['shop', 'crm']) {
        await server.query(create(database));
        await server.query('CREATE TABLE item (id INTEGER PRIMARY KEY, name VARCHAR(50))', database);
        await server.query(`INSERT INTO item VALUES (1, '${database}'), (2, 'ünïcode 🐘')`, database);
      }
    });

    after(() => server?.stop());

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'dbackup-nodes-servers-'));
      process.env.DBACKUP_DATA = join(folder, 'data');
    });

    afterEach(async () => {
      await nodes?.stop();
      nodes = undefined;
      delete process.env.DBACKUP_DATA;
      rmSync(folder, { recursive: true, force: true });
    });

    const disk = () => join(folder, 'disk');
    const setsOf = () => (existsSync(join(disk(), 'shop')) ? readdirSync(join(disk(), 'shop')) : []);
    const errors = () => (nodes?.recorded('Errors') ?? []).map(({ error }) => error?.message ?? '');

    async function run(flow: readonly FlowEntry[], settings = server.settings): Promise<NodesRuntime> {
      nodes = await startNodes([...flow, serverNode(kind, settings)], {
        credentials: serverSecrets(settings, ['server', 'bad']),
      });
      nodes.runtime.fire('go');
      return nodes;
    }

    function manifestOf(summary: SetSummary): Manifest {
      const file = join(disk(), summary.set, 'manifest.json');
      return parseManifest(readFileSync(file, 'utf8'), file);
    }

    const restore = (id: string, settings: object) => ({
      id,
      type: 'dbackup-restore',
      wires: ['Restored'],
      settings: { from: 'message', database: 'shop', overwrite: 'refuse', safetyCopy: true, ...settings },
    });

    it('store all databases and restore one of them under another name', async () => {
      const flow = serverFlow(kind, disk(), {
        source: { databases: ['*'], exclude: ['*r?'] },
        after: ['Result', 'restore'],
        more: [
          restore('restore', { server: 'server', target: 'shop_copy' }),
          { id: 'Restored', type: 'debug', wires: [] },
        ],
      });
      const running = await run([...flow]);
      const [message] = await running.records('Restored', 1);
      assert.deepEqual(errors(), []);
      assert.equal(payloadOf<{ database: string }>(message).database, 'shop');
      const [stored] = await running.records('Result', 1);
      const summary = payloadOf<SetSummary>(stored);
      assert.equal(summary.status, 'complete');
      const names = summary.databases.map(({ name }) => name);
      assert.ok(names.includes('shop') && names.includes(wide.name) && !names.includes('crm'), names.join());
      const { source } = manifestOf(summary).artifacts[0] ?? {};
      assert.equal(source, kind);
      assert.ok(
        !JSON.stringify([message, stored]).includes(JSON.stringify(server.settings.password).slice(1, -1)),
      );
      assert.deepEqual(await server.query(ROWS, 'shop_copy'), await server.query(ROWS, 'shop'));
      await server.query('DROP DATABASE shop_copy');
    });

    it('store one by its name, without what belongs to the server', async () => {
      const running = await run(serverFlow(kind, disk(), { source: { [wide.setting]: false } }));
      const [stored] = await running.records('Result', 1);
      assert.deepEqual(
        payloadOf<SetSummary>(stored).databases.map(({ name }) => name),
        ['shop'],
      );
    });

    it('store what can be stored when one of the databases does not exist', async () => {
      const source = { databases: ['shop', 'gone'], [wide.setting]: false };
      const running = await run(serverFlow(kind, disk(), { source }));
      const [stored] = await running.records('Result', 1);
      await running.runtime.tracker.idle();
      assert.equal(payloadOf<SetSummary>(stored).status, 'partial');
      assert.equal(errors().length, 1, errors().join('\n'));
      assert.match(errors()[0] ?? '', /^gone: /);
    });

    it('fail at once when there is no tool, which the history knows', async () => {
      const toolsFolder = mkdtempSync(join(folder, 'no-tools-'));
      const running = await run(serverFlow(kind, disk()), { ...server.settings, toolsFolder });
      await until(() => errors().length > 0, 120_000);
      await running.runtime.tracker.idle();
      assert.equal(errors().length, 1, errors().join('\n'));
      assert.ok(errors()[0]?.includes(toolsFolder), errors()[0]);
      assert.deepEqual(running.recorded('Result'), []);
      const store = await existingRuntime(running.runtime)?.store();
      await until(async () => (await store?.runs({ states: ['failed'] }))?.length === 1);
      const [failed] = (await store?.runs()) ?? [];
      assert.ok(failed?.error?.message.includes(toolsFolder), failed?.error?.message);
    });

    /** The usual flow, with a second source of the same run whose server has these settings. */
    const withSecond = (settings: Server['settings'], wires: readonly string[]): FlowEntry[] => {
      const second = {
        id: 'second',
        type: `dbackup-${kind}`,
        wires: ['zip'],
        settings: {
          job: 'shop',
          server: 'bad',
          databases: ['crm'],
          exclude: [],
          [wide.setting]: false,
          schemaVersion: 1,
        },
      };
      const flow = serverFlow(kind, disk(), { source: { [wide.setting]: false }, more: [second] });
      const wired = flow.map((entry) => (entry.id === 'source' ? { ...entry, wires: [wires] } : entry));
      return [...wired, { ...serverNode(kind, settings), id: 'bad', name: 'The other server' }];
    };

    it('fail alone in the run of another source when there is no tool', async () => {
      const toolsFolder = mkdtempSync(join(folder, 'no-tools-'));
      const running = await run(withSecond({ ...server.settings, toolsFolder }, ['second']));
      const [stored] = await running.records('Result', 1);
      await running.runtime.tracker.idle();
      const { status, databases } = payloadOf<SetSummary>(stored);
      assert.equal(status, 'partial');
      const failed = databases.filter((database) => database.status === 'failed');
      assert.equal(failed.length, 1);
      assert.ok(databases.length > failed.length, 'the others are stored');
      assert.equal(errors().length, 1, errors().join('\n'));
      assert.ok(errors()[0]?.includes(toolsFolder), errors()[0]);
    });

    it('wait for a server that does not answer before the run begins, and store the others', async () => {
      const proxy = await TestProxy.start(server.settings);
      proxy.accepts = 'silence';
      try {
        const { host, port } = proxy;
        const running = await run(
          withSecond({ ...server.settings, host, port, connectTimeout: 1 }, ['second']),
        );
        const [stored] = await running.records('Result', 1);
        await running.runtime.tracker.idle();
        assert.equal(running.recorded('Result').length, 1, 'one run for both');
        const { status, databases } = payloadOf<SetSummary>(stored);
        assert.equal(status, 'partial');
        assert.equal(databases.filter((database) => database.status === 'ok').length, 1);
        assert.equal(errors().length, 1, errors().join('\n'));
      } finally {
        await proxy.close();
      }
    });

    it('lose no message when a deploy comes while the server is asked', async () => {
      const proxy = await TestProxy.start(server.settings);
      proxy.accepts = 'silence';
      try {
        const { host, port } = proxy;
        const flow = serverFlow(kind, disk());
        const silent = { ...server.settings, host, port, connectTimeout: 2 };
        const running = await run(flow, silent);
        await until(() => proxy.connections > 0);
        const again = [...flow, serverNode(kind, silent)].map((entry) =>
          entry.type === 'debug' ? { ...entry, type: 'test-recorder' } : entry,
        );
        await running.runtime.deploy(again, 'full');
        await until(() => errors().length > 0, 120_000);
        await running.runtime.tracker.idle();
        assert.deepEqual(setsOf(), []);
        assert.deepEqual(running.runtime.tracker.activity(), []);
      } finally {
        await proxy.close();
      }
    });

    it('fail the run when the password is wrong, or nobody answers, and tell no secret', async () => {
      const password = 'this is not the password';
      const wrong = await run(serverFlow(kind, disk()), { ...server.settings, password });
      await until(() => errors().length > 0, 120_000);
      await wrong.runtime.tracker.idle();
      assert.match(errors().join('\n'), wrongPassword);
      assert.ok(!errors().join('\n').includes(password));
      await wrong.stop();
      await run(serverFlow(kind, disk()), { ...server.settings, port: await freePort() });
      await until(() => errors().length > 0, 120_000);
      assert.match(errors().join('\n'), /refused|cannot be reached|connect/i);
      assert.deepEqual(setsOf(), []);
    });

    it('refuse without a server, and a restore into none or into a file', async () => {
      const flow = serverFlow(kind, disk(), {
        after: ['none', 'wrong'],
        more: [
          restore('none', { server: '', target: 'x' }),
          restore('wrong', { server: 'other', target: 'x' }),
          { id: 'Restored', type: 'debug', wires: [] },
        ],
      });
      const otherKind = kind === 'postgres' ? 'mysql' : 'postgres';
      const other = { ...serverNode(otherKind, server.settings), id: 'other', name: 'Of the other engine' };
      await run([...flow, other]);
      await until(() => errors().length === 2, 120_000);
      assert.match(
        errors().sort().join('\n'),
        /which a .* server cannot take.*say which .* server it goes into/s,
      );
      await nodes?.stop();
      await run(serverFlow(kind, disk(), { source: { server: 'gone' } }));
      await until(() => errors().length === 1);
      assert.match(errors()[0] ?? '', /The (PostgreSQL|MySQL) server that this node refers to is missing/);
    });
  });
}
