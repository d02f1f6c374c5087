import type { NodeAPI } from 'node-red';
import { z } from 'zod';
import { BackupError, toBackupError } from '../lib/errors.ts';
import type { FlowNode } from '../lib/plan/flow-file.ts';
import type { AnyNode } from './define-node.ts';
import type { ActionAnswer, ActionRoute, FormAction } from './form-actions.ts';
import { substituteVariables } from './forms/environment.ts';
import { formOf, type RawSettings, readSettings, settingsError } from './forms/settings.ts';
import { type OfflineNode, OfflineServices } from './offline-services.ts';
import { type PlaceBefore, placesBefore } from './places-before.ts';
import { backupRuntime, type RuntimeApi } from './runtime.ts';
import { findService, type ServiceKey } from './services.ts';

/** Every admin route of the package. None answers without its permission. */
export const ADMIN_ROUTES: readonly AdminRoute[] = [
  // These act with the server's rights on what the form names: a person who may only look must not.
  { method: 'post', route: 'storages/test', permission: 'dbackup.storages.write' },
  { method: 'post', route: 'sources/databases', permission: 'dbackup.sources.write' },
  { method: 'post', route: 'servers/test', permission: 'dbackup.servers.write' },
  { method: 'post', route: 'keys/test', permission: 'dbackup.keys.write' },
  { method: 'post', route: 'notifiers/test', permission: 'dbackup.notifiers.write' },
  { method: 'post', route: 'schedules/fire', permission: 'dbackup.schedules.write' },
  { method: 'post', route: 'schedules/pause', permission: 'dbackup.schedules.write' },
  { method: 'post', route: 'schedules/resume', permission: 'dbackup.schedules.write' },
  { method: 'post', route: 'retention/dry-run', permission: 'dbackup.retention.write' },
  // These only compute.
  { method: 'post', route: 'schedules/next', permission: 'dbackup.schedules.read' },
  { method: 'post', route: 'retention/simulate', permission: 'dbackup.retention.read' },
];

export interface AdminRoute {
  readonly method: 'post';
  readonly route: ActionRoute;
  readonly permission: string;
}

export const ADMIN_ROOT = '/dbackup/api';

/** The part of `RED` that serving the admin routes takes; without the editor there is none. */
export type AdminApi = RuntimeApi & {
  readonly httpAdmin?:
    | (Pick<NodeAPI['httpAdmin'], 'post'> & Partial<Pick<NodeAPI['httpAdmin'], 'get'>>)
    | null;
  readonly auth?: Pick<NodeAPI['auth'], 'needsPermission'>;
};

/** Longest time that a person waits for an answer, in ms. */
const ANSWER_WITHIN_MS = 20_000;
/** What the editor shows in place of a secret that Node-RED keeps. */
const KEPT_SECRET = '__PWRD__';

const formState = z.object({
  type: z.string(),
  id: z.string().optional(),
  settings: z.record(z.string(), z.unknown()),
});
const question = z.object({
  ...formState.shape,
  /** What stands in the select beside the button. */
  option: z.string().optional(),
  /** The config nodes that the form refers to, and those that they refer to, as they stand in the editor. */
  references: z
    .array(z.object({ ...formState.shape, id: z.string() }))
    .max(100)
    .default([]),
});
type FormState = z.infer<typeof formState>;
type Question = z.infer<typeof question>;

const served = new WeakMap<object, Map<string, AnyNode>>();

/** Serves the routes for these node types. They are registered once, whichever node set comes first. */
export function serveActions(RED: AdminApi, definitions: readonly AnyNode[]): void {
  const { httpAdmin, auth } = RED;
  if (httpAdmin === undefined || httpAdmin === null || auth === undefined) return;
  let nodes = served.get(httpAdmin);
  if (nodes === undefined) {
    nodes = new Map();
    served.set(httpAdmin, nodes);
    for (const route of ADMIN_ROUTES) serve(RED, httpAdmin, auth, route, nodes);
  }
  for (const definition of definitions) nodes.set(definition.type, definition);
}

function serve(
  RED: AdminApi,
  httpAdmin: NonNullable<AdminApi['httpAdmin']>,
  auth: NonNullable<AdminApi['auth']>,
  { route, permission }: AdminRoute,
  nodes: ReadonlyMap<string, AnyNode>,
): void {
  httpAdmin.post(`${ADMIN_ROOT}/${route}`, auth.needsPermission(permission), (request, response) => {
    const asked = question.safeParse(request.body);
    const node = asked.success ? nodes.get(asked.data.type) : undefined;
    const action = node?.actions?.find((candidate) => candidate.route === route);
    if (!asked.success || node === undefined || action === undefined) {
      response.status(400).json({ error: 'Not a question that this route answers' });
      return;
    }
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
    const language = languageOf(request.headers?.['accept-language']);
    answer(RED, nodes, { node, action, asked: asked.data, language }, signal).then(
      (given) => response.json(given),
      (thrown: unknown) => response.json({ level: 'error', message: explain(thrown, signal) }),
    );
  });
}

