import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeRedApp } from 'node-red';
import { ADMIN_ROOT, ADMIN_ROUTES } from '../../nodes/admin-routes.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import { memoryStorage } from '../../runner/memory-storage.ts';
import { sourcePackage } from '../support/backup-nodes.ts';

const RED: NodeRedApp = createRequire(import.meta.url)('node-red');

/** Node-RED with its editor and two users: one who may only look, and one who may do anything. */
describe('admin routes in Node-RED', () => {
  const root = mkdtempSync(join(tmpdir(), 'dbackup-admin-'));
  let server: Server;
  let url: string;

  before(async () => {
    let app: RequestListener = (_request, response) => response.writeHead(503).end();
    server = createServer((request, response) => app(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const users = async (username: string) => ({
      username,
      permissions: username === 'reader' ? 'read' : '*',
    });
    const settings = {
      userDir: root,
      nodesDir: [sourcePackage(root)],
      httpAdminRoot: '/',
      httpNodeRoot: '/node',
      adminAuth: { type: 'credentials', users, authenticate: (username: string) => users(username) },
      storageModule: memoryStorage([], {}),
      credentialSecret: 'test',
      editorTheme: { palette: { catalogues: [] }, tours: false },
      externalModules: { palette: { allowInstall: false } },
      telemetry: { enabled: false },
      logging: { console: { level: 'off' } },
      dbackup: { dataDir: join(root, 'data') },
    };
    RED.init(server, settings as never);
    app = RED.httpAdmin as unknown as RequestListener;
    await RED.start();
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
        scope: username === 'reader' ? 'read' : '*',
        username,
        password: 'x',
      }),
    });
    assert.equal(response.status, 200, username);
    return ((await response.json()) as { access_token: string }).access_token;
  };
  const ask = (route: string, body: unknown, token?: string) =>
    fetch(`${url}${ADMIN_ROOT}/${route}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
    });
  const storage = (folder: string) => ({
    type: 'dbackup-local-storage',
    settings: { name: '', root: join(root, folder), create: true, mountPoint: false, reserveMiB: '0' },
  });

  for (const { route, permission } of ADMIN_ROUTES) {
    const harmless = permission.endsWith('.read');
    it(`${route} refuses a stranger${harmless ? '' : ', and a user who may only look'}`, async () => {
      const refused = storage('refused');
      assert.equal((await ask(route, refused)).status, 401);
      // No storage has this button: who may ask is told so.
      const answer = await ask(route, refused, await tokenOf('reader'));
      assert.equal(answer.status, harmless ? 400 : 401);
      assert.ok(!readdirSync(root).includes('refused'), 'nothing was done');
    });
  }

  it('tests a storage for a user who may write, and leaves nothing in it', async () => {
    const response = await ask('storages/test', storage('allowed'), await tokenOf('writer'));
    assert.equal(response.status, 200);
    assert.equal(((await response.json()) as { level: string }).level, 'ok');
    assert.deepEqual(readdirSync(join(root, 'allowed')), []);
  });

  it('lists databases, and says what a wrong form lacks', async () => {
    const token = await tokenOf('writer');
    const wrong = { type: 'dbackup-sqlite', settings: { job: '', files: [] } };
    const answer = (await (await ask('sources/databases', wrong, token)).json()) as { message: string };
    assert.equal(answer.message, 'This node is not set up: files is missing', 'the job does not matter here');
  });

  it('tells of a key without making anything', async () => {
    process.env.DBACKUP_MASTER_KEY = 'correct-horse-battery';
    const key = { type: 'dbackup-key', settings: { kind: 'vault', keyName: 'main', masterSecret: '' } };
    const answer = (await (await ask('keys/test', key, await tokenOf('writer'))).json()) as { text: string };
    delete process.env.DBACKUP_MASTER_KEY;
    assert.equal(answer.text, 'test.newVault');
    assert.ok(!readdirSync(root).includes('data'));
  });
});
