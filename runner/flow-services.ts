import { FlowEnvironment, variableIn } from '../lib/plan/flow-environment.ts';
import { type FlowNode, nodeLabel } from '../lib/plan/flow-file.ts';
import { type OfflineNode, OfflineServices } from '../nodes/offline-services.ts';
import { nodeSchemas } from '../nodes/schemas.ts';
import type { ServiceKey } from '../nodes/services.ts';
import { type FlowInput, flowCredentials } from './flow-input.ts';

/**
 * What the nodes of a flow file offer (servers, storages, destinations, keys), without starting Node-RED: an
 * emergency must not depend on it.
 */
export class FlowServices {
  readonly #services: OfflineServices;

  constructor(flow: FlowInput, dataDir: string, env: Readonly<Record<string, string | undefined>>) {
    const environment = new FlowEnvironment(flow.nodes, env);
    const { credentials } = flowCredentials(flow, env);
    this.#services = new OfflineServices({
      node: (id) => {
        const found = flow.nodes.find((node) => node.id === id);
        return found === undefined ? undefined : offlineNode(found, environment, credentials[id]);
      },
      definition: (type) => nodeSchemas[type],
      dataDir,
    });
  }

  /** The node's service, undefined when it is no node that offers it. @throws BackupError when it is not set up */
  find<Service>(key: ServiceKey<Service>, node: FlowNode): Service | undefined {
    return this.#services.find(key, node.id);
  }
}

function offlineNode(
  node: FlowNode,
  environment: FlowEnvironment,
  credentials: Readonly<Record<string, unknown>> | undefined,
): OfflineNode {
  const replace = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(replace);
    const name = typeof value === 'string' ? variableIn(value) : undefined;
    const resolved = name === undefined ? undefined : environment.resolve(node, name);
    return resolved?.state === 'value' ? resolved.value : value;
  };
  const values = Object.fromEntries(Object.entries(node).map(([field, value]) => [field, replace(value)]));
  return { id: node.id, type: node.type, label: nodeLabel(node), settings: { ...values, ...credentials } };
}
