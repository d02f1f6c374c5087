import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeRedApp } from 'node-red';
import type { JobRecord } from '../../lib/runs/job-memory.ts';
import { ADMIN_ROOT } from '../../nodes/admin-routes.ts';
import { JOB_ROUTES } from '../../nodes/operations/admin-jobs.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import { memoryStorage } from '../../runner/memory-storage.ts';
import { sourcePackage } from '../support/backup-nodes.ts';
import { backupFlow } from '../support/runner-flows.ts';

const RED: NodeRedApp = createRequire(import.meta.url)('node-red');

const PERMISSIONS: Readonly<Record<string, string>> = {
  reader: 'read',
  operator: 'dbackup.jobs.write',
  nobody: 'flows.read',
};

describe('jobs of Node-RED with its editor', function () {
  this.timeout(60_000);
  const root = mkdtempSync(join(tmpdir(), 'dbackup-admin-'));
  let server: Server;
  let url: string;

  before(async () => {
    const missing = join(root, 'missing');
    const places = { database: join(missing, 'shop.sqlite'), first: missing, second: missing };
    const flow = backupFlow(places, { key: null, stores: ['near'] });
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
      dbackup: { dataDir: join(root, 'data'), deadLetterAfter: 1, destinationAttempts: 1 },
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
  /** Without a body it is a GET. */
  const ask = (route: string, token?: string, body?: object) =>
    fetch(`${url}${ADMIN_ROOT}/${route}`, {
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
  const jobsIn = async (answer: Promise<Response>) =>
    ((await (await answer).json()) as { jobs: JobRecord[] }).jobs;

  async function fail(): Promise<void> {
    const runtime = existingRuntime(RED) ?? assert.fail();
    const finished = new Promise((resolve) => runtime.engine.events.once('finished', resolve));
    const nodes = RED.nodes as unknown as { getNode(id: string): { receive(message: object): void } };
    nodes.getNode('go').receive({});
    await finished;
  }

  for (const { method, route } of JOB_ROUTES) {
    it(`${method} ${route} refuses a stranger, and a user who may do something else`, async () => {
      const body = method === 'post' ? { job: 'shop' } : undefined;
      assert.equal((await ask(route, undefined, body)).status, 401);
      assert.equal((await ask(route, await tokenOf('nobody'), body)).status, 401);
      const forReader = (await ask(route, await tokenOf('reader'), body)).status;
      assert.equal(forReader, method === 'get' ? 200 : 401);
    });
  }

  it('lists them, puts one back and forgets it', async () => {
    const [reader, operator] = [await tokenOf('reader'), await tokenOf('operator')];
    await fail();
    const [dead] = await jobsIn(ask('jobs?state=dead-lettered', reader));
    assert.deepEqual([dead?.job, dead?.failures, dead?.errors.length], ['shop', 1, 1]);
    assert.equal((await jobsIn(ask('jobs?job=shop&errors=0', reader)))[0]?.errors.length, 0);
    const [back] = await jobsIn(ask('jobs/requeue', operator, { job: 'shop' }));
    assert.deepEqual([back?.state, back?.failures], ['healthy', 0]);
    assert.deepEqual(await jobsIn(ask('jobs?state=dead-lettered', reader)), []);
    assert.deepEqual(await jobsIn(ask('jobs/discard', operator, { job: 'shop' })), []);
    assert.deepEqual(await jobsIn(ask('jobs', reader)), []);
  });

  it('says what is wrong with a question', async () => {
    const [reader, operator] = [await tokenOf('reader'), await tokenOf('operator')];
    for (const route of ['jobs?state=broken', 'jobs?errors=-1', 'jobs?jobs=shop']) {
      assert.equal((await ask(route, reader)).status, 400, route);
    }
    for (const body of [{}, { job: '' }, { job: 'shop', force: true }]) {
      assert.equal((await ask('jobs/requeue', operator, body)).status, 400, JSON.stringify(body));
    }
    for (const route of ['jobs/requeue', 'jobs/discard']) {
      const answer = await ask(route, operator, { job: 'other' });
      assert.equal(answer.status, 404);
      assert.match(((await answer.json()) as { error: string }).error, /There is no job "other"/);
    }
  });
});
