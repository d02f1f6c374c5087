import { openStorage } from '../lib/destinations/open.ts';
import { BackupError } from '../lib/errors.ts';
import { enabledNodes, type FlowNode, nameOf, nodeLabel } from '../lib/plan/flow-file.ts';
import { dataDirectory, type FlowInput, type FlowOptions, readFlow } from './flow-input.ts';
import type { StoragePlace } from './stored-sets.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** How a person says which storage is meant. */
export interface StorageOptions extends FlowOptions {
  /** A flow file that names it. */
  readonly flow?: string;
  /** With a flow: name or id of a storage or destination node. Without: a URL or path. */
  readonly storage?: string;
}

/**
 * Opens the storage that the options name.
 * @throws BackupError `invalid-config` that lists what there is when the choice is not clear
 */
export async function openPlace(options: StorageOptions, env: Environment): Promise<StoragePlace> {
  if (options.flow !== undefined) {
    return placeOfFlow(await readFlow(options.flow, options, env), options, env);
  }
  if (options.storage !== undefined) return { driver: openStorage(options.storage), prefix: '' };
  throw new BackupError(
    'invalid-config',
    'No storage is given: use --storage file:///backups, or --flow flow.json --storage NAME',
  );
}

/**
 * Opens the storage that the options name; with a flow and no name, those of all its destinations.
 * @throws BackupError `invalid-config`
 */
export async function openPlaces(options: StorageOptions, env: Environment): Promise<StoragePlace[]> {
  if (options.flow === undefined || options.storage !== undefined) return [await openPlace(options, env)];
  const flow = await readFlow(options.flow, options, env);
  const destinations = await destinationsOf(flow);
  if (destinations.length === 0) {
    throw new BackupError(
      'invalid-config',
      `${flow.file} holds no destination: name a storage with --storage`,
    );
  }
  const places: StoragePlace[] = [];
  for (const { id } of destinations) places.push(await placeOfFlow(flow, { ...options, storage: id }, env));
  return places;
}

/** Nodes of our types are loaded only when a flow is given: a storage that is given directly opens faster. */
async function placeOfFlow(
  flow: FlowInput,
  options: StorageOptions,
  env: Environment,
): Promise<StoragePlace> {
  const [{ FlowServices }, { PLACE, STORAGE }] = await Promise.all([
    import('./flow-services.ts'),
    import('../nodes/services.ts'),
  ]);
  const services = new FlowServices(flow, dataDirectory(options, env), env);
  const node = await chooseNode(flow, options.storage);
  const binding = services.find(PLACE, node)?.binding();
  if (binding !== undefined) return { driver: binding.driver, prefix: binding.prefix };
  const storage = services.find(STORAGE, node);
  if (storage !== undefined) return { driver: storage.driver(), prefix: '' };
  throw new BackupError('invalid-config', `${nodeLabel(node)} is no storage and no destination`);
}

async function destinationsOf(flow: FlowInput): Promise<FlowNode[]> {
  const { nodeSchemas } = await import('../nodes/schemas.ts');
  return enabledNodes(flow.nodes).filter(({ type }) => nodeSchemas[type]?.role === 'destination');
}

async function chooseNode(flow: FlowInput, wanted: string | undefined): Promise<FlowNode> {
  const { nodeSchemas } = await import('../nodes/schemas.ts');
  const nodes = enabledNodes(flow.nodes);
  const destinations = await destinationsOf(flow);
  const found =
    wanted === undefined
      ? destinations
      : nodes
          .filter((node) => node.id === wanted || nameOf(node) === wanted)
          .filter((node) => node.type in nodeSchemas);
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  const listed = destinations.map(nodeLabel).join(', ') || 'none';
  const problem =
    wanted === undefined ? 'Several storages could be meant' : `"${wanted}" names ${found.length} nodes`;
  throw new BackupError(
    'invalid-config',
    `${problem} of ${flow.file}: choose one with --storage (${listed})`,
  );
}
