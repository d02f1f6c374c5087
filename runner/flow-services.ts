import { BackupError } from '../lib/errors.ts';
import { FlowEnvironment, variableIn } from '../lib/plan/flow-environment.ts';
import { type FlowNode, nodeLabel } from '../lib/plan/flow-file.ts';
import type { NodeContext } from '../nodes/define-node.ts';
import { readSettings, settingsError } from '../nodes/forms/settings.ts';
import type { BackupRuntime } from '../nodes/runtime.ts';
import { nodeSchemas } from '../nodes/schemas.ts';
import type { Offer, ServiceKey } from '../nodes/services.ts';
import type { PlainCredentials } from './credentials.ts';
import { type FlowInput, flowCredentials } from './flow-input.ts';

/**
 * What the nodes of a flow file offer (storages, destinations, keys), without starting Node-RED: an
 * emergency must not depend on it.
 */
export class FlowServices {
  readonly #flow: FlowInput;
  readonly #environment: FlowEnvironment;
  readonly #credentials: PlainCredentials;
  readonly #dataDir: string;
  readonly #offers = new Map<string, readonly Offer[]>();

  constructor(flow: FlowInput, dataDir: string, env: Readonly<Record<string, string | undefined>>) {
    this.#flow = flow;
    this.#environment = new FlowEnvironment(flow.nodes, env);
    this.#credentials = flowCredentials(flow, env).credentials;
    this.#dataDir = dataDir;
  }

  /** The node's service, undefined when it is no node that offers it. @throws BackupError when it is not set up */
  find<Service>(key: ServiceKey<Service>, node: FlowNode): Service | undefined {
    const offer = this.#offersOf(node).find(({ name }) => name === key.name);
    return offer?.service as Service | undefined;
  }

  #offersOf(node: FlowNode): readonly Offer[] {
    const known = this.#offers.get(node.id);
    if (known !== undefined) return known;
    const offers = this.#setUp(node);
    this.#offers.set(node.id, offers);
    return offers;
  }

  #setUp(node: FlowNode): readonly Offer[] {
    const definition = nodeSchemas[node.type];
    if (definition === undefined) return [];
    const values = this.#replaceVariables(node);
    const result = readSettings(definition, { ...values, ...this.#credentials[node.id] });
    if ('problems' in result) throw settingsError(nodeLabel(node), result.problems);
    // The settings were just read with the schema of this very definition.
    return definition.setup(this.#contextOf(node, result.settings as never)).offers ?? [];
  }

  #replaceVariables(node: FlowNode): Record<string, unknown> {
    const replace = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(replace);
      const name = typeof value === 'string' ? variableIn(value) : undefined;
      const resolved = name === undefined ? undefined : this.#environment.resolve(node, name);
      return resolved?.state === 'value' ? resolved.value : value;
    };
    return Object.fromEntries(Object.entries(node).map(([field, value]) => [field, replace(value)]));
  }

  #contextOf<Settings>(node: FlowNode, settings: Settings): NodeContext<Settings> {
    const find = <Service>(key: ServiceKey<Service>, nodeId: string) => {
      const other = this.#flow.nodes.find(({ id }) => id === nodeId);
      return other === undefined ? undefined : this.find(key, other);
    };
    return {
      id: node.id,
      type: node.type,
      label: nodeLabel(node),
      settings,
      runtime: offlineRuntime(this.#dataDir),
      self: { id: node.id, type: node.type },
      find,
      use(key, nodeId) {
        const service = find(key, nodeId);
        if (service !== undefined) return service;
        throw new BackupError(
          'invalid-config',
          `${nodeLabel(node)} refers to the ${key.name} ${nodeId}, which is not in the flow`,
        );
      },
      status: ignore,
      progress: ignore,
      warn: ignore,
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
