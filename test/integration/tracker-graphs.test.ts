import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { FlowEntry } from '../../runner/runtime.ts';
import { startTestRuntime, type TestRuntime } from '../support/embedded.ts';
import { delay, functionNode, node } from '../support/flows.ts';

const KINDS = [
  'step',
  'delay',
  'junction',
  'async',
  'twice',
  'old',
  'drop',
  'caught',
  'failing',
  'link',
  'call',
  'destination',
] as const;
type Kind = (typeof KINDS)[number];

/** A node of a random graph: what it is, how long it takes, and which of the next nodes it is wired to. */
interface GraphNode {
  readonly kind: Kind;
  readonly ms: number;
  readonly skips: readonly number[];
}
type Graph = readonly GraphNode[];

const GRAPHS_PER_DEPLOY = 50;
const DEPLOYS = 20;

const graph: fc.Arbitrary<Graph> = fc.array(
  fc.record({
    kind: fc.constantFrom<Kind>(...KINDS, 'destination', 'destination'),
    ms: fc.nat(25),
    skips: fc.uniqueArray(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  }),
  { minLength: 1, maxLength: 9 },
);

/** Ids of the nodes that node `index` is wired to; node -1 is the source. */
function targets(graphId: string, nodes: Graph, index: number): string[] {
  const skips = index < 0 ? [1, 2] : (nodes[index]?.skips ?? []);
  return skips
    .map((skip) => index + skip)
    .filter((next) => next < nodes.length)
    .map((next) => `${graphId}n${next}`);
}

/** The graph as nodes of a tab of its own. */
function toFlow(graphId: string, nodes: Graph): FlowEntry[] {
  const entries = [
    node(`${graphId}in`, 'inject', [[`${graphId}src`]], { props: [] }),
    node(`${graphId}src`, 'test-source', [targets(graphId, nodes, -1)]),
    ...nodes.flatMap((part, index) => toNodes(`${graphId}n${index}`, part, targets(graphId, nodes, index))),
  ];
  return [
    { id: graphId, type: 'tab', label: graphId },
    ...entries.map((entry) => ({ ...entry, z: graphId })),
  ];
}

function toNodes(id: string, { kind, ms }: GraphNode, next: string[]): FlowEntry[] {
  switch (kind) {
    case 'delay':
      return [delay(id, ms, ...next)];
    case 'junction':
      return [node(id, 'junction', [next])];
    case 'old':
      return [node(id, 'test-old', [next])];
    case 'async':
      return [functionNode(id, `setTimeout(() => { node.send(msg); node.done(); }, ${ms});`, [next])];
    case 'twice':
      return [functionNode(id, 'node.send(msg); return msg;', [next])];
    case 'drop':
      return [
        node(id, 'switch', [next], { property: 'nothing', propertyType: 'msg', rules: [{ t: 'nnull' }] }),
      ];
    case 'failing':
      return [node(id, 'test-failing', [next])];
    case 'caught':
      return [node(id, 'test-failing', [[]]), node(`${id}c`, 'catch', [next], { scope: [id] })];
    case 'link':
      return [
        node(id, 'link out', [], { mode: 'link', links: [`${id}i`] }),
        node(`${id}i`, 'link in', [next], { links: [id] }),
      ];
    case 'call':
      return [
        node(id, 'link call', [next], { links: [`${id}i`], linkType: 'static', timeout: '30' }),
        node(`${id}i`, 'link in', [[`${id}w`]], { links: [] }),
        delay(`${id}w`, ms, `${id}r`),
        node(`${id}r`, 'link out', [], { mode: 'return', links: [] }),
      ];
    case 'destination':
      return [node(id, 'test-destination', [[]])];
    case 'step':
      return [node(id, 'test-step', [next])];
  }
}

/** What must join: one entry per way from the source to a destination, naming the steps on it. */
function expectedJoins(graphId: string, nodes: Graph): string[] {
  const from = (id: string, path: string): string[] => {
    const index = Number(id.slice(`${graphId}n`.length));
    const part = nodes[index];
    if (part === undefined || part.kind === 'drop' || part.kind === 'failing') return [];
    if (part.kind === 'destination') return [`${path}>${id}`];
    const passed = part.kind === 'step' ? `${path}>${id}` : path;
    const on = targets(graphId, nodes, index).flatMap((next) => from(next, passed));
    return part.kind === 'twice' ? [...on, ...on] : on;
  };
  const source = `${graphId}src`;
  return targets(graphId, nodes, -1)
    .flatMap((next) => from(next, source))
    .toSorted();
}

describe('Run tracker: random graphs', () => {
  let started: TestRuntime;
  before(async () => {
    const everyKind = KINDS.flatMap((kind) => toNodes(`all-${kind}`, { kind, ms: 1, skips: [] }, []));
    const source = [node('in', 'inject', [], { props: [] }), node('src', 'test-source')];
    started = await startTestRuntime([{ id: 'tab', type: 'tab' }, ...source, ...everyKind]);
  });
  after(() => started.stop());

  it(`joins what the graph says and seals once, after the last: ${GRAPHS_PER_DEPLOY * DEPLOYS} graphs`, async function () {
    this.timeout(240_000);
    const seed = Math.floor(Math.random() * 2 ** 31);
    const graphs = fc.sample(graph, { numRuns: GRAPHS_PER_DEPLOY * DEPLOYS, seed });
    for (let from = 0; from < graphs.length; from += GRAPHS_PER_DEPLOY) {
      await playTogether(graphs.slice(from, from + GRAPHS_PER_DEPLOY), seed);
    }
  });

  /** Deploys the graphs side by side, starts them all at once, and compares each run with its drawing. */
  async function playTogether(graphs: readonly Graph[], seed: number): Promise<void> {
    const { runtime, engine } = started;
    engine.runs.length = 0;
    const named = graphs.map((nodes, index) => ({ id: `g${index}`, nodes }));
    const flow = named.flatMap(({ id, nodes }) => toFlow(id, nodes));
    await runtime.deploy(flow, 'full');
    for (const { id } of named) runtime.fire(`${id}in`);
    await runtime.tracker.idle();
    for (const { id, nodes } of named) {
      const run = engine.runs.find((candidate) => candidate.source === `${id}src`);
      const drawn = `seed ${seed}, graph ${JSON.stringify(nodes)}`;
      assert.equal(run?.seals, 1, `sealed once: ${drawn}`);
      assert.deepEqual(run?.joinedAtSeal, expectedJoins(id, nodes), `joined: ${drawn}`);
      assert.deepEqual(run?.late, [], `late: ${drawn}`);
    }
  }
});
