import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunAnnotations } from '../../lib/plan/run-annotations.ts';
import type { SetSummary } from '../../nodes/set-summary.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { idOf, type NodesRuntime, payloadOf, startNodes, template } from '../support/backup-nodes.ts';
import { bearerRequest, signedRequest } from '../support/signed-request.ts';
import { TemplateEnvironment, WEBHOOK_SECRET, WEBHOOK_TOKEN } from '../support/template-environment.ts';

describe('webhook nodes', function () {
  this.timeout(60_000);
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime | undefined;

  beforeEach(() => {
    environment = new TemplateEnvironment();
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    environment.remove();
  });

  async function start(flows: readonly FlowEntry[]) {
    nodes = await startNodes(flows, { http: { port: 0 } });
    return { nodes, url: `${nodes.runtime.url}${String(flows.find(({ type }) => type === 'http in')?.url)}` };
  }

  const changed = (name: string, type: string, settings: object): FlowEntry[] => {
    const flows = template(name);
    const id = idOf(flows, type);
    return flows.map((entry) => (entry.id === id ? { ...entry, ...settings } : entry));
  };

  async function answerOf(response: Response) {
    return { status: response.status, body: (await response.json()) as Readonly<Record<string, string>> };
  }

  const annotationsIn = ({ set }: SetSummary) =>
    (
      JSON.parse(readFileSync(join(environment.first, set, 'manifest.json'), 'utf8')) as {
        recipe: { annotations?: RunAnnotations };
      }
    ).recipe.annotations;

  it('27: who bears the token starts a backup, with what the body says about it', async () => {
    const { nodes, url } = await start(template('27-webhook-bearer'));
    const body = { databases: ['app.sqlite'], tags: ['pre-migration'], note: 'Before 2.0', pin: true };
    const { status, body: answer } = await answerOf(
      await fetch(url, bearerRequest(JSON.stringify(body), WEBHOOK_TOKEN)),
    );
    assert.deepEqual([status, answer.job, answer.state], [202, 'app', 'planning']);
    const [message] = await nodes.records('Result', 1);
    const summary = payloadOf<SetSummary>(message);
    assert.equal(summary.runId, answer.run);
    assert.deepEqual(annotationsIn(summary), { tags: ['pre-migration'], note: 'Before 2.0', pinned: true });
    // What was said about this run is not said about the next one, and the token ends at the node.
    for (const name of ['databases', 'tags', 'note', 'pin', 'req'])
      assert.ok(!(name in Object(message)), name);
    assert.ok(!nodes.lines.some((line) => line.message.includes(WEBHOOK_TOKEN)));
    assert.deepEqual(nodes.recorded('Errors'), []);
  });

  it('27: turns away everybody else, without an error of the flow', async () => {
    const { nodes, url } = await start(template('27-webhook-bearer'));
    const ask = async (request: RequestInit) => {
      const response = await fetch(url, request);
      assert.equal(response.status === 401, response.headers.has('www-authenticate'));
      return [response.status, ((await response.json()) as { error: string }).error];
    };
    const json = (body: string) => ask(bearerRequest(body, WEBHOOK_TOKEN));
    assert.deepEqual(await ask(bearerRequest('', 'another-token-1234567')), [401, 'The token is wrong']);
    assert.equal((await ask({ method: 'POST' }))[0], 401);
    assert.equal(
      (await ask({ method: 'POST', headers: { authorization: `Basic ${WEBHOOK_TOKEN}` } }))[0],
      401,
    );
    assert.equal((await json('{"pin": "yes"}'))[0], 400);
    assert.equal((await json('{"database": "app"}'))[0], 400);
    assert.equal((await json('["app"]'))[0], 400);
    const form = { ...bearerRequest('tags=a', WEBHOOK_TOKEN) };
    form.headers = { ...form.headers, 'content-type': 'application/x-www-form-urlencoded' };
    assert.equal((await ask(form))[0], 400);
    await nodes.runtime.tracker.idle();
    assert.deepEqual([nodes.recorded('Result'), nodes.recorded('Errors')], [[], []]);
  });

  it('27: what the source does not dump cannot be asked for: 422 says so, and no run is opened', async () => {
    const { nodes, url } = await start(template('27-webhook-bearer'));
    const request = bearerRequest('{"databases": ["users.sqlite"]}', WEBHOOK_TOKEN);
    const { status, body } = await answerOf(await fetch(url, request));
    assert.equal(status, 422);
    assert.match(
      body.error ?? '',
      /"users\.sqlite", which is none of the databases of this source: app\.sqlite/,
    );
    assert.equal(nodes.recorded('Errors').length, 1);
    assert.deepEqual(nodes.recorded('Result'), []);
  });

  it('refuses what a node does not let requests say', async () => {
    const { url } = await start(changed('27-webhook-bearer', 'dbackup-webhook', { parameters: ['tags'] }));
    const refused = await fetch(url, bearerRequest('{"tags": ["a"], "pin": true}', WEBHOOK_TOKEN));
    assert.equal(refused.status, 403);
    assert.equal((await fetch(url, bearerRequest('{"tags": ["a"]}', WEBHOOK_TOKEN))).status, 202);
  });

  it('28: a signed request passes once, whatever comes at the same time', async () => {
    const { nodes, url } = await start(template('28-webhook-hmac'));
    const same = signedRequest('{"tags": ["same"]}', WEBHOOK_SECRET);
    const others = Array.from({ length: 4 }, (_, i) => signedRequest(`{"tags": ["t${i}"]}`, WEBHOOK_SECRET));
    const answers = await Promise.all(
      [same, same, same, ...others].map(async (each) => answerOf(await fetch(url, each))),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    assert.equal(accepted.length, 5);
    assert.equal(
      answers.filter(({ status, body }) => status === 401 && /come before/.test(body.error ?? '')).length,
      2,
    );
    const messages = await nodes.records('Result', 5);
    assert.deepEqual(
      messages.map((message) => payloadOf<SetSummary>(message).runId).sort(),
      accepted.map(({ body }) => body.run).sort(),
    );
    const tags = messages.flatMap((message) => annotationsIn(payloadOf<SetSummary>(message))?.tags ?? []);
    assert.deepEqual(tags.sort(), ['same', 't0', 't1', 't2', 't3']);
    assert.deepEqual(nodes.recorded('Errors'), []);
  });

  it('28: refuses requests that are not signed, signed otherwise, too old or changed on the way', async () => {
    const { nodes, url } = await start(template('28-webhook-hmac'));
    const now = Math.floor(Date.now() / 1000);
    const status = async (request: RequestInit) => (await fetch(url, request)).status;
    assert.equal(await status({ method: 'POST', body: '{}' }), 401);
    assert.equal(await status(bearerRequest('', WEBHOOK_SECRET)), 401);
    assert.equal(await status(signedRequest('{}', 'another-secret-12345')), 401);
    assert.equal(await status(signedRequest('{}', WEBHOOK_SECRET, now - 600)), 401);
    assert.equal(await status(signedRequest('{}', WEBHOOK_SECRET, now + 600)), 401);
    assert.equal(await status({ ...signedRequest('{}', WEBHOOK_SECRET), body: '{"pin":true}' }), 401);
    assert.equal(await status(signedRequest('not json', WEBHOOK_SECRET)), 400);
    assert.equal(await status(signedRequest('', WEBHOOK_SECRET)), 202);
    await nodes.records('Result', 1);
  });

  it('takes what GitHub signs, whose body says nothing about backups', async () => {
    const settings = { check: 'github', parameters: [] };
    const { nodes, url } = await start(changed('28-webhook-hmac', 'dbackup-webhook', settings));
    // Bytes that are no UTF-8 and blanks that a parser would lose: the signature is about them.
    const body = Buffer.concat([
      Buffer.from('{ "action" : "released", "x": "'),
      Buffer.from([0xff]),
      Buffer.from('"}\n'),
    ]);
    const signature = createHmac('sha256', WEBHOOK_SECRET).update(body).digest('hex');
    const send = (header: string) =>
      fetch(url, {
        method: 'POST',
        headers: { 'x-hub-signature-256': header, 'content-type': 'application/json' },
        body,
      });
    assert.equal((await send(`sha256=${signature}`)).status, 202);
    assert.equal(
      (await send(`sha256=${signature.replace(/^./, (first) => (first === '0' ? '1' : '0'))}`)).status,
      401,
    );
    await nodes.records('Result', 1);
  });

  it('says what to do when the body was parsed before it could be checked', async () => {
    const { nodes, url } = await start(changed('28-webhook-hmac', 'http in', { skipBodyParsing: false }));
    const { status, body } = await answerOf(await fetch(url, signedRequest('{}', WEBHOOK_SECRET)));
    assert.deepEqual([status, body.error], [500, 'The webhook is not set up: see its node']);
    const [error] = await nodes.records('Errors', 1);
    assert.match(reasonOf(error), /tick "Do not parse request body"/);
  });

  it('says what to do with messages that come from elsewhere', async () => {
    const flows = template('27-webhook-bearer');
    const z = idOf(flows, 'tab');
    const inject = { id: 'go', type: 'inject', z, props: [], wires: [[idOf(flows, 'dbackup-webhook')]] };
    const { nodes } = await start([...flows, inject]);
    nodes.runtime.fire('go');
    const [error] = await nodes.records('Errors', 1);
    assert.match(reasonOf(error), /does not come from an HTTP In node/);
  });
});

/** What a Catch node was told. */
function reasonOf(message: object | undefined): string {
  return (message as { error?: { message?: string } } | undefined)?.error?.message ?? '';
}
