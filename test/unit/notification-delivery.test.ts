import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createDiscordChannel, discordOptions } from '../../lib/notifiers/discord.ts';
import { quote } from '../../lib/notifiers/http.ts';
import { secureAddress, webAddress } from '../../lib/notifiers/http-address.ts';
import { createNotifier, type Delivery } from '../../lib/notifiers/notifier.ts';
import { secretsOfUrl, withoutSecrets } from '../../lib/notifiers/redact.ts';
import {
  LONGEST_RETRY_AFTER_MS,
  parseRetryAfter,
  retryAfterSeconds,
} from '../../lib/notifiers/retry-after.ts';
import { createCustomWebhook, customWebhookOptions } from '../../lib/notifiers/webhook/custom.ts';
import { createWebhookChannel, webhookOptions } from '../../lib/notifiers/webhook/webhook.ts';
import { checkTimedSignature } from '../../lib/webhooks/timed-signature.ts';
import { RecordingHttp } from '../servers/recording-http.ts';
import { HurriedClock } from '../support/hurried-clock.ts';
import { sampleContent } from '../support/sample-events.ts';

const NOW = Date.parse('2026-11-23T10:00:00Z');
const LIMIT_MS = 60_000;

describe('the delivery of notifications', () => {
  let server: RecordingHttp;

  beforeEach(async () => {
    server = await RecordingHttp.start();
  });

  afterEach(async () => {
    await server.close();
  });

  const webhook = (options: object) =>
    createWebhookChannel(webhookOptions.parse({ preset: 'custom', ...options }));

  async function deliver(
    channel = webhook({ url: server.url }),
    event: Parameters<typeof sampleContent>[0] = 'failed',
  ) {
    const clock = new HurriedClock(LIMIT_MS);
    const notifier = createNotifier(channel, { clock, attemptMs: LIMIT_MS, random: () => 0.5 });
    const delivery: Delivery = await notifier.send(sampleContent(event), new AbortController().signal);
    return { delivery, clock };
  }

  it('reads Retry-After as seconds and as a date, and waits for nobody for long', () => {
    assert.equal(parseRetryAfter('7', NOW), 7000);
    assert.equal(parseRetryAfter('0', NOW), 0);
    assert.equal(parseRetryAfter('Mon, 23 Nov 2026 10:00:30 GMT', NOW), 30_000);
    assert.equal(parseRetryAfter('Mon, 23 Nov 2026 09:00:00 GMT', NOW), 0);
    assert.equal(parseRetryAfter('999999', NOW), LONGEST_RETRY_AFTER_MS);
    assert.equal(parseRetryAfter('Mon, 23 Nov 2037 10:00:30 GMT', NOW), LONGEST_RETRY_AFTER_MS);
    for (const nonsense of [undefined, '', 'soon', '-5', '5 apples', '2026-11-23']) {
      assert.equal(parseRetryAfter(nonsense, NOW), undefined, nonsense);
    }
    assert.equal(retryAfterSeconds(0.25), 250);
    assert.equal(retryAfterSeconds('1'), undefined);
  });

  it('waits as long as the service asks, and a little longer', async () => {
    server.next.push({ status: 429, headers: { 'Retry-After': '7' } });
    const { delivery, clock } = await deliver();
    assert.equal(delivery.attempts, 2);
    const [pause = 0] = clock.pauses;
    assert.ok(pause >= 7000 && pause < 8000, String(pause));
  });

  it('waits as long as a body asks', async () => {
    const body = JSON.stringify({ message: 'You are being rate limited.', retry_after: 3.5, global: false });
    server.next.push({ status: 429, body });
    server.usual = { body: '{"id":"1"}' };
    const { delivery, clock } = await deliver(
      createDiscordChannel(discordOptions.parse({ url: server.url })),
    );
    assert.equal(delivery.responseId, '1');
    assert.ok((clock.pauses[0] ?? 0) >= 3500);
  });

  it('lets pauses grow, with jitter, and ends in time', async () => {
    server.usual = { status: 500 };
    const { delivery, clock } = await deliver();
    assert.equal(delivery.attempts, 5);
    assert.deepEqual(clock.pauses, [1000, 2000, 4000, 8000]);
    server.usual = { status: 503, headers: { 'Retry-After': '120' } };
    const patient = await deliver();
    assert.equal(patient.delivery.attempts, 3, 'no attempt begins more than 5 minutes after the first');
  });

  it('reads no more of an answer than an error needs', async () => {
    server.usual = { status: 400, body: 'x'.repeat(5_000_000) };
    const { delivery } = await deliver();
    assert.ok((delivery.error?.message.length ?? 0) < 400);
  });

  it('needs no time for an answer that looks like tags everywhere', () => {
    assert.equal(quote('<'.repeat(1024 * 1024)).length, ': '.length + 200);
    assert.equal(quote('<html><p class="x">Not\n<b>found</b></p>'), ': Not found');
  });

  it('says that a header cannot be sent', async () => {
    const { delivery } = await deliver(webhook({ url: server.url, headers: 'X-Where: Zürich €' }));
    assert.equal(delivery.error?.code, 'invalid-config');
    assert.match(delivery.error.message, /a header holds characters that headers must not have/);
    assert.equal(server.requests.length, 0);
  });

  it('hides secrets that a service quotes', async () => {
    const url = `${server.url}/hooks/verySecretPart?key=anotherSecret`;
    server.usual = { status: 403, body: `no access to /hooks/verySecretPart with anotherSecret or ${url}` };
    const { delivery } = await deliver(webhook({ url, headers: 'Authorization: Bearer of-good-news' }));
    assert.match(delivery.error?.message ?? '', /HTTP 403/);
    for (const secret of ['verySecretPart', 'anotherSecret', 'of-good-news']) {
      assert.ok(!delivery.error?.message.includes(secret), delivery.error?.message);
    }
    assert.ok(secretsOfUrl('https://x.example/a/longEnough%2Fpart').includes('longEnough/part'));
    assert.equal(withoutSecrets('short abc', ['abc']), 'short abc');
  });

  it('hides the beginning of a secret where an answer is cut', async () => {
    const url = `${server.url}/hooks/a-very-secret-part-of-the-address`;
    const before = 'x'.repeat(170);
    server.usual = { status: 403, body: `${before} key=a-very-secret-part-of-the-address is unknown` };
    const { delivery } = await deliver(webhook({ url }));
    assert.match(delivery.error?.message ?? '', /x key=\*\*\*…$/);
    assert.equal(
      withoutSecrets('got Bearer of-good… (5 attempts)', ['Bearer of-good-news']),
      'got ***… (5 attempts)',
    );
  });

  it('signs time and body, and sends headers of its own', async () => {
    const signingSecret = 'a signing secret';
    const { delivery } = await deliver(
      webhook({ url: server.url, signingSecret, headers: 'X-Team: ops\nX-Two: a: b' }),
    );
    assert.equal(delivery.status, 'delivered');
    const [request] = server.requests;
    const { headers, body = '' } = request ?? {};
    const signature = String(headers?.['x-dbackup-signature']);
    const time = /^t=(\d+),/.exec(signature)?.[1];
    const expected = createHmac('sha256', signingSecret).update(`${time}.${body}`).digest('hex');
    assert.equal(signature, `t=${time},v1=${expected}`);
    const taken = checkTimedSignature(signature, Buffer.from(body), signingSecret);
    assert.ok('time' in taken, 'our own webhook node takes it');
    assert.deepEqual(
      [headers?.['x-team'], headers?.['x-two'], headers?.['x-dbackup-event']],
      ['ops', 'a: b', 'failed'],
    );
    const content = JSON.parse(body) as { id: string; databases: unknown[] };
    assert.equal(headers?.['x-dbackup-delivery'], content.id);
    assert.equal(content.databases.length, 2);
  });

  it('names a notification in the same way at each attempt', async () => {
    server.next.push({ status: 500 });
    await deliver();
    const ids = server.requests.map(({ headers }) => headers['x-dbackup-delivery']);
    assert.equal(ids.length, 2);
    assert.equal(ids[0], ids[1]);
  });

  it('signs each attempt at its own time', async () => {
    server.next.push({ status: 500 });
    let seconds = 1000;
    const options = { preset: 'custom', url: server.url, signingSecret: 'a signing secret' };
    await deliver(createCustomWebhook(customWebhookOptions.parse(options), () => 1000 * seconds++));
    const [one, two] = server.requests.map(({ headers }) =>
      String(headers['x-dbackup-signature']).split(','),
    );
    assert.deepEqual([one?.[0], two?.[0]], ['t=1000', 't=1001']);
    assert.notEqual(one?.[1], two?.[1]);
  });

  it('refuses headers that are none, or that are not its own to set', () => {
    for (const headers of [
      'no colon',
      'Host: evil.example',
      'Content-Length: 3',
      'X: a\u0000b\nY',
      'Bad Name: x',
    ]) {
      assert.ok(!webhookOptions.safeParse({ preset: 'custom', url: server.url, headers }).success, headers);
    }
  });

  it('refuses addresses that are none, and secrets without TLS, without quoting them', () => {
    for (const url of [
      'ftp://x.example/verySecret',
      'verySecret',
      'http://discord.com/verySecret',
      'javascript:verySecret',
    ]) {
      const refused = secureAddress.safeParse(url);
      assert.ok(!refused.success, url);
      assert.ok(!refused.error.message.includes('verySecret'));
    }
    for (const url of ['https://x.example/', 'http://127.0.0.1:8080/', 'http://localhost/']) {
      assert.ok(secureAddress.safeParse(url).success, url);
    }
    assert.ok(webAddress.safeParse('http://gotify.lan/').success);
  });

  it('healthchecks.io: pings start, success, failure and log, paired by the run', async () => {
    server.usual = { body: 'OK' };
    const channel = createWebhookChannel(
      webhookOptions.parse({ preset: 'healthchecks', url: `${server.url}/uuid` }),
    );
    for (const event of ['started', 'succeeded', 'partial', 'failed', 'cancelled'] as const) {
      assert.equal((await deliver(channel, event)).delivery.status, 'delivered');
    }
    const paths = server.requests.map(({ path }) => path.split('?')[0]);
    assert.deepEqual(paths, ['/uuid/start', '/uuid', '/uuid/fail', '/uuid/fail', '/uuid/fail']);
    const runs = new Set(server.requests.map(({ path }) => path.split('?')[1]));
    assert.equal(runs.size, 1);
    assert.match(
      server.requests[3]?.body ?? '',
      /^shop: backup failed\n[\s\S]*✗ users · The server db1 does not answer/,
    );
  });

  it('PagerDuty: opens and resolves one incident for a job, and is told of no beginnings', async () => {
    server.usual = { status: 202, body: '{"status":"success","dedup_key":"k"}' };
    const channel = createWebhookChannel(
      webhookOptions.parse({ preset: 'pagerduty', token: 'key', endpoint: server.url }),
    );
    assert.equal((await deliver(channel, 'started')).delivery.status, 'skipped');
    await deliver(channel, 'failed');
    await deliver(channel, 'succeeded');
    const bodies = server.requests.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    assert.deepEqual(
      bodies.map(({ event_action, dedup_key }) => [event_action, dedup_key]),
      [
        ['trigger', 'dbackup/job/shop'],
        ['resolve', 'dbackup/job/shop'],
      ],
    );
    assert.equal(bodies[0]?.routing_key, 'key');
  });

  it('Uptime Kuma: up and down with the time of the run, and nothing else', async () => {
    server.usual = { body: '{"ok":true}' };
    const url = `${server.url}/api/push/abc?status=up&msg=OK&ping=`;
    const channel = createWebhookChannel(webhookOptions.parse({ preset: 'uptime-kuma', url }));
    assert.equal((await deliver(channel, 'started')).delivery.status, 'skipped');
    await deliver(channel, 'succeeded');
    await deliver(channel, 'failed');
    const queries = server.requests.map(({ path }) => new URL(path, 'http://x').searchParams);
    assert.deepEqual(
      queries.map((query) => [query.get('status'), query.get('ping')]),
      [
        ['up', '83000'],
        ['down', '83000'],
      ],
    );
  });

  it('Telegram: a template whose markup Telegram cannot read costs no message', async () => {
    server.next.push({
      status: 400,
      body: '{"ok":false,"description":"Bad Request: can\'t parse entities: x"}',
    });
    server.usual = { body: '{"ok":true,"result":{"message_id":5}}' };
    const channel = createWebhookChannel(
      webhookOptions.parse({
        preset: 'telegram',
        token: '1:abc',
        chat: '-5',
        endpoint: server.url,
        body: '<b>{{ job }}',
      }),
    );
    const { delivery } = await deliver(channel);
    assert.deepEqual([delivery.status, delivery.attempts, delivery.responseId], ['delivered', 1, '5']);
    assert.match(delivery.notes.join(), /cannot read its markup/);
    const [first, second] = server.requests.map(({ body }) => JSON.parse(body) as { text: string });
    assert.match(first?.text ?? '', /<b>shop$/);
    assert.match(second?.text ?? '', /shop: the backup has failed[\s\S]*built-in text is shown/);
  });
});
