import { z } from 'zod';
import { createSlackChannel, slackBotOptions, slackWebhookOptions } from '../../lib/notifiers/slack.ts';
import { templateProblems } from '../../lib/notifiers/templates.ts';
import { SLACK } from '../../lib/notifiers/text-format.ts';
import { firstFields, policyFields, refuseWrongPolicy, templateFields } from './notifier-fields.ts';
import { notifierNode } from './notifier-node.ts';

const webhook = slackWebhookOptions.shape;
const bot = slackBotOptions.shape;
const rest = { ...policyFields, ...templateFields };

/** Tells a channel of Slack. */
export const slackNode = notifierNode({
  kind: 'slack',
  labelFrom: ['channel'],
  schema: z
    .discriminatedUnion('via', [
      z.object({
        ...firstFields,
        via: webhook.via.meta({ icon: 'fa-plug' }),
        url: webhook.url.meta({ icon: 'fa-link', secret: true }),
        ...rest,
      }),
      z.object({
        ...firstFields,
        via: bot.via,
        token: bot.token.meta({ icon: 'fa-key', secret: true }),
        channel: bot.channel.meta({ icon: 'fa-hashtag', placeholder: 'C0123456789' }),
        ...rest,
        endpoint: bot.endpoint.meta({ icon: 'fa-server', section: 'advanced' }),
      }),
    ])
    .superRefine(refuseWrongPolicy),
  channel: createSlackChannel,
  faults: (settings) => templateProblems(settings, SLACK),
});
