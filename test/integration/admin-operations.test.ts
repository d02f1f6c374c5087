import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeRedApp } from 'node-red';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import type { HealthReport } from '../../lib/health/check.ts';
import type { RunLogPage } from '../../lib/store/logs.ts';
import { ADMIN_ROOT } from '../../nodes/admin-routes.ts';
import { OPERATION_ROUTES } from '../../nodes/operations/admin-operations.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import { memoryStorage } from '../../runner/memory-storage.ts';
import { sourcePackage } from '../support/backup-nodes.ts';
import { sampleOf } from '../support/metric-samples.ts';
import { backupFlow } from '../support/runner-flows.ts';
import { until } from '../support/until.ts';

const RED: NodeRedApp = createRequire(import.meta.url)('node-red');

const PERMISSIONS: Readonly<Record<string, string>> = {
  reader: 'read',
  scraper: 'dbackup.metrics.read',
  nobody: 'flows.read',
};

/** Node-RED with its editor, a backup flow, and users who may do different things. */
describe('health and metrics of Node-RED with its editor', function () {
  this.timeout(60_000);
  const root = mkdtempSync(join(tmpdir(), 'dbackup-admin-'));
  let server: Server;
  let url: string;

  before(async () => {
    const database = join(root, 'shop.sqlite');
    createSampleDatabase(database, 200_000);
    const first = mkdtempSync(join(root, 'first-'));
    const flow = backupFlow({ database, first, second: first }, { key: null, stores: ['near'] });
    let app: RequestListener = (_request, response) => response.writeHead(503).end();
    server = createServer((request, response) => app(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const users = async (username: string) => ({ username, permissions: PERMISSIONS[username] ?? '' });
    const settings = {
      userDir: root,
      nodesDir: [sourcePackage(root)],
      httpAdminRoot: '/',
      httpNodeRoot: '/node',
      adminAuth: { type: 'credentials', users, authenticate: (username: string) => users(username) },
      storageModule: memoryStorage(flow, {}),
      credentialSecret: 'test',
      editorTheme: { palette: { catalogues: [] }, tours: false },
      externalModules: { palette: { allowInstall: false } },
      telemetry: { enabled: false },
      logging: { console: { level: 'off' } },
      dbackup: { dataDir: join(root, 'data'), minFreeMiB: 0 },
    };
    RED.init(server, settings as never);
    app = RED.httpAdmin as unknown as RequestListener;
    const started = new Promise<void>((resolve) => RED.events.once('flows:started', resolve));
    await RED.start();
    await started;
  });

  after(async () => {
    await existingRuntime(RED)?.shutdown('the test ends');
    await RED.stop();
    server.closeAllConnections();
    server.close();
    rmSync(root, { recursive: true, force: true });
  });

  const tokenOf = async (username: string): Promise<string> => {
    const response = await fetch(`${url}/auth/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        client_id: 'node-red-admin',
        grant_type: 'password',
        scope: PERMISSIONS[username],
        username,
        password: 'x',
      }),
    });
    assert.equal(response.status, 200);
    return ((await response.json()) as { access_token: string }).access_token;
  };
  const ask = (route: string, token?: string) =>
    fetch(`${url}${ADMIN_ROOT}/${route}`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });

  for (const { route } of OPERATION_ROUTES) {
    it(`${route} refuses a stranger, and a user who may do something else`, async () => {
      assert.equal((await ask(route)).status, 401);
      assert.equal((await ask(route, await tokenOf('nobody'))).status, 401);
      const forScraper = (await ask(route, await tokenOf('scraper'))).status;
      assert.equal(forScraper, route === 'metrics' ? 200 : 401);
    });
  }

  it('tells a user who may read that it is alive and ready', async () => {
    const token = await tokenOf('reader');
    assert.equal((await ask('healthz', token)).status, 200);
    await until(async () => (await ask('readyz', token)).status === 200);
    const { state, checks } = (await (await ask('readyz', token)).json()) as HealthReport;
    assert.equal(state, 'ok');
    assert.deepEqual(
      checks.map(({ name }) => name),
      ['flows', 'store', 'engine', 'queue', 'free-space'],
    );
  });

  it('gives the metrics of what runs', async () => {
    const token = await tokenOf('reader');
    const page = async () => await (await ask('metrics', token)).text();
    const succeeded = { backup_job: 'shop', state: 'succeeded' };
    assert.equal(sampleOf(await page(), 'dbackup_runs_total', succeeded), 0);
    const nodes = RED.nodes as unknown as { getNode(id: string): { receive(message: object): void } };
    nodes.getNode('go').receive({});
    await until(async () => sampleOf(await page(), 'dbackup_runs_total', succeeded) === 1);
  });

  it('shows the log of a run to whom may read runs', async () => {
    const token = await tokenOf('reader');
    const [run] =
      (await existingRuntime(RED)
        ?.store()
        .then((store) => store.runs())) ?? [];
    assert.ok(run !== undefined);
    const route = `runs/${run.id}/logs`;
    assert.equal((await ask(route)).status, 401);
    assert.equal((await ask(route, await tokenOf('scraper'))).status, 401);
    const page = (await (await ask(route, token)).json()) as RunLogPage;
    assert.deepEqual([page.run, page.job, page.state], [run.id, 'shop', 'succeeded']);
    assert.match(page.lines.at(-1)?.message ?? '', /^Succeeded after/);
    const { number } = page.lines[1] ?? {};
    const rest = (await (await ask(`${route}?after=${number}&limit=1`, token)).json()) as RunLogPage;
    assert.deepEqual(rest.lines, [page.lines[2]]);
    const warnings = (await (await ask(`${route}?level=warn`, token)).json()) as RunLogPage;
    assert.deepEqual(warnings.lines, []);
    assert.equal((await ask(`${route}?level=loud`, token)).status, 400);
    assert.equal((await ask('runs/none/logs', token)).status, 404);
  });
});
