import { notifierNodes } from './notifiers/notifier-nodes.ts';
import { type NodeSetApi, registerNodes } from './register-nodes.ts';

/** Entry file of the node set `dbackup-notifiers`. */
export default function registerNotifiers(RED: NodeSetApi): void {
  registerNodes(RED, notifierNodes);
}

// Node-RED 4 loads node sets with require().
export { registerNotifiers as 'module.exports' };
