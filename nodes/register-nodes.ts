import type { Node, NodeDef, NodeMessage } from 'node-red';
import { BackupError, toBackupError } from '../lib/errors.ts';
import { type AdminApi, serveActions } from './admin-routes.ts';
import type { AnyNode, BackupMessage, Deliver, NodeBehaviour, NodeContext } from './define-node.ts';
import { formOf, readSettings, settingsError } from './forms/settings.ts';
import { backupRuntime, type RuntimeApi } from './runtime.ts';
import { attachOffers, findService, serviceOf } from './services.ts';
import { failure } from './status/status-text.ts';

/** The part of `RED` that a node set gets from Node-RED and uses. */
export type NodeSetApi = AdminApi;

type Done = (error?: Error) => void;

/** Registers the node types of one set with Node-RED. */
export function registerNodes(RED: NodeSetApi, definitions: readonly AnyNode[]): void {
  for (const definition of definitions) registerNode(RED, definition);
  serveActions(RED, definitions);
}

function registerNode(RED: RuntimeApi, definition: AnyNode): void {
  function BackupNode(this: Node<Record<string, string>>, raw: NodeDef): void {
    RED.nodes.createNode(this, raw);
    startNode(RED, definition, this, raw);
  }
  RED.nodes.registerType(definition.type, BackupNode, { credentials: credentialsOf(definition) });
}

/** Credentials of a node type, from the fields that its schema marks as secret. */
export function credentialsOf({ schema }: AnyNode): Record<string, { type: 'password' }> {
  const secrets = formOf(schema).fields.filter((field) => field.secret);
  return Object.fromEntries(secrets.map(({ name }) => [name, { type: 'password' }]));
}

function startNode(
  RED: RuntimeApi,
  definition: AnyNode,
  node: Node<Record<string, string>>,
  raw: NodeDef,
): void {
  const behaviour = setUp(RED, definition, node, raw);
  if (behaviour instanceof BackupError) {
    node.error(behaviour.message);
    node.status(failure(behaviour));
  } else {
    attachOffers(node, behaviour.offers ?? []);
    if (definition.role !== 'config') backupRuntime(RED).board.enlist(node.id, definition.role);
  }
  if (definition.inputs === 1) listen(RED, node, behaviour);
}

/** The node's behaviour, or why it cannot have one: a wrong setting must not keep the flow from starting. */
function setUp(
  RED: RuntimeApi,
  definition: AnyNode,
  node: Node<Record<string, string>>,
  raw: NodeDef,
): NodeBehaviour | BackupError {
  const label = raw.name ? `${definition.type} "${raw.name}"` : definition.type;
  try {
    const result = readSettings(definition, { ...raw, ...node.credentials });
    if ('problems' in result) return settingsError(label, result.problems);
    // The settings were just read with the schema of this very definition.
    return definition.setup(contextOf(RED, definition, node, label, result.settings as never));
  } catch (thrown) {
    return toBackupError(thrown, label);
  }
}

function contextOf<Settings>(
  RED: RuntimeApi,
  { type }: AnyNode,
  node: Node,
  label: string,
  settings: Settings,
): NodeContext<Settings> {
  return {
    id: node.id,
    type,
    label,
    settings,
    self: node.name === undefined ? { id: node.id, type } : { id: node.id, type, name: node.name },
    get runtime() {
      return backupRuntime(RED);
    },
    use: (key, nodeId) => serviceOf(RED, key, nodeId),
    find: (key, nodeId) => findService(RED, key, nodeId),
    status: (status) => backupRuntime(RED).board.set(node.id, status),
    progress: (status) => backupRuntime(RED).board.update(node.id, status),
    warn: (message) => node.warn(message),
    text: (key, values) => RED._(key, { ...values }),
  };
}

/**
 * Listens with three arguments, so that Node-RED and the run tracker wait for `done`. What the handler
 * throws or rejects with reaches `done` exactly once: Node-RED itself would end the process.
 */
function listen(RED: RuntimeApi, node: Node, behaviour: NodeBehaviour | BackupError): void {
  node.on('input', (message: NodeMessage, _send: unknown, done: Done) => {
    handle(RED, node, behaviour, message).then(
      () => done(),
      (thrown: unknown) => {
        const error = toBackupError(thrown);
        showFailure(RED, node, error);
        fail(RED, node, error, message, done);
      },
    );
  });
}

async function handle(
  RED: RuntimeApi,
  node: Node,
  behaviour: NodeBehaviour | BackupError,
  message: BackupMessage,
): Promise<void> {
  if (behaviour instanceof BackupError) throw behaviour;
  const { deploys } = backupRuntime(RED);
  const waiting: (Promise<void> | undefined)[] = [];
  const deliver: Deliver = (sent) => {
    waiting.push(deploys.afterDeploy(() => sendAs(RED, node, sent)));
  };
  await behaviour.onInput?.(message, deliver);
  await Promise.all(waiting);
}

/** Reports through the node that bears the id now: the Catch nodes around a replaced node are gone with it. */
function fail(RED: RuntimeApi, node: Node, error: BackupError, message: NodeMessage, done: Done): void {
  const report = () => {
    const bearer = RED.nodes.getNode(node.id);
    if (bearer === node) return done(error);
    if (bearer) bearer.error(error, message);
    else RED.log.error(`${describe(node)} was removed, and failed: ${error.message}`);
    done();
  };
  backupRuntime(RED).deploys.afterDeploy(report);
}

function showFailure(RED: RuntimeApi, node: Node, error: BackupError): void {
  if (error.code !== 'aborted') backupRuntime(RED).board.set(node.id, failure(error));
}

/**
 * Sends through the node that bears the id now. While a backup runs, a deploy may have replaced the node
 * that waits for it; without a successor there is nobody to send to.
 */
function sendAs(RED: RuntimeApi, node: Node, message: BackupMessage): void {
  const bearer = RED.nodes.getNode(node.id);
  if (bearer) bearer.send(message);
  else RED.log.warn(`${describe(node)} was removed, its result is sent to nobody`);
}

function describe({ id, type, name }: Node): string {
  return `[${type}:${name || id}]`;
}
