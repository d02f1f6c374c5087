import { BackupError } from '../lib/errors.ts';
import type { AnyNode, NodeContext } from './define-node.ts';
import { type RawSettings, readSettings, settingsError } from './forms/settings.ts';
import type { BackupRuntime } from './runtime.ts';
import { findOffer, type Offer, type ServiceKey } from './services.ts';

/** A node that does not run: as it stands in a flow file or in the editor. */
export interface OfflineNode {
  readonly id: string;
  readonly type: string;
  /** How a person finds it, for errors. */
  readonly label: string;
  /** With its secrets, variables replaced. */
  readonly settings: RawSettings;
}

export interface OfflineNodes {
  node(id: string): OfflineNode | undefined;
  definition(type: string): AnyNode | undefined;
  /** Folder of the history and the key vault. */
  readonly dataDir: string;
}

/** What nodes offer (servers, storages, destinations, keys) without being started by a Node-RED. */
export class OfflineServices {
  readonly #nodes: OfflineNodes;
  readonly #offers = new Map<string, readonly Offer[]>();

  constructor(nodes: OfflineNodes) {
    this.#nodes = nodes;
  }

  /** The node's service, undefined when it is no node that offers it. @throws BackupError when it is not set up */
  find<Service>(key: ServiceKey<Service>, nodeId: string): Service | undefined {
    const node = this.#nodes.node(nodeId);
    if (node === undefined) return undefined;
    return findOffer(this.#offersOf(node), key);
  }

  /** The same. @throws BackupError `invalid-config` when there is none */
  use<Service>(user: string, key: ServiceKey<Service>, nodeId: string): Service {
    const service = this.find(key, nodeId);
    if (service !== undefined) return service;
    throw new BackupError(
      'invalid-config',
      `${user} refers to the ${key.name} ${nodeId}, which is not in the flow: choose another`,
    );
  }

  #offersOf(node: OfflineNode): readonly Offer[] {
    const known = this.#offers.get(node.id);
    if (known !== undefined) return known;
    const offers = this.#setUp(node);
    this.#offers.set(node.id, offers);
    return offers;
  }

  #setUp(node: OfflineNode): readonly Offer[] {
    const definition = this.#nodes.definition(node.type);
    if (definition === undefined) return [];
    const result = readSettings(definition, node.settings);
    if ('problems' in result) throw settingsError(node.label, result.problems);
    // The settings were just read with the schema of this very definition.
    return definition.setup(this.#contextOf(node, result.settings as never)).offers ?? [];
  }

  #contextOf<Settings>({ id, type, label }: OfflineNode, settings: Settings): NodeContext<Settings> {
    return {
      id,
      type,
      label,
      settings,
      runtime: offlineRuntime(this.#nodes.dataDir),
      self: { id, type },
      find: (key, nodeId) => this.find(key, nodeId),
      use: (key, nodeId) => this.use(label, key, nodeId),
      status: ignore,
      progress: ignore,
      warn: ignore,
      debug: ignore,
      report: ignore,
      launch: ignore,
      send: ignore,
      text: (key) => key,
    };
  }
}

function ignore(): void {}

/** What a node may ask for while it only offers something: the data directory. Nothing runs here. */
function offlineRuntime(dataDir: string): BackupRuntime {
  const known = { dataDir } as BackupRuntime;
  return new Proxy(known, {
    get(target, property) {
      if (property === 'dataDir') return target.dataDir;
      throw new BackupError('internal', `${String(property)} needs a running Node-RED`);
    },
  });
}
