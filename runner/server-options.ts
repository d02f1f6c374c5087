import { BackupError } from '../lib/errors.ts';
import { enabledNodes, nameOf, nodeLabel } from '../lib/plan/flow-file.ts';
import type { RestoreServer } from '../lib/restore/targets.ts';
import { dataDirectory, type FlowOptions, readFlow } from './flow-input.ts';
import { secretFrom } from './secret-input.ts';
import { isServerUrl, parseServerUrl, type ServerAddress } from './server-url.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** How a person says which database server is meant. */
export interface ServerOptions extends FlowOptions {
  /** A flow file that names it. */
  readonly flow?: string;
  /** A URL, or with a flow the name or id of a server node. */
  readonly server?: string;
}

/**
 * The server that the options name.
 * @throws BackupError `invalid-config` when it is not clear which, or its settings are wrong
 */
export async function openServer(
  { server, ...options }: ServerOptions,
  env: Environment,
): Promise<RestoreServer> {
  if (server !== undefined && isServerUrl(server)) {
    return withPassword(parseServerUrl(server), await secretFrom('DBACKUP_SERVER_PASSWORD', undefined, env));
  }
  if (options.flow !== undefined) return serverOfFlow(options.flow, server, options, env);
  throw new BackupError(
    'invalid-config',
    `${server === undefined ? 'No server is given' : `"${server}" is no URL of a server`}: use --server postgresql://user@host:5432/ or mysql://user@host:3306/, or --flow flow.json --server NAME`,
  );
}

function withPassword(address: ServerAddress, password: string | undefined): RestoreServer {
  const secret = password === undefined ? {} : { password };
  return address.kind === 'postgres'
    ? { kind: 'postgres', server: { ...address.server, ...secret } }
    : { kind: 'mysql', server: { ...address.server, ...secret } };
}

/** Nodes of our types are loaded only when a flow is given. */
async function serverOfFlow(
  file: string,
  wanted: string | undefined,
  options: FlowOptions,
  env: Environment,
): Promise<RestoreServer> {
  const [flow, { FlowServices }, { MYSQL_SERVER, POSTGRES_SERVER }] = await Promise.all([
    readFlow(file, options, env),
    import('./flow-services.ts'),
    import('../nodes/services.ts'),
  ]);
  const nodes = enabledNodes(flow.nodes).filter(({ type }) => /^dbackup-(postgres|mysql)-server$/.test(type));
  const found = nodes.filter((node) => wanted === undefined || node.id === wanted || nameOf(node) === wanted);
  const [only, ...others] = found;
  if (only === undefined || others.length > 0) {
    const problem =
      wanted === undefined
        ? `${file} has ${found.length} servers`
        : `"${wanted}" names ${found.length} servers of ${file}`;
    const listed = nodes.map(nodeLabel).join(', ') || 'none';
    throw new BackupError('invalid-config', `${problem}: choose one with --server (${listed})`);
  }
  const services = new FlowServices(flow, dataDirectory(options, env), env);
  const mysql = services.find(MYSQL_SERVER, only);
  if (mysql !== undefined) return { kind: 'mysql', server: mysql.server() };
  const postgres = services.find(POSTGRES_SERVER, only);
  if (postgres !== undefined) return { kind: 'postgres', server: postgres.server() };
  throw new BackupError('invalid-config', `${nodeLabel(only)} is no database server`);
}
