import type { AnyNode } from '../define-node.ts';
import { discordNode } from './discord.ts';
import { emailNode } from './email.ts';
import { slackNode } from './slack.ts';
import { teamsNode } from './teams.ts';
import { notifyWebhookNode } from './webhook.ts';

/** A node for each channel that people are told through, and one for all others. */
export const notifierNodes: readonly AnyNode[] = [
  emailNode,
  discordNode,
  slackNode,
  teamsNode,
  notifyWebhookNode,
];
