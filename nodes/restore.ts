import { type NodeSetApi, registerNodes } from './register-nodes.ts';
import { annotateNode } from './restore/annotate.ts';
import { restoreNode } from './restore/restore.ts';
import { verifyNode } from './restore/verify.ts';

/** Entry file of the node set `dbackup-restore`. */
export default function registerRestore(RED: NodeSetApi): void {
  registerNodes(RED, [restoreNode, verifyNode, annotateNode]);
}

// Node-RED 4 loads node sets with require().
export { registerRestore as 'module.exports' };
