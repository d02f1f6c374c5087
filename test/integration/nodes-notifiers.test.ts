import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { existingRuntime } from '../../nodes/runtime.ts';
import type { FlowEntry, RuntimeOptions } from '../../runner/runtime.ts';
import { idOf, type NodesRuntime, payloadOf, startNodes, template } from '../support/backup-nodes.ts';
import { type NotifierServers, startNotifierServers } from '../support/notifier-servers.ts';
import { RUN_ID, sampleEvent, sampleProgress } from '../support/sample-events.ts';
import { TemplateEnvironment } from '../support/template-environment.ts';
import { until } from '../support/until.ts';

interface Notification {
  readonly channel: string;
  readonly status: string;
  readonly attempts: number;
}

describe('notifiers in Node-RED', function () {
  this.timeout(120_000);
  let servers: NotifierServers;
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime | undefined;

  beforeEach(async () => {
    servers = await startNotifierServers();
    environment = new TemplateEnvironment();
    Object.assign(process.env, servers.environment);
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    environment.remove();
    await servers.stop();
  });

  const start = async (flows: FlowEntry[], options: Partial<RuntimeOptions> = {}) => {
    nodes = await startNodes(flows, options);
    return nodes;
  };

  /** Starts a template and presses its button. */
  const run = async (name: string): Promise<NodesRuntime> => {
    const flows = template(name);
    const started = await start(flows);
    const first = flows.find(({ type }) => type === 'inject' || type === 'dbackup-schedule');
    started.runtime.fire(first?.id ?? '', { payload: 'fire' });
    return started;
  };

  const told = (message: object | undefined) => (message as { notification: Notification }).notification;

  it('33: a mail tells of the first failure, and not of another one', async () => {
    const flows = template('33-notify-email');
    const { runtime, records } = await start(flows);
    const mail = idOf(flows, 'dbackup-email');
    runtime.fire(mail, { payload: sampleEvent('succeeded') });
    await records('Told', 1);
    runtime.fire(mail, { payload: sampleEvent('failed') });
    await records('Told', 2);
    runtime.fire(mail, { payload: sampleEvent('failed') });
    await records('Told', 3);
    runtime.fire(mail, { payload: sampleEvent('succeeded') });
    const messages = await records('Told', 4);
    assert.deepEqual(
      messages.map((message) => told(message).status),
      ['suppressed', 'delivered', 'suppressed', 'delivered'],
    );
    const subjects = servers.smtp.letters.map(({ raw }) => /^Subject: (.*)$/m.exec(raw)?.[1]?.trim());
    assert.deepEqual(subjects, ['[DBackup] shop: backup failed', '[DBackup] shop: backups work again']);
    assert.deepEqual(servers.smtp.letters[0]?.to, ['admin@example.com']);
    assert.ok(servers.smtp.letters[0]?.secure);
  });

  it('34: Discord and Slack are told of the run of the flow', async () => {
    const { records, recorded } = await run('34-notify-chat');
    const messages = await records('Told', 2);
    assert.deepEqual(messages.map((message) => told(message).channel).sort(), ['discord', 'slack']);
    const slack = JSON.parse(servers.requests('/slack/')[0]?.body ?? '') as {
      blocks: { text: { text: string } }[];
    };
    assert.match(slack.blocks[1]?.text.text ?? '', /^\*.*\*\n• app\.sqlite \d+ kB/);
    assert.equal(servers.requests('/discord/')[0]?.path.split('?')[1], 'wait=true');
    assert.deepEqual(recorded('Errors'), []);
  });

  it('34: when one of them fails, the other one tells of it, and nothing goes round in circles', async () => {
    servers.http.choose = (path) =>
      path.startsWith('/discord/') ? { status: 401, body: 'Unauthorized' } : { body: 'ok' };
    const { records, runtime } = await run('34-notify-chat');
    await records('Errors', 1);
    await until(() => servers.requests('/slack/').length >= 2);
    await runtime.tracker.idle();
    assert.equal(servers.requests('/discord/').length, 1);
    assert.match(
      servers.requests('/slack/').at(-1)?.body ?? '',
      /Discord \(127\.0\.0\.1:\d+\) was not notified: HTTP 401/,
    );
    assert.ok(!JSON.stringify(servers.requests('/slack/')).includes('/discord/'));
  });

  it('34: when both fail, it ends', async () => {
    servers.http.choose = () => ({ status: 401, body: 'Unauthorized' });
    const { records, runtime, lines } = await run('34-notify-chat');
    await records('Result', 1);
    await records('Errors', 2);
    await runtime.tracker.idle();
    assert.ok(servers.http.requests.length <= 4, `${servers.http.requests.length} requests`);
    assert.ok(!lines.some(({ message }) => message.includes('Zp8SecretToken4711')), 'no secret is logged');
  });

  it('35: a Teams node behind a destination tells what was stored, and hands it on', async () => {
    const { records } = await run('35-notify-teams');
    const [message] = await records('Result', 1);
    assert.equal(told(message).status, 'delivered');
    assert.equal(payloadOf<{ job: string }>(message).job, 'app');
    const card = servers.requests('/teams/')[0]?.body ?? '';
    assert.match(card, /app: backup succeeded/);
    assert.match(card, /app\.sqlite/);
  });

  it('36: a program gets a signed body of its own form, and a phone the change', async () => {
    const flows = template('36-notify-webhook');
    const { runtime, records } = await start(flows);
    const [program, phone] = flows.filter(({ type }) => type === 'dbackup-notify-webhook');
    runtime.fire(program?.id ?? '', { payload: sampleEvent('partial') });
    runtime.fire(phone?.id ?? '', { payload: sampleEvent('partial') });
    await records('Told', 2);
    const [request] = servers.requests('/program/');
    assert.deepEqual(JSON.parse(request?.body ?? ''), {
      event: 'partial',
      job: 'shop',
      text: 'shop: the backup has partial',
      bytes: 1_234_000_000,
      failed: ['users'],
    });
    const header = String(request?.headers['x-dbackup-signature']);
    const time = /^t=(\d+),/.exec(header)?.[1];
    const expected = createHmac('sha256', servers.environment.EVENT_WEBHOOK_SECRET ?? '')
      .update(`${time}.${request?.body}`)
      .digest('hex');
    assert.equal(header, `t=${time},v1=${expected}`);
    const push = JSON.parse(servers.http.requests.find(({ path }) => path === '/')?.body ?? '') as {
      topic: string;
    };
    assert.equal(push.topic, 'a-topic-of-the-tests');
  });

  it("37: a dead man's ping tells when a run begins and when it has succeeded", async () => {
    await run('37-dead-man-ping');
    await until(() => servers.requests('/ping/').length >= 2);
    const paths = servers.requests('/ping/').map(({ path }) => path.replace(/rid=[-0-9a-f]{36}$/, 'rid=…'));
    assert.match(paths[0] ?? '', /\/start\?rid=…$/);
    assert.match(paths[1] ?? '', /Zp8SecretToken4711\?rid=…$/);
  });

  it('keeps no backup waiting that it stands before, whatever its service does', async () => {
    const flows = template('35-notify-teams');
    const teams = flows.find(({ type }) => type === 'dbackup-teams');
    const source = flows.find(({ type }) => type === 'dbackup-sqlite');
    assert.ok(teams !== undefined && source !== undefined);
    const store = idOf(flows, 'dbackup-local');
    const result = flows.find(({ name }) => name === 'Result');
    // source → notifier → destination
    const changed = flows.map((entry) => {
      if (entry.id === source.id) return { ...entry, wires: [[teams.id]] };
      if (entry.id === teams.id) return { ...entry, events: ['started'], wires: [[store]] };
      if (entry.id === store) return { ...entry, wires: [[result?.id ?? '']] };
      return entry;
    });
    servers.http.choose = () => 'hang';
    const started = await start(changed as FlowEntry[]);
    started.runtime.fire(idOf(flows, 'inject'));
    await started.records('Result', 1);
    await until(() => servers.requests('/teams/').length === 1);
    assert.match(servers.requests('/teams/')[0]?.body ?? '', /app: backup started/);
  });

  /** Template 35 with a notifier that is told of progress, too. */
  const startProgress = async () => {
    const flows = template('35-notify-teams').map((entry) =>
      entry.type === 'dbackup-teams' ? { ...entry, events: ['progress', 'failed'] } : entry,
    ) as FlowEntry[];
    const started = await start(flows, { debug: true });
    const teams = idOf(flows, 'dbackup-teams');
    return { ...started, tell: (payload: unknown) => started.runtime.fire(teams, { payload }) };
  };

  it('lets progress of a dead service go when newer comes, and tells the end of the run at once', async () => {
    const { tell, records, recorded, runtime, lines } = await startProgress();
    const { choose } = servers.http;
    servers.http.choose = () => 'hang';
    tell(sampleProgress(1));
    await until(() => servers.http.hanging === 1);
    for (let bytes = 2; bytes <= 31; bytes += 1) tell(sampleProgress(bytes));
    await records('Result', 29);
    servers.http.choose = choose;
    tell(sampleEvent('failed'));
    const messages = await records('Result', 32);
    await runtime.tracker.idle();
    assert.equal(messages.filter((message) => told(message).status === 'overtaken').length, 31);
    assert.equal(messages.filter((message) => told(message).status === 'delivered').length, 1);
    const bodies = servers.requests('/teams/').map(({ body }) => body);
    assert.equal(bodies.length, 2);
    assert.match(bodies[1] ?? '', /shop: backup failed/);
    assert.deepEqual(recorded('Errors'), []);
    const { text } = (await existingRuntime(runtime)?.operations.metrics()) ?? { text: '' };
    assert.match(text, /dbackup_notifications_total\{channel="teams",outcome="overtaken"\} 31/);
    const [first] = lines.filter(({ message }) => /Progress of run .* is not told/.test(message));
    assert.equal(first?.level, 'debug');
  });

  it('says once that progress cannot be told for now, and as an error what does not pass', async () => {
    const { tell, records, recorded, lines } = await startProgress();
    servers.http.choose = () => ({ status: 503 });
    for (let count = 1; count <= 3; count += 1) {
      tell(sampleProgress(count));
      const message = (await records('Result', count)).at(-1);
      assert.deepEqual([told(message).status, told(message).attempts], ['failed', 1]);
    }
    const warned = () => lines.filter(({ message }) => /It was progress/.test(message));
    assert.deepEqual(
      warned().map(({ level }) => level),
      ['warn'],
    );
    assert.match(warned()[0]?.message ?? '', /was not notified: HTTP 503/);
    assert.deepEqual(recorded('Errors'), []);
    assert.equal(servers.requests('/teams/').length, 3);
    servers.http.choose = () => ({ status: 401 });
    tell(sampleProgress(4));
    await records('Errors', 1);
    assert.equal(warned().length, 1);
  });

  it('takes any message: a text, an error of a Catch node, an event', async () => {
    const flows = template('35-notify-teams');
    const { runtime, records } = await start(flows);
    const teams = idOf(flows, 'dbackup-teams');
    runtime.fire(teams, { topic: 'Disk', payload: 'is <b>full</b>' });
    const source = { id: 'x', type: 'dbackup-s3', name: 'Bucket', count: 1 };
    runtime.fire(teams, { error: { message: 'access denied', source }, payload: 1 });
    runtime.fire(teams, { payload: sampleEvent('failed') });
    await records('Result', 3);
    const bodies = servers.requests('/teams/').map(({ body }) => body);
    assert.equal(bodies.length, 3);
    assert.ok(bodies.some((body) => /Disk/.test(body) && /is &lt;b>full&lt;\/b>/.test(body)));
    assert.ok(
      bodies.some((body) => /Bucket: an error was reported/.test(body) && /access denied/.test(body)),
    );
    assert.ok(bodies.some((body) => body.includes(RUN_ID)));
  });

  it('shows a wrong template when it is deployed, and sends the built-in text with a note', async () => {
    const flows = template('35-notify-teams').map((entry) =>
      entry.type === 'dbackup-teams' ? { ...entry, body: 'fine\n{% if job %}' } : entry,
    );
    const { runtime, records } = await start(flows as FlowEntry[]);
    const [told] = await records('Errors', 1);
    const message = (told as { error?: { message: string } } | undefined)?.error?.message;
    assert.match(message ?? '', /body: the template has an error in line 2/);
    await runtime.tracker.idle();
    const before = servers.requests('/teams/').length;
    runtime.fire(idOf(flows as FlowEntry[], 'dbackup-teams'), { payload: sampleEvent('failed') });
    await records('Result', 1);
    const body = servers
      .requests('/teams/')
      .slice(before)
      .map((request) => request.body)
      .join();
    assert.match(body, /shop: backup failed/);
    assert.match(body, /The built-in text is shown/);
  });

  it('counts deliveries, and remembers them', async () => {
    const { records, runtime } = await run('35-notify-teams');
    await records('Result', 1);
    const backup = existingRuntime(runtime);
    const { text } = (await backup?.operations.metrics()) ?? { text: '' };
    assert.match(text, /dbackup_notifications_total\{channel="teams",outcome="delivered"\} 1/);
    assert.match(text, /dbackup_notifications_total\{channel="teams",outcome="failed"\} 0/);
    const flows = template('35-notify-teams');
    const store = await backup?.store();
    const [delivery] = (await store?.notifications(idOf(flows, 'dbackup-teams')).deliveries(5)) ?? [];
    assert.deepEqual([delivery?.status, delivery?.channel, delivery?.job], ['delivered', 'teams', 'app']);
  });
});
