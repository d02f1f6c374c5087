import { guardNode } from './guard/guard.ts';
import { type NodeSetApi, registerNodes } from './register-nodes.ts';
import { retentionNode } from './retention/retention.ts';

/** Entry file of the node set `dbackup-retention`. */
export default function registerRetention(RED: NodeSetApi): void {
  registerNodes(RED, [retentionNode, guardNode]);
}

// Node-RED 4 loads node sets with require().
export { registerRetention as 'module.exports' };
