import { BackupError } from '../lib/errors.ts';
import type { FlowEntry } from './runtime.ts';

/** A node that has to run once the flow has started; in a subflow, once for each instance. */
export interface ExpectedNode {
  /** Id of the running node: inside a subflow `<instance id>-<id>`. */
  readonly id: string;
  readonly entry: FlowEntry;
}

/**
 * The nodes that have to run: all but those switched off, alone or by their tab, and those of unused subflows.
 * @throws BackupError `invalid-config` when a subflow contains itself: Node-RED would never finish starting it
 */
export function expectedNodes(flows: readonly FlowEntry[]): ExpectedNode[] {
  const hidden = new Set(flows.filter(isHiddenContainer).map(({ id }) => id));
  const nodes = flows.filter(
    (entry) => !['tab', 'subflow', 'group'].includes(entry.type) && entry.d !== true,
  );
  return nodes
    .filter(({ z }) => z === undefined || !hidden.has(z))
    .flatMap((entry) => expand(entry, nodes, []));
}

/** How a person finds a node: its name if it has one, its type and id. */
export function describeEntry({ id, type, name }: FlowEntry): string {
  return typeof name === 'string' && name !== '' ? `"${name}" (${type}, ${id})` : `${type} ${id}`;
}

/** What lies in a subflow runs only in its instances; what lies on a disabled tab does not run. */
function isHiddenContainer({ type, disabled }: FlowEntry): boolean {
  return type === 'subflow' || (type === 'tab' && disabled === true);
}

/** The node itself and, when it is an instance of a subflow, the nodes inside it. */
function expand(entry: FlowEntry, nodes: readonly FlowEntry[], around: readonly FlowEntry[]): ExpectedNode[] {
  const path = [...around, entry];
  const expected = { id: path.map(({ id }) => id).join('-'), entry };
  const subflow = /^subflow:(.+)$/.exec(entry.type)?.[1];
  if (subflow === undefined) return [expected];
  if (around.some(({ type }) => type === entry.type)) {
    throw new BackupError(
      'invalid-config',
      `Subflow ${subflow} contains itself: take its instance ${entry.id} out of it`,
    );
  }
  const inside = nodes.filter((node) => node.z === subflow);
  return [expected, ...inside.flatMap((node) => expand(node, nodes, path))];
}
