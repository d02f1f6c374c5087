import { type EnvEntry, envOf, type FlowNode } from './flow-file.ts';
import { plainText } from './plain-text.ts';

/** What a `${NAME}` stands for before the flow runs. */
export type Resolved =
  | { readonly state: 'value'; readonly value: unknown }
  /** Set, but to something that only the running flow can tell. */
  | { readonly state: 'later' }
  | { readonly state: 'unset' };

const LATER: Resolved = { state: 'later' };
const UNSET: Resolved = { state: 'unset' };

/** Names that Node-RED itself answers. */
const BUILT_IN = /^NR_(NODE|GROUP|FLOW|SUBFLOW)_(ID|NAME|PATH)$/;

/** Node-RED replaces a property that is wholly `${NAME}` or `$(NAME)`, and no other. */
const WHOLE = /^(?:\$\{(\S+)\}|\$\((\S+)\))$/;

/** The variable that a property's value is replaced by, or undefined when the value is meant as it stands. */
export function variableIn(value: string): string | undefined {
  const match = WHOLE.exec(value);
  return match === null ? undefined : (match[1] ?? match[2]);
}

/**
 * Looks variables up as Node-RED does: the node's groups from the inside out, then its tab or subflow (an
 * instance's own table before the template's), then global config nodes, then the process.
 */
export class FlowEnvironment {
  readonly #nodes: ReadonlyMap<string, FlowNode>;
  readonly #process: Readonly<Record<string, string | undefined>>;

  constructor(nodes: readonly FlowNode[], process: Readonly<Record<string, string | undefined>>) {
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
    this.#process = process;
  }

  /** What `${name}` in a property of that node is. */
  resolve(node: FlowNode, name: string): Resolved {
    if (BUILT_IN.test(name)) return LATER;
    const plain = name.replace(/^\$parent\./, '');
    return this.#fromScopes(this.#scopesOf(node), node, plain) ?? this.#fromProcess(plain);
  }

  #fromScopes(scopes: readonly FlowNode[], node: FlowNode, name: string): Resolved | undefined {
    for (const scope of scopes) {
      const entry = envOf(scope).find((candidate) => candidate.name === name);
      if (entry === undefined) continue;
      // A subflow's value may differ for each instance.
      if (scope.type === 'subflow') return LATER;
      return this.#valueOf(entry, node);
    }
    const template = this.#nodes.get(node.z ?? '');
    return template?.type === 'subflow' ? this.#fromInstances(template, name) : undefined;
  }

  /** A name that the template lacks is looked up where each instance stands; one that has it is enough. */
  #fromInstances(template: FlowNode, name: string): Resolved | undefined {
    for (const instance of this.#nodes.values()) {
      if (instance.type !== `subflow:${template.id}`) continue;
      if (envOf(instance).some((entry) => entry.name === name)) return LATER;
      if (this.#fromScopes(this.#scopesOf(instance), instance, name) !== undefined) return LATER;
    }
    return undefined;
  }

  #scopesOf(node: FlowNode): FlowNode[] {
    const scopes: FlowNode[] = [];
    for (let group = this.#nodes.get(node.g ?? ''); group !== undefined; ) {
      if (scopes.includes(group)) break;
      scopes.push(group);
      group = this.#nodes.get(group.g ?? '');
    }
    const container = this.#nodes.get(node.z ?? '');
    if (container !== undefined) scopes.push(container);
    for (const other of this.#nodes.values()) if (other.type === 'global-config') scopes.push(other);
    return scopes;
  }

  #fromProcess(name: string): Resolved {
    const value = this.#process[name];
    return value === undefined ? UNSET : { state: 'value', value };
  }

  #valueOf(entry: EnvEntry, node: FlowNode): Resolved {
    switch (entry.type ?? 'str') {
      case 'str':
        return { state: 'value', value: plainText(entry.value) };
      case 'num':
        return { state: 'value', value: Number(plainText(entry.value)) };
      case 'bool':
        return { state: 'value', value: entry.value === true || entry.value === 'true' };
      case 'env':
        return this.#indirect(entry, node);
      default:
        return LATER;
    }
  }

  /** A variable that names another one: only the process is asked, as deeper chains are not worth guessing. */
  #indirect(entry: EnvEntry, node: FlowNode): Resolved {
    const text = plainText(entry.value);
    const name = variableIn(text) ?? text;
    if (name === entry.name) return this.#fromProcess(name);
    const known = this.#scopesOf(node).some((scope) => envOf(scope).some((other) => other.name === name));
    return known ? LATER : this.#fromProcess(name);
  }
}
