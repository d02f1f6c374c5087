import { jobsNode } from './jobs/jobs.ts';
import { type NodeSetApi, registerNodes } from './register-nodes.ts';

/** Entry file of the node set `dbackup-operations`. */
export default function registerOperations(RED: NodeSetApi): void {
  registerNodes(RED, [jobsNode]);
}

// Node-RED 4 loads node sets with require().
export { registerOperations as 'module.exports' };
