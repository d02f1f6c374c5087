import { createDiscordChannel, discordOptions } from '../../lib/notifiers/discord.ts';
import { createSlackChannel, slackOptions } from '../../lib/notifiers/slack.ts';
import { createTeamsChannel, teamsOptions } from '../../lib/notifiers/teams.ts';
import { createWebhookChannel, webhookOptions } from '../../lib/notifiers/webhook/webhook.ts';
import { type HttpService, startHttpFixture } from './notifier/http-fixture.ts';
import { describeNotifier } from './notifier.suite.ts';

const SECRET = 'Zp8SecretToken4711';

const json = (value: unknown, status = 200) => ({
  status,
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify(value),
});

const services: Readonly<Record<string, HttpService>> = {
  Discord: {
    channel: (url) => createDiscordChannel(discordOptions.parse({ url: `${url}/api/webhooks/42/${SECRET}` })),
    secrets: [SECRET],
    success: json({ id: '1234567890' }),
    pass: { ...json({ message: 'You are being rate limited.', retry_after: 0.25 }, 429) },
  },
  'Slack, incoming webhook': {
    channel: (url) =>
      createSlackChannel(slackOptions.parse({ via: 'webhook', url: `${url}/services/T0/B0/${SECRET}` })),
    secrets: [SECRET],
    success: { body: 'ok' },
    refuse: { status: 404, body: 'no_service' },
  },
  'Slack, chat.postMessage': {
    channel: (url) =>
      createSlackChannel(
        slackOptions.parse({ via: 'bot', token: SECRET, channel: 'C01', endpoint: `${url}/api` }),
      ),
    secrets: [SECRET],
    success: json({ ok: true, ts: '1503435956.000247' }),
    pass: json({ ok: false, error: 'ratelimited' }),
    refuse: json({ ok: false, error: 'channel_not_found' }),
  },
  'Microsoft Teams': {
    channel: (url) => createTeamsChannel(teamsOptions.parse({ url: `${url}/workflows/1?sig=${SECRET}` })),
    secrets: [SECRET],
    success: { status: 202 },
    pass: {
      body: 'Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x',
    },
  },
  'webhook of any form': {
    channel: (url) =>
      createWebhookChannel(
        webhookOptions.parse({
          preset: 'custom',
          url: `${url}/hook/${SECRET}`,
          headers: `X-Key: ${SECRET}9`,
        }),
      ),
    secrets: [SECRET],
    success: { status: 204 },
    pass: { status: 429, headers: { 'Retry-After': '7' }, body: `${SECRET} is too fast` },
    refuse: { status: 403, body: `the token ${SECRET} is unknown` },
  },
  PagerDuty: {
    channel: (url) =>
      createWebhookChannel(webhookOptions.parse({ preset: 'pagerduty', token: SECRET, endpoint: url })),
    secrets: [SECRET],
    success: json({ status: 'success', message: 'Event processed', dedup_key: 'dbackup/job/shop' }, 202),
    refuse: json({ status: 'invalid event', errors: [`routing_key ${SECRET} is wrong`] }, 400),
  },
  ntfy: {
    channel: (url) =>
      createWebhookChannel(
        webhookOptions.parse({ preset: 'ntfy', server: url, topic: 'backups_of_mine', accessToken: SECRET }),
      ),
    secrets: [SECRET, 'backups_of_mine'],
    success: json({ id: 'sPs71M8A2T', event: 'message', topic: 'backups_of_mine' }),
  },
  Gotify: {
    channel: (url) =>
      createWebhookChannel(webhookOptions.parse({ preset: 'gotify', server: url, token: SECRET })),
    secrets: [SECRET],
    success: json({ id: 25, appid: 5 }),
  },
  'Uptime Kuma': {
    channel: (url) =>
      createWebhookChannel(webhookOptions.parse({ preset: 'uptime-kuma', url: `${url}/api/push/${SECRET}` })),
    secrets: [SECRET],
    success: json({ ok: true }),
    refuse: json({ ok: false, msg: 'Monitor not found or not active.' }, 404),
  },
  'healthchecks.io': {
    channel: (url) =>
      createWebhookChannel(webhookOptions.parse({ preset: 'healthchecks', url: `${url}/ping/${SECRET}` })),
    secrets: [SECRET],
    success: { body: 'OK' },
    pass: { body: 'OK (rate limited)' },
    refuse: { body: 'OK (not found)' },
  },
  Telegram: {
    channel: (url) =>
      createWebhookChannel(
        webhookOptions.parse({ preset: 'telegram', token: `4711:${SECRET}`, chat: '-100', endpoint: url }),
      ),
    secrets: [SECRET],
    success: json({ ok: true, result: { message_id: 7 } }),
    pass: json(
      { ok: false, error_code: 429, description: 'Too Many Requests', parameters: { retry_after: 3 } },
      429,
    ),
    refuse: json({ ok: false, error_code: 400, description: 'Bad Request: chat not found' }, 400),
  },
};

for (const [name, service] of Object.entries(services)) {
  const takesAny = name === 'webhook of any form' || name === 'Microsoft Teams';
  describeNotifier({ name, start: () => startHttpFixture(service), lacks: takesAny ? ['garbage'] : [] });
}