interface Asked {
  readonly node: AnyNode;
  readonly action: FormAction;
  readonly asked: Question;
  readonly language: string;
}

async function answer(
  RED: AdminApi,
  nodes: ReadonlyMap<string, AnyNode>,
  { node, action, asked, language }: Asked,
  signal: AbortSignal,
): Promise<ActionAnswer> {
  const settings = action.ofRunningNode === true ? {} : checkedSettings(RED, node, action, asked);
  const { dataDir, clock } = backupRuntime(RED);
  const services = new OfflineServices({
    node: (id) => referredNode(RED, nodes, asked, id),
    definition: (type) => nodes.get(type),
    dataDir,
  });
  // The settings were just read with the schema of this very node.
  return action.run(settings as never, {
    option: optionOf(action, asked),
    before: () => placesBeforeNode(RED, asked.id),
    dataDir,
    clock,
    language,
    signal,
    use: (key, nodeId) => services.use('This node', key, nodeId),
    running: (key) => runningService(RED, key, asked.id),
  });
}

/** @throws BackupError `invalid-config` when it is none of the action's */
function optionOf({ options = [] }: FormAction, { option }: Question): string | undefined {
  if (option === undefined || options.includes(option)) return option;
  throw new BackupError('invalid-config', `"${option}" is none of ${options.join(', ')}`);
}

function placesBeforeNode(RED: AdminApi, nodeId: string | undefined): PlaceBefore[] {
  if (nodeId === undefined) return [];
  const nodes: FlowNode[] = [];
  RED.nodes.eachNode((node) => nodes.push(node as object as FlowNode));
  return placesBefore(nodes, backupRuntime(RED).watched, nodeId);
}

function checkedSettings(RED: AdminApi, node: AnyNode, action: FormAction, asked: Question): unknown {
  const settings = { ...settingsOf(RED, node, asked) };
  for (const [name, value] of Object.entries(action.standIns ?? {})) {
    if (isEmpty(settings[name])) settings[name] = value;
  }
  const result = readSettings(node, settings);
  if ('problems' in result) throw settingsError('This node', result.problems);
  return result.settings;
}

function runningService<Service>(
  RED: AdminApi,
  key: ServiceKey<Service>,
  nodeId: string | undefined,
): Service {
  const service = nodeId === undefined ? undefined : findService(RED, key, nodeId);
  if (service !== undefined) return service;
  throw new BackupError('not-found', 'This node does not run: deploy it first');
}

/** The language that a browser names first; English when it names none that there is. */
function languageOf(accepted: string | undefined): string {
  const first = accepted?.split(/[,;]/)[0]?.trim() ?? '';
  try {
    return Intl.DateTimeFormat.supportedLocalesOf(first)[0] ?? 'en';
  } catch {
    return 'en';
  }
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.every(isEmpty) : value === undefined || value === null || value === '';
}

/** A config node that the form refers to, as the editor has sent it along. */
function referredNode(
  RED: AdminApi,
  nodes: ReadonlyMap<string, AnyNode>,
  { references }: Question,
  id: string,
): OfflineNode | undefined {
  const found = references.find((reference) => reference.id === id);
  const definition = found === undefined ? undefined : nodes.get(found.type);
  if (found === undefined || definition?.role !== 'config') return undefined;
  const { type, settings } = found;
  const name = typeof settings.name === 'string' && settings.name !== '' ? ` "${settings.name}"` : '';
  return { id, type, label: `${type}${name}`, settings: settingsOf(RED, definition, found) };
}

/** The settings of a form, with the secrets that it does not know and the variables that it names. */
function settingsOf(RED: AdminApi, node: AnyNode, { id, settings }: FormState): RawSettings {
  const complete: Record<string, unknown> = { ...settings };
  const credentials = keptSecrets(RED, node, id);
  for (const { name, secret } of formOf(node.schema).fields) {
    if (secret && complete[name] === KEPT_SECRET) complete[name] = credentials[name];
  }
  return substituteVariables(complete);
}

/** Only of a deployed node of that very type: a question must not bring out what belongs to another one. */
function keptSecrets(RED: AdminApi, { type }: AnyNode, id: string | undefined): RawSettings {
  if (id === undefined) return {};
  let isThatType = false;
  RED.nodes.eachNode((node) => {
    if (node.id === id && node.type === type) isThatType = true;
  });
  return isThatType ? { ...RED.nodes.getCredentials(id) } : {};
}

function explain(thrown: unknown, signal: AbortSignal): string {
  const error = toBackupError(thrown);
  if (signal.aborted && error.code === 'aborted') {
    return `No answer within ${ANSWER_WITHIN_MS / 1000} seconds`;
  }
  return error.message;
}
