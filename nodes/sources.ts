import { type NodeSetApi, registerNodes } from './register-nodes.ts';
import { mysqlNode } from './sources/mysql.ts';
import { postgresNode } from './sources/postgres.ts';
import { sqliteNode } from './sources/sqlite.ts';

/** Entry file of the node set `dbackup-sources`. */
export default function registerSources(RED: NodeSetApi): void {
  registerNodes(RED, [postgresNode, mysqlNode, sqliteNode]);
}

// Node-RED 4 loads node sets with require().
export { registerSources as 'module.exports' };
