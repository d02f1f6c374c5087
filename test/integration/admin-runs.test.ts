import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeRedApp } from 'node-red';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import type { BackupEvent } from '../../lib/events/run-event.ts';
import type { RunRecord } from '../../lib/store/history.ts';
import { ADMIN_ROOT } from '../../nodes/admin-routes.ts';
import { type EditorNews, NEWS_TOPIC } from '../../nodes/editor-news.ts';
import { RUN_ROUTES } from '../../nodes/operations/admin-runs.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import { memoryStorage } from '../../runner/memory-storage.ts';
import { sourcePackage } from '../support/backup-nodes.ts';
import { backupFlow } from '../support/runner-flows.ts';
import { until } from '../support/until.ts';

const RED: NodeRedApp = createRequire(import.meta.url)('node-red');

const PERMISSIONS: Readonly<Record<string, string>> = {
  reader: 'read',
  watcher: 'dbackup.runs.read',
  scraper: 'dbackup.metrics.read',
};

interface ActiveRun {
  readonly runId: string;
  readonly job: string;
  readonly state: string;
  readonly trigger?: string;
  readonly progress?: BackupEvent;
}

/** Node-RED with its editor, a slow backup, and users who may do different things. */
describe('runs over the admin server of Node-RED', function () {
  this.timeout(60_000);
  const root = mkdtempSync(join(tmpdir(), 'dbackup-admin-runs-'));
  let server: Server;
  let url: string;

  before(async () => {
    const database = join(root, 'shop.sqlite');
    createSampleDatabase(database, 400_000);
    const first = mkdtempSync(join(root, 'first-'));
    const places = { database, first, second: first };
    const flow = backupFlow(places, { key: null, stores: ['near'], rate: 0.05 });
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
  const ask = (route: string, token?: string, headers: object = {}) =>
    fetch(`${url}${ADMIN_ROOT}/${route}`, {
      headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    });
  const engine = () => {
    const found = existingRuntime(RED);
    assert.ok(found !== undefined);
    return found.engine;
  };
  const fire = () => {
    const nodes = RED.nodes as unknown as { getNode(id: string): { receive(message: object): void } };
    nodes.getNode('go').receive({});
  };

  /** Collects the events of a stream until it ends. */
  async function follow(token: string, headers: object = {}) {
    const response = await ask('runs/events', token, headers);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    const heard: { id: string | undefined; event: BackupEvent }[] = [];
    const reader = response.body?.getReader();
    assert.ok(reader !== undefined);
    const done = (async () => {
      const decoder = new TextDecoder();
      let rest = '';
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const blocks = (rest + decoder.decode(part.value, { stream: true })).split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) {
          const data = /^data: (.*)$/m.exec(block)?.[1];
          const id = /^id: (.*)$/m.exec(block)?.[1];
          if (data !== undefined) heard.push({ id, event: JSON.parse(data) as BackupEvent });
        }
      }
    })();
    return { heard, done, leave: () => reader.cancel() };
  }

  for (const route of RUN_ROUTES) {
    it(`${route} refuses a stranger, and a user who may do something else`, async () => {
      assert.equal((await ask(route)).status, 401);
      assert.equal((await ask(route, await tokenOf('scraper'))).status, 401);
    });
  }

  it('shows the runs that go on, and then how they ended', async () => {
    const token = await tokenOf('watcher');
    assert.deepEqual(await (await ask('runs', token)).json(), { active: [], recent: [] });
    const { heard, done, leave } = await follow(token);
    fire();
    await until(() => heard.some(({ event }) => event.event === 'progress'));
    const { active } = (await (await ask('runs', token)).json()) as { active: ActiveRun[] };
    const [run] = active;
    assert.deepEqual([active.length, run?.job, run?.state, run?.trigger], [1, 'shop', 'running', 'message']);
    assert.equal(run?.progress?.event, 'progress');
    const runId = run?.runId ?? '';
    const one = (await (await ask(`runs/${runId}`, token)).json()) as { active: ActiveRun; run: RunRecord };
    assert.deepEqual([one.active.runId, one.run.id, one.run.state], [runId, runId, 'running']);
    engine().cancel(runId, 'the test has seen enough');
    await until(() => heard.some(({ event }) => event.event === 'cancelled'));
    const after = (await (await ask('runs?job=shop&limit=1', token)).json()) as {
      active: ActiveRun[];
      recent: RunRecord[];
    };
    assert.deepEqual(after.active, []);
    assert.deepEqual(
      after.recent.map(({ id, state }) => ({ id, state })),
      [{ id: runId, state: 'cancelled' }],
    );
    const other = (await (await ask('runs?job=other', token)).json()) as { recent: RunRecord[] };
    assert.deepEqual(other.recent, []);
    await leave();
    await done;
    const names = heard.map(({ event }) => event.event).filter((name) => name !== 'progress');
    assert.deepEqual(names, ['started', 'cancelled']);
    // Who comes back is told what came meanwhile.
    const again = await follow(await tokenOf('reader'), { 'last-event-id': heard[0]?.id ?? '' });
    await until(() => again.heard.length > 0);
    assert.deepEqual(
      again.heard.map(({ event }) => event.event),
      ['cancelled'],
    );
    await again.leave();
    await again.done;
  });

  it('says what it does not know', async () => {
    const token = await tokenOf('watcher');
    const unknown = await ask('runs/20260101T000000Z_00000000', token);
    assert.equal(unknown.status, 404);
    assert.deepEqual(await unknown.json(), { error: 'There is no run 20260101T000000Z_00000000' });
    for (const query of ['limit=0', 'limit=501', 'limit=x', 'limit=1.5', 'job=a&job=b']) {
      assert.equal((await ask(`runs?${query}`, token)).status, 400, query);
    }
  });

  it('tells open editors how runs get on, without a path', async () => {
    const news: EditorNews[] = [];
    const listener = ({ topic, data }: { topic: string; data: EditorNews }) => {
      if (topic === NEWS_TOPIC) news.push(data);
    };
    RED.events.on('comms', listener);
    try {
      fire();
      await until(() => news.some(({ event }) => event === 'progress'));
      for (const { runId } of engine().activeRuns()) engine().cancel(runId, 'the test has seen enough');
      await until(() => news.some(({ event }) => event === 'cancelled'));
    } finally {
      RED.events.removeListener('comms', listener);
    }
    const progress = news.find(({ event }) => event === 'progress');
    assert.deepEqual([progress?.job, progress?.stage], ['shop', 'dumping']);
    assert.ok(!JSON.stringify(news).includes(root));
  });

  it('ends streams when Node-RED ends', async () => {
    const { done } = await follow(await tokenOf('watcher'));
    await existingRuntime(RED)?.shutdown('the test ends');
    await done;
    assert.equal((await ask('runs/events', await tokenOf('watcher'))).status, 503);
    assert.equal((await ask('runs', await tokenOf('watcher'))).status, 503);
  });
});
