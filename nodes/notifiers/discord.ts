import { z } from 'zod';
import { createDiscordChannel, discordOptions } from '../../lib/notifiers/discord.ts';
import { templateProblems } from '../../lib/notifiers/templates.ts';
import { DISCORD } from '../../lib/notifiers/text-format.ts';
import { firstFields, policyFields, refuseWrongPolicy, templateFields } from './notifier-fields.ts';
import { notifierNode } from './notifier-node.ts';

const { url, username } = discordOptions.shape;

/** Tells a channel of Discord. */
export const discordNode = notifierNode({
  kind: 'discord',
  schema: z
    .object({
      ...firstFields,
      url: url.meta({ icon: 'fa-link', secret: true }),
      username: username.meta({ icon: 'fa-user', placeholder: 'DBackup' }),
      ...policyFields,
      ...templateFields,
    })
    .superRefine(refuseWrongPolicy),
  channel: createDiscordChannel,
  faults: (settings) => templateProblems(settings, DISCORD),
});
