import { enabledNodes, type FlowNode } from '../lib/plan/flow-file.ts';
import { FlowGraph } from '../lib/plan/flow-graph.ts';
import type { NodeRole } from './node-role.ts';
import type { RunningSource, WatchedNodes } from './operations/watched-nodes.ts';

interface FlowEvents {
  on(event: string, listener: () => void): unknown;
  removeListener(event: string, listener: () => void): unknown;
}

export interface JobsBehindParts {
  readonly events: FlowEvents;
  /** Calls for each node of the deployed flow, tabs and subflows included. */
  eachNode(call: (node: object) => void): void;
  readonly watched: Pick<WatchedNodes, 'roleOf' | 'sourcesOf'>;
}

/** Knows from the wires of the deployed flow which backups a node starts. */
export class JobsBehind {
  readonly #parts: JobsBehindParts;
  readonly #known = new Map<string, readonly string[]>();
  #graph: FlowGraph | undefined;

  constructor(parts: JobsBehindParts) {
    this.#parts = parts;
    parts.events.on('flows:started', this.#forget);
  }

  /**
   * Sources that open a run when the node sends a message. One that comes after another one adds itself to its run,
   * unless there is a destination between them: then it opens the next.
   */
  sources(nodeId: string): RunningSource[] {
    const found = this.#known.get(nodeId) ?? this.#openers(nodeId);
    this.#known.set(nodeId, found);
    return found.flatMap((id) => this.#parts.watched.sourcesOf(id));
  }

  jobs(nodeId: string): string[] {
    return [...new Set(this.sources(nodeId).map(({ job }) => job))];
  }

  dispose(): void {
    this.#parts.events.removeListener('flows:started', this.#forget);
  }

  #openers(nodeId: string): string[] {
    const graph = this.#flowGraph();
    const openers = new Set<string>();
    const open = [nodeId];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      for (const source of this.#next(graph, id, 'source')) {
        if (openers.has(source.id)) continue;
        openers.add(source.id);
        open.push(...this.#next(graph, source.id, 'destination').map((destination) => destination.id));
      }
    }
    return [...openers];
  }

  /** The first nodes with that role on each way. A message to a schedule tells it something, and starts nothing here. */
  #next(graph: FlowGraph, from: string, role: NodeRole): FlowNode[] {
    const roleOf = ({ id }: FlowNode) => this.#parts.watched.roleOf(id);
    const stop = (node: FlowNode) => roleOf(node) === role || roleOf(node) === 'trigger';
    return graph.reachableFrom(from, { rescues: false, stop }).filter((node) => roleOf(node) === role);
  }

  #flowGraph(): FlowGraph {
    if (this.#graph !== undefined) return this.#graph;
    const nodes: FlowNode[] = [];
    this.#parts.eachNode((node) => nodes.push(node as FlowNode));
    this.#graph = new FlowGraph(enabledNodes(nodes), new Set(nodes.map(({ id }) => id)));
    return this.#graph;
  }

  readonly #forget = (): void => {
    this.#graph = undefined;
    this.#known.clear();
  };
}
