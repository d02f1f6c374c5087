import type { DestinationBinding } from '../lib/plan/bindings.ts';
import { enabledNodes, type FlowNode } from '../lib/plan/flow-file.ts';
import { FlowGraph } from '../lib/plan/flow-graph.ts';
import type { WatchedNodes } from './operations/watched-nodes.ts';

/** Where a destination that leads to a node stores, and the jobs whose backups come to it. */
export interface PlaceBefore {
  readonly binding: DestinationBinding;
  readonly jobs: readonly string[];
}

/**
 * The places whose backups reach a node, by the wires of the deployed flow: those of the last destinations before it.
 * @param nodes every node of the deployed flow, tabs and subflows included
 */
export function placesBefore(
  nodes: readonly FlowNode[],
  watched: Pick<WatchedNodes, 'roleOf' | 'placesOf' | 'sourcesOf'>,
  nodeId: string,
): PlaceBefore[] {
  const enabled = enabledNodes(nodes);
  const graph = new FlowGraph(enabled, new Set(nodes.map(({ id }) => id)));
  const having = (role: string) => enabled.filter(({ id }) => watched.roleOf(id) === role);
  const isDestination = ({ id }: FlowNode) => watched.roleOf(id) === 'destination';
  const reaches = (from: string, to: string, stop: (node: FlowNode) => boolean) =>
    graph.reachableFrom(from, { rescues: false, stop }).some(({ id }) => id === to);
  return having('destination')
    .filter(({ id }) => reaches(id, nodeId, isDestination))
    .flatMap((destination) => {
      const sources = having('source').filter(({ id }) => reaches(id, destination.id, () => false));
      const jobs = new Set(sources.flatMap(({ id }) => watched.sourcesOf(id).map(({ job }) => job)));
      return watched.placesOf(destination.id).map((binding) => ({ binding, jobs: [...jobs] }));
    });
}
