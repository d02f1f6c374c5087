import { type NodeSetApi, registerNodes } from './register-nodes.ts';
import { checksumNode } from './transforms/checksum.ts';
import { compressNode } from './transforms/compress.ts';
import { encryptNode } from './transforms/encrypt.ts';

/** Entry file of the node set `dbackup-transforms`. */
export default function registerTransforms(RED: NodeSetApi): void {
  registerNodes(RED, [compressNode, encryptNode, checksumNode]);
}

// Node-RED 4 loads node sets with require().
export { registerTransforms as 'module.exports' };
