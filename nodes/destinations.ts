import { type NodeSetApi, registerNodes } from './register-nodes.ts';
import { destinationNodes } from './storages.ts';

/** Entry file of the node set `dbackup-destinations`. */
export default function registerDestinations(RED: NodeSetApi): void {
  registerNodes(RED, destinationNodes);
}

// Node-RED 4 loads node sets with require().
export { registerDestinations as 'module.exports' };
