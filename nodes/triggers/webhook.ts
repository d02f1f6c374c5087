import { defineNode } from '../define-node.ts';
import { WebhookNode } from './webhook/webhook-node.ts';
import { webhookSettings } from './webhook/webhook-settings.ts';

/** Stands behind an HTTP In node, and lets only those start a backup who may. */
export const webhookNode = defineNode({
  type: 'dbackup-webhook',
  set: 'triggers',
  role: 'gate',
  icon: 'dbackup-webhook.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: webhookSettings,
  setup(context) {
    const webhook = new WebhookNode(context);
    return {
      start: () => webhook.begin(),
      onInput: (message, deliver) => webhook.receive(message, deliver),
    };
  },
});
