import { localNode } from './destinations/local.ts';
import { type NodeSetApi, registerNodes } from './register-nodes.ts';

/** Entry file of the node set `dbackup-destinations`. */
export default function registerDestinations(RED: NodeSetApi): void {
  registerNodes(RED, [localNode]);
}

// Node-RED 4 loads node sets with require().
export { registerDestinations as 'module.exports' };
