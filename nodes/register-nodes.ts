import { randomUUID } from 'node:crypto';
import type { Node, NodeDef, NodeMessage } from 'node-red';
import { BackupError, toBackupError } from '../lib/errors.ts';
import { type AdminApi, serveActions } from './admin-routes.ts';
import type { AnyNode, BackupMessage, Deliver, NodeBehaviour, NodeContext } from './define-node.ts';
import { formOf, readSettings, settingsError } from './forms/settings.ts';
import { serveJobs } from './operations/admin-jobs.ts';
import { serveOperations } from './operations/admin-operations.ts';
import { serveQueue } from './operations/admin-queue.ts';
import { serveRunLog } from './operations/admin-run-log.ts';
import { serveRuns } from './operations/admin-runs.ts';
import { type BackupRuntime, backupRuntime, type RuntimeApi } from './runtime.ts';
import { attachOffers, findOffer, findService, PLACE, serviceOf } from './services.ts';
import { failure } from './status/status-text.ts';

/** The part of `RED` that a node set gets from Node-RED and uses. */
export type NodeSetApi = AdminApi;

type Done = (error?: Error) => void;

/** Registers the node types of one set with Node-RED. */
export function registerNodes(RED: NodeSetApi, definitions: readonly AnyNode[]): void {
  for (const definition of definitions) registerNode(RED, definition);
  serveActions(RED, definitions);
  serveOperations(RED);
  serveRuns(RED);
  serveJobs(RED);
  serveQueue(RED);
  serveRunLog(RED);
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

/** A node that runs. It keeps to the runtime that it was started with, also while that one ends. */
interface Started {
  readonly runtime: BackupRuntime;
  readonly behaviour: NodeBehaviour;
  /** Of a source: what the runs are called that it opens. */
  readonly job: string | undefined;
}

function startNode(
  RED: RuntimeApi,
  definition: AnyNode,
  node: Node<Record<string, string>>,
  raw: NodeDef,
): void {
  const started = setUp(RED, definition, node, raw);
  if (started instanceof BackupError) {
    node.error(started.message);
    node.status(failure(started));
    // The editor would go on showing it when the next node with this id has nothing to say yet.
    node.on('close', () => node.status({}));
    if (definition.inputs === 1) refuseMessages(node, started);
    return;
  }
  const { runtime, behaviour, job } = started;
  const offers = behaviour.offers ?? [];
  const { type, role } = definition;
  const watched = { id: node.id, type, role, template: templateOf(node), name: node.name, offers, job };
  attachOffers(node, offers);
  runtime.watched.add(watched);
  const place = findOffer(offers, PLACE);
  if (place !== undefined) runtime.startupSweep.add(() => place.binding());
  if (definition.role !== 'config') runtime.board.enlist(node.id, definition.role);
  if (definition.inputs === 1) listen(RED, node, started);
  behaviour.start?.();
  node.on('close', (done: () => void) => {
    runtime.watched.remove(watched);
    behaviour.close?.();
    // A deploy leaves the runs alone; when Node-RED ends, it waits until they are cleaned up.
    if (runtime.ending.aborted) runtime.shutdown('Node-RED ends').then(done, done);
    else done();
  });
}

/** The running node, or why it cannot run: a wrong setting must not keep the flow from starting. */
function setUp(
  RED: RuntimeApi,
  definition: AnyNode,
  node: Node<Record<string, string>>,
  raw: NodeDef,
): Started | BackupError {
  const label = raw.name ? `${definition.type} "${raw.name}"` : definition.type;
  try {
    const runtime = backupRuntime(RED);
    const result = readSettings(definition, { ...raw, ...node.credentials });
    if ('problems' in result) return settingsError(label, result.problems);
    // The settings were just read with the schema of this very definition.
    const context = contextOf(RED, runtime, definition, node, label, result.settings as never);
    return { runtime, behaviour: definition.setup(context), job: jobOf(definition, result.settings) };
  } catch (thrown) {
    return toBackupError(thrown, label);
  }
}

/** Node-RED gives each instance of a subflow's node an id of its own. */
function templateOf(node: Node): string | undefined {
  return '_alias' in node && typeof node._alias === 'string' ? node._alias : undefined;
}

function jobOf({ role }: AnyNode, settings: unknown): string | undefined {
  if (role !== 'source' || typeof settings !== 'object' || settings === null) return undefined;
  return 'job' in settings && typeof settings.job === 'string' ? settings.job : undefined;
}

function contextOf<Settings>(
  RED: RuntimeApi,
  runtime: BackupRuntime,
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
    runtime,
    self: node.name === undefined ? { id: node.id, type } : { id: node.id, type, name: node.name },
    use: (key, nodeId) => serviceOf(RED, key, nodeId),
    find: (key, nodeId) => findService(RED, key, nodeId),
    status: (status) => runtime.board.set(node.id, status),
    progress: (status) => runtime.board.update(node.id, status),
    warn: (message) => node.warn(message),
    debug: (message) => node.debug(message),
    report: (error) => node.error(error.message, {}),
    launch(message, options) {
      const launched = { ...message, _msgid: message._msgid ?? randomUUID() };
      runtime.launches.launch(node.id, launched, () => sendAs(RED, node, launched), options);
    },
    send: (message) => node.send(message),
    text: (key, values) => RED._(key, { ...values }),
  };
}

function refuseMessages(node: Node, error: BackupError): void {
  node.on('input', (_message: NodeMessage, _send: unknown, done: Done) => done(error));
}

/**
 * Listens with three arguments, so that Node-RED and the run tracker wait for `done`. What the handler
 * throws or rejects with reaches `done` exactly once: Node-RED itself would end the process.
 */
function listen(RED: RuntimeApi, node: Node, started: Started): void {
  node.on('input', (message: NodeMessage, _send: unknown, done: Done) => {
    handle(RED, node, started, message).then(
      () => done(),
      (thrown: unknown) => fail(RED, node, started.runtime, toBackupError(thrown), message, done),
    );
  });
}

async function handle(
  RED: RuntimeApi,
  node: Node,
  { runtime, behaviour }: Started,
  message: BackupMessage,
): Promise<void> {
  const waiting: (Promise<void> | undefined)[] = [];
  const deliver: Deliver = (sent, output = 1) => {
    waiting.push(runtime.deploys.afterDeploy(() => sendAs(RED, node, sent, output)));
  };
  await behaviour.onInput?.(message, deliver);
  await Promise.all(waiting);
}

/** Reports through the node that bears the id now: the Catch nodes around a replaced node are gone with it. */
function fail(
  RED: RuntimeApi,
  node: Node,
  runtime: BackupRuntime,
  error: BackupError,
  message: NodeMessage,
  done: Done,
): void {
  if (error.code !== 'aborted') runtime.board.set(node.id, failure(error));
  runtime.deploys.afterDeploy(() => {
    const bearer = RED.nodes.getNode(node.id);
    if (bearer === node) return done(error);
    if (bearer) bearer.error(error, message);
    else RED.log.error(`${describe(node)} was removed, and failed: ${error.message}`);
    done();
  });
}

/**
 * Sends through the node that bears the id now. While a backup runs, a deploy may have replaced the node
 * that waits for it; without a successor there is nobody to send to.
 */
function sendAs(RED: RuntimeApi, node: Node, message: BackupMessage, output: 1 | 2 = 1): void {
  const bearer = RED.nodes.getNode(node.id);
  if (bearer) bearer.send(output === 1 ? message : [null, message]);
  else RED.log.warn(`${describe(node)} was removed, its result is sent to nobody`);
}

function describe({ id, type, name }: Node): string {
  return `[${type}:${name || id}]`;
}
