import { z } from 'zod';
import { cleanLine, shorten } from './clean-text.ts';
import type { NotificationContent } from './content.ts';
import { sectionsOf, symbolOf } from './content-lines.ts';
import { DeliveryError } from './delivery-error.ts';
import { fitLines } from './fit.ts';
import { type HttpAnswer, jsonObject, quote, unexpectedAnswer } from './http.ts';
import { addressBelow, hostOf, secureAddress } from './http-address.ts';
import { jsonRequest, preparedRequest, receiptOf } from './json-channel.ts';
import type { Channel, Receipt } from './notifier.ts';
import { secretsOfUrl } from './redact.ts';
import { renderTexts, type TemplateOptions, templateOptions } from './templates.ts';
import { SLACK } from './text-format.ts';

export const slackWebhookOptions = z.object({
  via: z.literal('webhook'),
  url: secureAddress.meta({
    title: 'Webhook URL',
    description: 'That of an incoming webhook: https://hooks.slack.com/services/…',
  }),
  ...templateOptions.shape,
});

export const slackBotOptions = z.object({
  via: z.literal('bot'),
  token: z.string().min(1).meta({
    title: 'Bot token',
    description: 'Of an app with the scope chat:write: xoxb-…',
  }),
  channel: z.string().min(1).max(100).meta({
    title: 'Channel',
    description: 'Id or name of a channel that the app is a member of',
  }),
  endpoint: secureAddress.default('https://slack.com/api').meta({
    title: 'API',
    description: 'Where the methods of the Web API are',
  }),
  ...templateOptions.shape,
});

export const slackOptions = z.discriminatedUnion('via', [slackWebhookOptions, slackBotOptions]);

export type SlackOptions = z.output<typeof slackOptions>;

/** https://docs.slack.dev/reference/block-kit/blocks */
export const SLACK_LIMITS = { header: 150, text: 3000, fields: 10, field: 2000, blocks: 50, fallback: 4000 };

/** Errors that say that Slack has a trouble, and not the message: https://docs.slack.dev/reference/methods/chat.postMessage#errors */
const PASSING = new Set([
  'ratelimited',
  'rate_limited',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
  'team_added_to_org',
]);

/** Messages of blocks by an incoming webhook or the method chat.postMessage of Slack. */
export function createSlackChannel(options: SlackOptions): Channel {
  const viaBot = options.via === 'bot';
  const url = viaBot ? addressBelow(options.endpoint, 'chat.postMessage') : options.url;
  const where = viaBot ? `${hostOf(url)}, ${options.channel}` : hostOf(url);
  return {
    name: 'slack',
    describe: () => `Slack (${where})`,
    secrets: viaBot ? [options.token] : secretsOfUrl(url),
    prepare(content) {
      const { payload, notes } = slackPayload(content, options);
      const request = viaBot
        ? jsonRequest(
            url,
            { channel: options.channel, ...payload },
            { Authorization: `Bearer ${options.token}` },
          )
        : jsonRequest(url, payload);
      return preparedRequest({ request, notes, check: viaBot ? checkMethod : checkWebhook });
    },
  };
}

/** What Slack is sent, within its limits; it mentions nobody. */
export function slackPayload(content: NotificationContent, options: TemplateOptions) {
  const { title, body, notes } = renderTexts(options, content, SLACK, SLACK_LIMITS.text);
  const heading = cleanLine(`${symbolOf(content)} ${title}`, SLACK_LIMITS.header);
  const links = content.links.map(
    ({ title: name, url }) =>
      `<${SLACK.escape(url).replaceAll('|', '%7C')}|${SLACK.escape(name).replaceAll('|', '¦')}>`,
  );
  const blocks = [
    { type: 'header', text: { type: 'plain_text', text: heading, emoji: false } },
    section(body ?? SLACK.escape(content.summary)),
    ...(body === undefined ? detailBlocks(content) : []),
    ...(links.length === 0 ? [] : [section(links.join('\n'))]),
    ...notes.map((note) => section(SLACK.escape(shorten(note, 500)))),
  ];
  const payload = {
    // What is shown where blocks are not: in the banner of a phone.
    text: SLACK.escape(`${heading} – ${content.summary}`).slice(0, SLACK_LIMITS.fallback),
    blocks: blocks.slice(0, SLACK_LIMITS.blocks),
    link_names: false,
    unfurl_links: false,
    unfurl_media: false,
  };
  return { payload, notes };
}

function detailBlocks(content: NotificationContent) {
  const facts = content.facts
    .slice(0, SLACK_LIMITS.fields)
    .map(({ name, value }) => mrkdwn(`${SLACK.bold(SLACK.escape(name))}\n${SLACK.escape(value)}`));
  const sections = sectionsOf(content, SLACK).map(({ heading, lines, more }) =>
    section(`${SLACK.bold(heading)}\n${fitLines(lines, SLACK_LIMITS.text - 100, { more })}`),
  );
  return [...(facts.length === 0 ? [] : [{ type: 'section', fields: facts }]), ...sections];
}

function section(text: string) {
  return { type: 'section', text: mrkdwn(text) };
}

/** `verbatim`: names of channels and people are not made into mentions. */
function mrkdwn(text: string) {
  return { type: 'mrkdwn', text, verbatim: true };
}

/** An incoming webhook answers `ok`, whatever else is in its status. */
function checkWebhook(answer: HttpAnswer): Receipt {
  if (answer.text.trim() === 'ok') return {};
  throw new DeliveryError(`it did not answer "ok"${quote(answer.text)}`, { transient: false });
}

/** Methods of the Web API answer 200 in any case. */
function checkMethod(answer: HttpAnswer): Receipt {
  const result = jsonObject(answer);
  if (result?.ok === true) return receiptOf(result.ts);
  if (result?.ok !== false || typeof result.error !== 'string') throw unexpectedAnswer(answer);
  const code = /auth|token|scope|account/.test(result.error) ? 'permission' : 'invalid-config';
  throw PASSING.has(result.error)
    ? new DeliveryError(`Slack says ${result.error}`, { transient: true, retryAfterMs: answer.retryAfterMs })
    : new DeliveryError(`Slack says ${cleanLine(result.error, 100)}`, { transient: false, code });
}
