import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  buildPlan,
  type JoinedPath,
  livePart,
  type PlanBranch,
  transformsAfter,
} from '../../lib/plan/plan-tree.ts';
import type { PathStep } from '../../lib/plan/recipe.ts';

const source = (node: string): PathStep => ({ type: 'source', node, kind: 'sqlite', options: {} });
const step = (node: string): PathStep => ({ type: 'transform', node, kind: 'compress', options: {} });

/** The ways to every destination of a tree, as `step>step>destination`. */
function ways(branch: PlanBranch, before = ''): string[] {
  const here = branch.step === undefined ? before : `${before}${branch.step.node}>`;
  return [
    ...branch.destinations.map((destination) => here + destination),
    ...branch.branches.flatMap((child) => ways(child, here)),
  ];
}

function countSteps(branch: PlanBranch): number {
  return branch.branches.reduce((sum, child) => sum + countSteps(child), branch.step === undefined ? 0 : 1);
}

describe('plan tree', () => {
  it('is the drawing on the canvas: shared steps once, forks where the wires fork', () => {
    const plan = buildPlan([
      { destination: 'local', path: [source('pg'), step('zstd')] },
      { destination: 's3', path: [source('pg'), step('zstd'), step('enc')] },
      { destination: 'sftp', path: [source('pg'), step('zstd'), step('enc')] },
    ]);
    assert.equal(plan.length, 1);
    const root = plan[0]?.root;
    assert.ok(root !== undefined);
    assert.deepEqual(ways(root), ['zstd>local', 'zstd>enc>s3', 'zstd>enc>sftp']);
    assert.equal(countSteps(root), 2);
  });

  it('applies a step only to the sources before it', () => {
    const plans = buildPlan([
      { destination: 'a', path: [source('pg'), step('zstd'), source('files'), step('enc')] },
    ]);
    assert.deepEqual(
      plans.map(({ source: { node }, root }) => [node, ...ways(root)]),
      [
        ['pg', 'zstd>enc>a'],
        ['files', 'enc>a'],
      ],
    );
  });

  it('gives a destination only the sources on its way', () => {
    const plans = buildPlan([
      { destination: 'both', path: [source('pg'), source('files')] },
      { destination: 'one', path: [source('pg')] },
    ]);
    assert.deepEqual(
      plans.map(({ source: { node }, root }) => [node, ...ways(root)]),
      [
        ['pg', 'both', 'one'],
        ['files', 'both'],
      ],
    );
  });

  it('loses the branches to destinations that have gone, and is nothing without any', () => {
    const [plan] = buildPlan([
      { destination: 'local', path: [source('pg'), step('zstd')] },
      { destination: 's3', path: [source('pg'), step('zstd'), step('enc')] },
      { destination: 'plain', path: [source('pg')] },
    ]);
    assert.ok(plan !== undefined);
    const without = (...gone: string[]) => livePart(plan.root, (node) => !gone.includes(node));
    assert.deepEqual(ways(without('s3', 'plain') ?? { branches: [], destinations: [] }), ['zstd>local']);
    assert.equal(countSteps(without('s3', 'plain') ?? plan.root), 1);
    assert.equal(without('s3', 'plain', 'local'), undefined);
  });

  it('law: the tree has exactly the joined ways, and no step twice below the same parent', () => {
    const node = fc.constantFrom('t1', 't2', 't3', 't4');
    const transforms = fc.uniqueArray(node, { maxLength: 4 });
    fc.assert(
      fc.property(fc.array(transforms, { minLength: 1, maxLength: 8 }), (chains) => {
        const joined: JoinedPath[] = chains.map((chain, index) => ({
          destination: `d${index}`,
          path: [source('s'), ...chain.map(step)],
        }));
        const root = buildPlan(joined)[0]?.root;
        assert.ok(root !== undefined);
        const expected = joined.map(({ destination, path }) =>
          [...transformsAfter(path, 0).map((passed) => passed.node), destination].join('>'),
        );
        assert.deepEqual(ways(root).sort(), expected.sort());
        assertNoTwins(root);
        const prefixes = new Set(
          chains.flatMap((chain) => chain.map((_, index) => chain.slice(0, index + 1).join())),
        );
        assert.equal(countSteps(root), prefixes.size);
      }),
    );
  });
});

function assertNoTwins(branch: PlanBranch): void {
  const nodes = branch.branches.map((child) => child.step?.node);
  assert.equal(new Set(nodes).size, nodes.length);
  branch.branches.forEach(assertNoTwins);
}
