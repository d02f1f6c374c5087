import { type FlowNode, linksOf, portsOf, wiresOf } from './flow-file.ts';

/** A wire or link that leads to a node that the flow does not have. */
export interface DanglingWire {
  readonly from: FlowNode;
  readonly to: string;
}

/**
 * Which node can hand a message to which, across wires, links and subflows. What only a running flow
 * knows (the target of a dynamic link call, the instance of a subflow) is taken as possible.
 */
export class FlowGraph {
  readonly #nodes: ReadonlyMap<string, FlowNode>;
  readonly #present: ReadonlySet<string>;
  readonly #next = new Map<string, Set<string>>();
  readonly #rescues = new Map<string, Set<string>>();
  readonly dangling: DanglingWire[] = [];

  /**
   * @param enabled nodes that run
   * @param present ids of all nodes of the flow, disabled ones too: a wire to one of them is not dangling
   */
  constructor(enabled: readonly FlowNode[], present: ReadonlySet<string>) {
    this.#nodes = new Map(enabled.map((node) => [node.id, node]));
    this.#present = present;
    for (const node of enabled) {
      if (node.type === 'subflow') this.#connectTemplate(node);
      else this.#connectNode(node);
    }
    for (const node of enabled) this.#connectRescue(node);
  }

  /** Nodes that a message can come to from `start` (itself only by a loop), not beyond where `stop` holds. */
  reachableFrom(
    start: string,
    options: { stop?: (node: FlowNode) => boolean; rescues?: boolean } = {},
  ): FlowNode[] {
    const seen = new Set<string>();
    const open = [start];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      for (const next of this.#steps(id, options.rescues ?? true)) {
        if (seen.has(next)) continue;
        seen.add(next);
        const node = this.#nodes.get(next);
        if (node !== undefined && !options.stop?.(node)) open.push(next);
      }
    }
    return [...seen].flatMap((id) => this.#nodes.get(id) ?? []);
  }

  *#steps(id: string, rescues: boolean): Generator<string> {
    yield* this.#next.get(id) ?? [];
    if (rescues) yield* this.#rescues.get(id) ?? [];
  }

  #connectNode(node: FlowNode): void {
    const subflow = this.#templateOf(node);
    if (subflow !== undefined) {
      for (const port of portsOf(subflow, 'in')) for (const wire of port.wires) this.#connect(node, wire.id);
      return;
    }
    if (node.type === 'link in') {
      for (const from of linksOf(node)) this.#connectLink(node, from);
      this.#connectAll(node, wiresOf(node));
    } else if (node.type === 'link out') {
      if (node.mode === 'return') this.#connectReturns(node);
      else this.#connectAll(node, [linksOf(node)]);
    } else {
      if (node.type === 'link call') this.#connectCall(node);
      this.#connectAll(node, wiresOf(node));
    }
  }

  /** What leaves a subflow's output goes where each instance's output is wired to. */
  #connectTemplate(template: FlowNode): void {
    const instances = [...this.#nodes.values()].filter((node) => node.type === `subflow:${template.id}`);
    for (const [index, port] of portsOf(template, 'out').entries()) {
      for (const wire of port.wires) {
        for (const instance of instances) {
          const from = wire.id === template.id ? instance : this.#nodes.get(wire.id);
          if (from !== undefined) this.#connectAll(from, [wiresOf(instance)[index] ?? []]);
        }
      }
    }
  }

  #templateOf(node: FlowNode): FlowNode | undefined {
    return node.type.startsWith('subflow:') ? this.#nodes.get(node.type.slice('subflow:'.length)) : undefined;
  }

  /** A link may be noted at either end. */
  #connectLink(to: FlowNode, from: string): void {
    const source = this.#nodes.get(from);
    if (source?.type === 'link out' && source.mode !== 'return') this.#connect(source, to.id);
  }

  #connectCall(call: FlowNode): void {
    const every = [...this.#nodes.values()].filter((node) => node.type === 'link in');
    const targets = call.linkType === 'dynamic' ? every.map((node) => node.id) : linksOf(call);
    this.#connectAll(call, [targets]);
  }

  #connectReturns(out: FlowNode): void {
    for (const node of this.#nodes.values()) {
      if (node.type === 'link call') this.#connectAll(out, wiresOf(node));
    }
  }

  /** Catch, complete and status nodes pass messages on beside the wires. */
  #connectRescue(node: FlowNode): void {
    if (node.type !== 'catch' && node.type !== 'complete') return;
    const scope = Array.isArray(node.scope) ? new Set<unknown>(node.scope) : undefined;
    for (const other of this.#nodes.values()) {
      const within = scope === undefined ? other.z === node.z : scope.has(other.id);
      if (within && other.id !== node.id) add(this.#rescues, other.id, node.id);
    }
  }

  #connectAll(from: FlowNode, wires: readonly (readonly string[])[]): void {
    for (const output of wires) for (const to of output) this.#connect(from, to);
  }

  #connect(from: FlowNode, to: string): void {
    if (this.#nodes.has(to)) add(this.#next, from.id, to);
    else if (!this.#present.has(to)) this.dangling.push({ from, to });
  }
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, new Set([value]));
  else values.add(value);
}
