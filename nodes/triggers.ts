import { type NodeSetApi, registerNodes } from './register-nodes.ts';
import { runEventsNode } from './triggers/run-events.ts';
import { scheduleNode } from './triggers/schedule.ts';
import { webhookNode } from './triggers/webhook.ts';

/** Entry file of the node set `dbackup-triggers`. */
export default function registerTriggers(RED: NodeSetApi): void {
  registerNodes(RED, [scheduleNode, webhookNode, runEventsNode]);
}

// Node-RED 4 loads node sets with require().
export { registerTriggers as 'module.exports' };
