import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import { ADMIN_ROOT } from '../../nodes/admin-routes.ts';
import { apiToken } from '../../runner/runs-handler.ts';
import { type NodesRuntime, startNodes } from '../support/backup-nodes.ts';
import { backupFlow } from '../support/runner-flows.ts';
import { until } from '../support/until.ts';

const TOKEN = '0123456789abcdef0123456789abcdef';

describe("runs on the runner's port", function () {
  this.timeout(60_000);
  let root: string;
  let nodes: NodesRuntime | undefined;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'dbackup-runner-runs-'));
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    rmSync(root, { recursive: true, force: true });
  });

  async function start(token: string | undefined): Promise<string> {
    const database = join(root, 'shop.sqlite');
    createSampleDatabase(database, 200_000);
    const first = mkdtempSync(join(root, 'first-'));
    const flow = backupFlow({ database, first, second: first }, { key: null, stores: ['near'] });
    nodes = await startNodes(flow, {
      http: { port: 0, apiToken: token },
      settings: { dbackup: { dataDir: join(root, 'data'), minFreeMiB: 0 } },
    });
    return nodes.runtime.url ?? '';
  }

  const ask = (url: string, path: string, token?: string, method = 'GET') =>
    fetch(`${url}${ADMIN_ROOT}/${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });

  it('are told to those who know the token', async () => {
    const url = await start(TOKEN);
    for (const path of ['runs', 'runs/events', 'runs/x', 'runs?limit=x']) {
      for (const token of [undefined, '', 'wrong', `${TOKEN}0`, TOKEN.slice(0, -1)]) {
        const refused = await ask(url, path, token);
        assert.equal(refused.status, 401, path);
        assert.match(refused.headers.get('www-authenticate') ?? '', /^Bearer/);
      }
    }
    const stream = await ask(url, 'runs/events', TOKEN);
    assert.equal(stream.status, 200);
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    let heard = '';
    const reading = (async () => {
      for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
        heard += part.value;
      }
    })();
    nodes?.runtime.fire('go');
    await until(() => heard.includes('event: succeeded'));
    const runId = /"runId":"([^"]+)"/.exec(heard)?.[1];
    const { recent } = (await (await ask(url, 'runs', TOKEN)).json()) as { recent: { id: string }[] };
    assert.deepEqual(
      recent.map(({ id }) => id),
      [runId],
    );
    assert.equal((await ask(url, `runs/${runId}`, TOKEN)).status, 200);
    assert.equal((await ask(url, 'runs/none', TOKEN)).status, 404);
    assert.equal((await ask(url, 'runs?limit=0', TOKEN)).status, 400);
    assert.equal((await ask(url, 'runs?job=a&job=b', TOKEN)).status, 400);
    assert.equal((await ask(url, 'runs', TOKEN, 'POST')).status, 404, 'nothing can be done there');
    await nodes?.stop();
    nodes = undefined;
    await reading;
  });

  it('are told to nobody without a token', async () => {
    const url = await start(undefined);
    for (const path of ['runs', 'runs/events', 'runs/x']) {
      const refused = await ask(url, path, TOKEN);
      assert.equal(refused.status, 403);
      const { error } = (await refused.json()) as { error: string };
      assert.match(error, /^Set DBACKUP_API_TOKEN/);
    }
    assert.equal((await ask(url, 'runs/x/y', TOKEN)).status, 404, 'that is no path of ours');
  });

  it('survive what no client sends', async () => {
    const url = new URL(await start(TOKEN));
    for (const path of ['//', '///x', `${ADMIN_ROOT}/runs/%`, `${ADMIN_ROOT}/runs/%2e%2e%2fx`, '/a b', '*']) {
      const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
      // fetch would not send these as they are.
      const sent = request({ host: url.hostname, port: url.port, agent: false });
      sent.path = path.replace(' ', '%20');
      sent.setHeader('authorization', `Bearer ${TOKEN}`);
      sent.on('response', (response) => resolve(response.resume().statusCode));
      sent.on('error', reject);
      sent.end();
      assert.ok([400, 404].includes((await promise) ?? 0), path);
    }
  });

  it('take a token from the environment or a file that nobody can guess', async () => {
    const file = join(root, 'token');
    writeFileSync(file, `${TOKEN}\n`);
    assert.equal(await apiToken({}), undefined);
    assert.equal(await apiToken({ DBACKUP_API_TOKEN: TOKEN }), TOKEN);
    assert.equal(await apiToken({ DBACKUP_API_TOKEN_FILE: file }), TOKEN);
    await assert.rejects(apiToken({ DBACKUP_API_TOKEN: 'short' }), {
      code: 'invalid-config',
      message: /shorter than 16 characters/,
    });
  });
});
