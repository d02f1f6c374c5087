import { type FlowNode, nodeLabel } from './flow-file.ts';
import type { FlowGraph } from './flow-graph.ts';
import type { BackupNodeType, FlowProblem, FlowProblemCode } from './flow-problem.ts';

/** Nodes of Node-RED that hand on what they get, with `msg.backup` as it is. */
const PASSING = new Set(['junction', 'link in', 'link out', 'link call', 'delay', 'switch']);

/** Roles of nodes beyond which a message is not that of the backup any more. */
const ENDS = new Set<BackupNodeType['role']>(['other', 'operation', 'trigger']);

/** Checks what leads where: every source to a destination, every destination from a source, no loops. */
export function checkWiring(
  enabled: readonly FlowNode[],
  graph: FlowGraph,
  types: ReadonlyMap<string, BackupNodeType>,
): FlowProblem[] {
  const check = new WiringCheck(enabled, graph, types);
  return check.run();
}

class WiringCheck {
  readonly #graph: FlowGraph;
  readonly #types: ReadonlyMap<string, BackupNodeType>;
  readonly #sources: FlowNode[];
  readonly #transforms: FlowNode[];
  readonly #destinations: FlowNode[];
  readonly #problems: FlowProblem[] = [];

  constructor(enabled: readonly FlowNode[], graph: FlowGraph, types: ReadonlyMap<string, BackupNodeType>) {
    this.#graph = graph;
    this.#types = types;
    const having = (role: BackupNodeType['role']) => enabled.filter((node) => this.#role(node) === role);
    this.#sources = having('source');
    this.#transforms = having('transform');
    this.#destinations = having('destination');
  }

  run(): FlowProblem[] {
    this.#dangling();
    this.#loops();
    this.#reach();
    for (const destination of this.#destinations) this.#afterDestination(destination);
    for (const transform of this.#transforms) this.#order(transform);
    return this.#problems;
  }

  #dangling(): void {
    const seen = new Set<string>();
    for (const { from, to } of this.#graph.dangling) {
      if (seen.has(`${from.id} ${to}`)) continue;
      seen.add(`${from.id} ${to}`);
      this.#warn('dangling-wire', from, `it is wired to ${to}, which is not in the flow`);
    }
  }

  /** Beyond a destination a message stands for a stored set, and a source begins the next backup with it. */
  #loops(): void {
    for (const node of [...this.#sources, ...this.#transforms]) this.#loop(node, 'destination');
    for (const node of this.#destinations) this.#loop(node, 'source');
  }

  #loop(node: FlowNode, end: BackupNodeType['role']): void {
    if (!this.#surelyReached(node, end).includes(node)) return;
    this.#fail('loop', node, 'its message comes back to it: remove the loop');
  }

  #reach(): void {
    const reached = new Set<string>();
    for (const source of this.#sources) {
      const nodes = this.#graph.reachableFrom(source.id);
      for (const node of nodes) reached.add(node.id);
      if (!nodes.some((node) => this.#role(node) === 'destination')) {
        this.#fail('source-without-destination', source, 'no wire leads from it to a destination');
      }
    }
    for (const destination of this.#destinations) {
      if (!reached.has(destination.id)) {
        this.#fail(
          'unreached-destination',
          destination,
          'no wire leads from a source to it: nothing is stored there',
        );
      }
    }
    for (const transform of this.#transforms) {
      if (!reached.has(transform.id)) {
        this.#warn('unreached-transform', transform, 'no wire leads from a source to it: it does nothing');
      }
    }
    if (this.#sources.length === 0) this.#noSource();
  }

  #noSource(): void {
    this.#problems.push({
      severity: 'warning',
      code: 'no-source',
      message: 'The flow has no enabled source node: it backs nothing up',
    });
  }

  /** A stored set cannot be transformed any more. */
  #afterDestination(destination: FlowNode): void {
    for (const node of this.#surelyReached(destination, 'source')) {
      if (this.#role(node) !== 'transform') continue;
      this.#fail(
        'after-destination',
        node,
        `it comes after the destination ${nodeLabel(destination)}: wire it before`,
      );
    }
  }

  /** Not beyond `end`, nor beyond nodes that may change `msg.backup`: only they know what they send. */
  #surelyReached(start: FlowNode, end: BackupNodeType['role']): FlowNode[] {
    const stop = (node: FlowNode) => {
      const role = this.#role(node);
      if (role !== undefined) return role === end || ENDS.has(role);
      return !PASSING.has(node.type) && !node.type.startsWith('subflow:');
    };
    return this.#graph.reachableFrom(start.id, { rescues: false, stop });
  }

  #order(encrypt: FlowNode): void {
    if (this.#types.get(encrypt.type)?.step !== 'encrypt') return;
    const stop = (node: FlowNode) => this.#role(node) === 'destination';
    for (const node of this.#graph.reachableFrom(encrypt.id, { rescues: false, stop })) {
      if (this.#types.get(node.type)?.step !== 'compress') continue;
      this.#warn(
        'compress-after-encrypt',
        node,
        `it compresses what ${nodeLabel(encrypt)} has encrypted, which cannot be made smaller: compress first`,
      );
    }
  }

  #role(node: FlowNode): BackupNodeType['role'] | undefined {
    return this.#types.get(node.type)?.role;
  }

  #fail(code: FlowProblemCode, node: FlowNode, message: string): void {
    this.#problems.push({
      severity: 'error',
      code,
      node: node.id,
      message: `${nodeLabel(node)}: ${message}`,
    });
  }

  #warn(code: FlowProblemCode, node: FlowNode, message: string): void {
    this.#problems.push({
      severity: 'warning',
      code,
      node: node.id,
      message: `${nodeLabel(node)}: ${message}`,
    });
  }
}
