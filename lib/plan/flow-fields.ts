import { type FlowEnvironment, variableIn } from './flow-environment.ts';
import { type FlowNode, nodeLabel } from './flow-file.ts';
import type { ConfigReference, FlowCheckContext, FlowProblem } from './flow-problem.ts';
import { plainText } from './plain-text.ts';

/** Properties that are not settings of a node; which variables secrets come from is read with the secrets. */
const STRUCTURE = new Set('id type z g d x y w h l wires links env info credentials'.split(' '));

/** `${NAME}` in the midst of a value, which Node-RED leaves as it stands. */
const PARTIAL = /\$\{[A-Za-z_]\w*\}/;

/** Settings of nodes are shallow: variables are not looked for deeper than this. */
const MAX_DEPTH = 100;

/** Checks one node's settings: variables, references to config nodes, and what its schema says. */
export function checkFields(
  node: FlowNode,
  nodes: readonly FlowNode[],
  environment: FlowEnvironment,
  context: FlowCheckContext,
): FlowProblem[] {
  if (['tab', 'subflow', 'group', 'comment'].includes(node.type)) return [];
  const type = context.backupTypes.get(node.type);
  const resolver = new SettingsResolver(node, environment, type !== undefined);
  const values = resolver.resolveAll();
  if (type === undefined) return resolver.problems;
  const broken = new Set([...resolver.undetermined, ...resolver.problems.map((problem) => problem.field)]);
  const settings = { values, credentials: context.credentialsOf(node) };
  const references = type
    .references(settings)
    .flatMap((reference) => checkReference(node, values[reference.field], reference, nodes));
  for (const problem of references) broken.add(problem.field);
  const invalid = type
    .check(settings)
    .filter((problem) => !broken.has(problem.field))
    .map(({ field, message }) => fieldProblem(node, 'invalid-field', field, message));
  return [...resolver.problems, ...references, ...invalid];
}

/** A node's settings with variables replaced, and the fields whose value only the running flow knows. */
export function resolvedSettings(
  node: FlowNode,
  environment: FlowEnvironment,
): { readonly values: Readonly<Record<string, unknown>>; readonly undetermined: ReadonlySet<string> } {
  const resolver = new SettingsResolver(node, environment, true);
  return { values: resolver.resolveAll(), undetermined: resolver.undetermined };
}

/** Replaces the variables in a node's settings and notes what cannot be replaced. */
class SettingsResolver {
  readonly problems: FlowProblem[] = [];
  /** Fields whose value only the running flow knows. */
  readonly undetermined = new Set<string>();
  readonly #node: FlowNode;
  readonly #environment: FlowEnvironment;
  readonly #ours: boolean;

  constructor(node: FlowNode, environment: FlowEnvironment, ours: boolean) {
    this.#node = node;
    this.#environment = environment;
    this.#ours = ours;
  }

  resolveAll(): Record<string, unknown> {
    const values: Record<string, unknown> = {};
    for (const [field, value] of Object.entries(this.#node)) {
      if (!STRUCTURE.has(field)) values[field] = this.#resolve(field, value);
    }
    return values;
  }

  #resolve(field: string, value: unknown, depth = 0): unknown {
    if (depth > MAX_DEPTH) return value;
    if (Array.isArray(value)) return value.map((item) => this.#resolve(field, item, depth + 1));
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, this.#resolve(field, item, depth + 1)]),
      );
    }
    return typeof value === 'string' ? this.#resolveText(field, value) : value;
  }

  #resolveText(field: string, text: string): unknown {
    const name = variableIn(text);
    if (name === undefined) {
      if (this.#ours && PARTIAL.test(text) && field !== 'name') this.#partial(field, text);
      return text;
    }
    const resolved = this.#environment.resolve(this.#node, name);
    if (resolved.state === 'value') return resolved.value;
    if (resolved.state === 'later') this.undetermined.add(field);
    else this.#unset(field, name);
    return text;
  }

  #unset(field: string, name: string): void {
    const message = `the environment variable ${name} is not set: Node-RED would take the text \${${name}} as it stands`;
    this.problems.push(fieldProblem(this.#node, 'unresolved-variable', field, message));
  }

  #partial(field: string, text: string): void {
    const message = `"${text}" holds a variable beside other text, which Node-RED does not replace: put the whole value into one variable`;
    this.problems.push(fieldProblem(this.#node, 'unresolved-variable', field, message));
  }
}

function checkReference(
  node: FlowNode,
  id: unknown,
  reference: ConfigReference,
  nodes: readonly FlowNode[],
): FlowProblem[] {
  const wanted = reference.types.join(' or ');
  const problem = (message: string) => [fieldProblem(node, 'missing-config', reference.field, message)];
  if (id === undefined || id === null || id === '') {
    return reference.required ? problem(`none is chosen: choose a ${wanted}`) : [];
  }
  const found = nodes.find((other) => other.id === id);
  if (found === undefined) return problem(`the ${wanted} node ${plainText(id)} is not in the flow`);
  if (!reference.types.includes(found.type)) return problem(`${nodeLabel(found)} is no ${wanted}`);
  return found.d === true ? problem(`${nodeLabel(found)} is disabled`) : [];
}

function fieldProblem(
  node: FlowNode,
  code: 'invalid-field' | 'unresolved-variable' | 'missing-config',
  field: string,
  message: string,
): FlowProblem {
  const place = field === '' ? nodeLabel(node) : `${nodeLabel(node)}, ${field}`;
  return { severity: 'error', code, node: node.id, field, message: `${place}: ${message}` };
}
