import { keyNode } from './config/key.ts';
import { mysqlServerNode } from './config/mysql-server.ts';
import { postgresServerNode } from './config/postgres-server.ts';
import { sshNode } from './config/ssh.ts';
import { type NodeSetApi, registerNodes } from './register-nodes.ts';
import { storageNodes } from './storages.ts';

/** Entry file of the node set `dbackup-config`. */
export default function registerConfig(RED: NodeSetApi): void {
  registerNodes(RED, [keyNode, ...storageNodes, postgresServerNode, mysqlServerNode, sshNode]);
}

// Node-RED 4 loads node sets with require().
export { registerConfig as 'module.exports' };
