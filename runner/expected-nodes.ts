import type { FlowEntry } from './runtime.ts';

/** A node that has to run once the flow has started; in a subflow, once for each instance. */
export interface ExpectedNode {
  /** Id of the running node: inside a subflow `<instance id>-<id>`. */
  readonly id: string;
  readonly entry: FlowEntry;
}

/** The nodes that have to run: all but those switched off, alone, by their tab, or by an unused subflow. */
export function expectedNodes(flows: readonly FlowEntry[]): ExpectedNode[] {
  const containers = new Set(
    flows.filter((entry) => entry.type === 'tab' || entry.type === 'subflow').map(idOf),
  );
  const offTabs = new Set(flows.filter((entry) => entry.type === 'tab' && entry.disabled === true).map(idOf));
  const subflows = new Set(flows.filter((entry) => entry.type === 'subflow').map(idOf));
  const nodes = flows.filter(
    (entry) => !['tab', 'subflow', 'group'].includes(entry.type) && entry.d !== true,
  );

  const within = (entry: FlowEntry, prefix: string): ExpectedNode[] => {
    const id = `${prefix}${entry.id}`;
    const subflow = /^subflow:(.+)$/.exec(entry.type)?.[1];
    const inner = subflow === undefined ? [] : nodes.filter((node) => node.z === subflow);
    return [{ id, entry }, ...inner.flatMap((node) => within(node, `${id}-`))];
  };
  return nodes
    .filter(({ z }) => z === undefined || !containers.has(z) || !(offTabs.has(z) || subflows.has(z)))
    .flatMap((entry) => within(entry, ''));
}

/** How a person finds a node: its name if it has one, its type and id. */
export function describeEntry({ id, type, name }: FlowEntry): string {
  return typeof name === 'string' && name !== '' ? `"${name}" (${type}, ${id})` : `${type} ${id}`;
}

function idOf(entry: FlowEntry): string {
  return entry.id;
}
