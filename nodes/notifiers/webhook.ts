import { z } from 'zod';
import { templateProblems } from '../../lib/notifiers/templates.ts';
import { PLAIN, TELEGRAM_HTML, TELEGRAM_MARKDOWN } from '../../lib/notifiers/text-format.ts';
import { customWebhookOptions, payloadProblem } from '../../lib/notifiers/webhook/custom.ts';
import { gotifyOptions } from '../../lib/notifiers/webhook/gotify.ts';
import { healthchecksOptions } from '../../lib/notifiers/webhook/healthchecks.ts';
import { ntfyOptions } from '../../lib/notifiers/webhook/ntfy.ts';
import { pagerdutyOptions } from '../../lib/notifiers/webhook/pagerduty.ts';
import { telegramOptions } from '../../lib/notifiers/webhook/telegram.ts';
import { uptimeKumaOptions } from '../../lib/notifiers/webhook/uptime-kuma.ts';
import { createWebhookChannel, type WebhookOptions } from '../../lib/notifiers/webhook/webhook.ts';
import { firstFields, policyFields, refuseWrongPolicy, templateFields } from './notifier-fields.ts';
import { notifierNode } from './notifier-node.ts';

const custom = customWebhookOptions.shape;
const ntfy = ntfyOptions.shape;
const telegram = telegramOptions.shape;

const server = { icon: 'fa-server', placeholder: 'https://push.example.com' } as const;
const address = { icon: 'fa-link', secret: true } as const;
const token = { icon: 'fa-key', secret: true } as const;
const endpoint = { icon: 'fa-server', section: 'advanced' } as const;
const authority = {
  caFile: custom.caFile.meta({ icon: 'fa-certificate', control: 'path', section: 'advanced' }),
};
const rest = { ...policyFields, ...templateFields };

/** Tells programs, and services that have no node of their own. */
export const notifyWebhookNode = notifierNode({
  kind: 'notify-webhook',
  labelFrom: ['preset'],
  schema: z
    .discriminatedUnion('preset', [
      z.object({
        ...firstFields,
        preset: custom.preset.meta({ icon: 'fa-magic' }),
        url: custom.url.meta(address),
        method: custom.method.meta({ icon: 'fa-exchange' }),
        contentType: custom.contentType.meta({ icon: 'fa-file-code-o' }),
        headers: custom.headers.meta({ icon: 'fa-list', secret: true, control: 'lines' }),
        signingSecret: custom.signingSecret.meta({ icon: 'fa-pencil-square-o', secret: true }),
        payload: custom.payload.meta({ icon: 'fa-file-text-o', control: 'lines' }),
        ...policyFields,
        ...authority,
      }),
      z.object({
        ...firstFields,
        preset: pagerdutyOptions.shape.preset,
        token: pagerdutyOptions.shape.token.meta(token),
        ...rest,
        endpoint: pagerdutyOptions.shape.endpoint.meta(endpoint),
      }),
      z.object({
        ...firstFields,
        preset: ntfy.preset,
        server: ntfy.server.meta(server),
        topic: ntfy.topic.meta({ icon: 'fa-hashtag', secret: true }),
        accessToken: ntfy.accessToken.meta(token),
        ...rest,
        ...authority,
      }),
      z.object({
        ...firstFields,
        preset: gotifyOptions.shape.preset,
        server: gotifyOptions.shape.server.meta(server),
        token: gotifyOptions.shape.token.meta(token),
        ...rest,
        ...authority,
      }),
      z.object({
        ...firstFields,
        preset: uptimeKumaOptions.shape.preset,
        url: uptimeKumaOptions.shape.url.meta(address),
        ...rest,
        ...authority,
      }),
      z.object({
        ...firstFields,
        preset: healthchecksOptions.shape.preset,
        url: healthchecksOptions.shape.url.meta(address),
        ...rest,
        ...authority,
      }),
      z.object({
        ...firstFields,
        preset: telegram.preset,
        token: telegram.token.meta(token),
        chat: telegram.chat.meta({ icon: 'fa-comments-o', placeholder: '-1001234567890' }),
        parseMode: telegram.parseMode.meta({ icon: 'fa-code', section: 'advanced' }),
        ...rest,
        endpoint: telegram.endpoint.meta(endpoint),
      }),
    ])
    .superRefine(refuseWrongPolicy),
  channel: (settings) => createWebhookChannel(settings),
  faults: (settings) => faultsOf(settings),
});

function faultsOf(settings: WebhookOptions) {
  if (settings.preset === 'custom') {
    const message = payloadProblem(settings);
    return message === undefined ? [] : [{ field: 'payload', message }];
  }
  if (settings.preset !== 'telegram') return templateProblems(settings, PLAIN);
  return templateProblems(settings, settings.parseMode === 'HTML' ? TELEGRAM_HTML : TELEGRAM_MARKDOWN);
}
