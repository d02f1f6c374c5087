import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { NodeRedApp } from 'node-red';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import { sqliteFile } from '../../lib/store/sqlite.ts';
import { ADMIN_ROOT } from '../../nodes/admin-routes.ts';
import { QUEUE_ROUTES, type QueueEntry } from '../../nodes/operations/admin-queue.ts';
import { type BackupRuntime, existingRuntime } from '../../nodes/runtime.ts';
import { memoryStorage } from '../../runner/memory-storage.ts';
import { sourcePackage } from '../support/backup-nodes.ts';
import { backupFlow } from '../support/runner-flows.ts';
import { until } from '../support/until.ts';

const RED: NodeRedApp = createRequire(import.meta.url)('node-red');
const PATIENCE_MS = 120_000;

const PERMISSIONS: Readonly<Record<string, string>> = { reader: 'read', writer: '*', nobody: 'flows.read' };

/** Node-RED with its editor, and a backup that takes far longer than the test. */
describe('queue and cancel at the admin server of Node-RED', function () {
  this.timeout(240_000);
  const root = mkdtempSync(join(tmpdir(), 'dbackup-admin-'));
  const data = join(root, 'data');
  let first: string;
  let server: Server;
  let url: string;
  let backup: BackupRuntime;

  before(async () => {
    const database = join(root, 'shop.sqlite');
    createSampleDatabase(database, 60_000_000);
    first = mkdtempSync(join(root, 'first-'));
    const places = { database, first, second: first };
    const flow = backupFlow(places, { key: null, stores: ['near'], rate: 0.5 });
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
      dbackup: { dataDir: data, concurrency: 1 },
    };
    RED.init(server, settings as never);
    app = RED.httpAdmin as unknown as RequestListener;
    const started = new Promise<void>((resolve) => RED.events.once('flows:started', resolve));
    await RED.start();
    await started;
    const runtime = existingRuntime(RED);
    assert.ok(runtime);
    backup = runtime;
  });

  after(async () => {
    await existingRuntime(RED)?.shutdown('the test ends');
    await RED.stop();
    server.closeAllConnections();
    server.close();
    rmSync(root, { recursive: true, force: true });
  });

  const headers = async (username: string): Promise<Record<string, string>> => {
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
    const { access_token: token } = (await response.json()) as { access_token: string };
    return { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  };
  const queue = async (): Promise<{ limits: object; runs: QueueEntry[] }> => {
    const response = await fetch(`${url}${ADMIN_ROOT}/queue`, { headers: await headers('reader') });
    assert.equal(response.status, 200);
    return (await response.json()) as { limits: object; runs: QueueEntry[] };
  };
  const cancel = async (body: object) => {
    const response = await fetch(`${url}${ADMIN_ROOT}/runs/cancel`, {
      method: 'POST',
      headers: await headers('writer'),
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as { error?: string } };
  };

  it('refuse a stranger, and those who may do something else', async () => {
    for (const { method, route } of QUEUE_ROUTES) {
      const ask = async (username?: string) =>
        fetch(`${url}${ADMIN_ROOT}/${route}`, {
          method,
          ...(username === undefined ? {} : { headers: await headers(username) }),
        });
      assert.equal((await ask()).status, 401, route);
      assert.equal((await ask('nobody')).status, 401, route);
      if (method === 'post') assert.equal((await ask('reader')).status, 401, route);
    }
  });

  it('show runs with their places, end them with their reason, and leave nothing', async () => {
    assert.deepEqual(await queue(), { limits: { concurrency: 1, perServer: 1 }, runs: [] });
    const results: RunResult[] = [];
    backup.engine.events.on('finished', (result) => results.push(result));
    const inject = async () => {
      const { status } = await fetch(`${url}/inject/go`, {
        method: 'POST',
        headers: await headers('writer'),
      });
      assert.equal(status, 200);
    };
    await inject();
    await until(() => backup.engine.activeRuns().some(({ state }) => state === 'running'), PATIENCE_MS);
    await inject();
    await until(() => backup.engine.activeRuns().some(({ place }) => place !== undefined), PATIENCE_MS);
    const { runs } = await queue();
    assert.deepEqual(
      runs.map(({ job, state, position, count }) => [job, state, position, count]),
      [
        ['shop', 'running', undefined, undefined],
        ['shop', 'queued', 1, 1],
      ],
    );
    const [running = '', waiting = ''] = runs.map(({ id }) => id);
    assert.deepEqual(await cancel({ run: waiting, reason: 'not tonight' }), {
      status: 200,
      body: { run: waiting, cancelling: true },
    });
    await until(() => results.length === 1, PATIENCE_MS);
    const asked = `UPDATE runs SET cancel_reason = 'of another process' WHERE id = '${running}'`;
    await promisify(execFile)('sqlite3', ['-cmd', '.timeout 60000', sqliteFile(data), asked]);
    await until(() => results.length === 2, PATIENCE_MS);
    assert.deepEqual(
      results.map(({ state, error }) => [state, /cancelled: (.*)$/.exec(error?.message ?? '')?.[1]]),
      [
        ['cancelled', 'not tonight'],
        ['cancelled', 'of another process'],
      ],
    );
    assert.deepEqual(readdirSync(first, { recursive: true }), []);
    const late = await cancel({ run: running });
    assert.equal(late.status, 409);
    assert.match(late.body.error ?? '', /has ended already: it is cancelled/);
    assert.deepEqual((await queue()).runs, []);
  });

  it('say what is wrong with a question', async () => {
    assert.equal((await cancel({ run: 'nothing' })).status, 404);
    for (const body of [{}, { run: '' }, { run: 'a', reason: '' }, { run: 'a', more: 1 }]) {
      assert.equal((await cancel(body)).status, 400, JSON.stringify(body));
    }
  });
});
