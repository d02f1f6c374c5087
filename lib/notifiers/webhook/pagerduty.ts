import { z } from 'zod';
import { shorten } from '../clean-text.ts';
import type { NotificationContent } from '../content.ts';
import { plainBody } from '../content-lines.ts';
import { jsonObject, unexpectedAnswer } from '../http.ts';
import { hostOf, secureAddress } from '../http-address.ts';
import { isMovement, jsonRequest, preparedRequest, receiptOf } from '../json-channel.ts';
import type { Channel } from '../notifier.ts';
import { renderTexts, type TemplateOptions, templateOptions } from '../templates.ts';
import { PLAIN } from '../text-format.ts';

export const pagerdutyOptions = z.object({
  preset: z.literal('pagerduty'),
  token: z.string().min(1).meta({
    title: 'Integration key',
    description: 'Of an integration "Events API v2" of the service',
  }),
  endpoint: secureAddress.default('https://events.pagerduty.com').meta({
    title: 'Server',
    description: 'https://events.eu.pagerduty.com for accounts in the EU',
  }),
  ...templateOptions.shape,
});

export type PagerdutyOptions = z.output<typeof pagerdutyOptions>;

/** https://developer.pagerduty.com/docs/send-alert-event */
export const PAGERDUTY_LIMITS = { summary: 1024, dedupKey: 255, details: 20_000 };

/** Incidents by the Events API v2: failures open one for each job, and a success resolves it. */
export function createPagerdutyChannel(options: PagerdutyOptions): Channel {
  const { endpoint, token } = options;
  return {
    name: 'pagerduty',
    describe: () => `PagerDuty (${hostOf(endpoint)})`,
    secrets: [token],
    prepare(content) {
      const { payload, notes } = pagerdutyPayload(content, options);
      if (payload === undefined)
        return { skip: 'PagerDuty is told of nothing that is neither bad nor good news' };
      const url = new URL('/v2/enqueue', endpoint).href;
      return preparedRequest({
        request: jsonRequest(url, { routing_key: token, ...payload }),
        notes,
        check(answer) {
          const result = jsonObject(answer);
          if (result?.status !== 'success') throw unexpectedAnswer(answer);
          return receiptOf(result.dedup_key);
        },
      });
    },
  };
}

/** What PagerDuty is sent without its key; nothing for events that neither open nor resolve an incident. */
export function pagerdutyPayload(content: NotificationContent, templates: TemplateOptions) {
  const { title, body, notes } = renderTexts(templates, content, PLAIN, PAGERDUTY_LIMITS.details);
  const action = actionOf(content);
  const dedup = { dedup_key: shorten(`dbackup/${topicOf(content)}`, PAGERDUTY_LIMITS.dedupKey) };
  if (action === undefined) return { payload: undefined, notes };
  if (action === 'resolve') return { payload: { event_action: action, ...dedup }, notes };
  const payload = {
    event_action: action,
    ...dedup,
    client: 'DBackup',
    links: content.links.map(({ title: text, url: href }) => ({ href, text })),
    payload: {
      summary: shorten(
        title === content.title ? `${title}: ${content.summary}` : title,
        PAGERDUTY_LIMITS.summary,
      ),
      source: content.host,
      severity: content.severity === 'error' ? 'critical' : content.severity,
      timestamp: content.at,
      component: content.job ?? 'dbackup',
      class: content.event,
      custom_details: { text: shorten(body ?? plainBody(content), PAGERDUTY_LIMITS.details), notes },
    },
  };
  return { payload, notes };
}

function actionOf(content: NotificationContent): 'trigger' | 'resolve' | undefined {
  const { event, severity } = content;
  if (event === 'test') return 'trigger';
  if (event === 'digest' || event === 'message' || isMovement(content)) return undefined;
  return severity === 'info' ? 'resolve' : 'trigger';
}

/** One incident for each job, and others for what a later success says nothing about. */
function topicOf({ event, job = '', facts }: NotificationContent): string {
  switch (event) {
    case 'storage-threshold':
      return `storage/${facts.find(({ name }) => name === 'Storage')?.value ?? ''}`;
    case 'verification-failed':
    case 'anomaly':
    case 'prune-refused':
    case 'schedule-missed':
    case 'error':
    case 'test':
      return `${event}/${job}`;
    default:
      return `job/${job}`;
  }
}
