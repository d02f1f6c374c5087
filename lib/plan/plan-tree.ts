import type { PathStep, SourceStep, TransformStep } from './recipe.ts';

/** A destination and the way that a run's message took to it. */
export interface JoinedPath {
  /** Id of the destination node. */
  readonly destination: string;
  readonly path: readonly PathStep[];
}

/** One step of the tree, applied once, whatever hangs below it. The root has no step. */
export interface PlanBranch {
  readonly step?: TransformStep;
  readonly branches: readonly PlanBranch[];
  /** Ids of the destination nodes that store the bytes as they are here. */
  readonly destinations: readonly string[];
}

export interface SourcePlan {
  readonly source: SourceStep;
  readonly root: PlanBranch;
}

interface GrowingBranch {
  step?: TransformStep;
  branches: GrowingBranch[];
  destinations: string[];
}

/**
 * Merges the joined paths by common prefix into one tree per source: the drawing on the canvas. A
 * transform applies to every source that stands before it on the path. Sources keep the order in which
 * they were passed.
 */
export function buildPlan(joined: readonly JoinedPath[]): SourcePlan[] {
  const plans = new Map<string, { source: SourceStep; root: GrowingBranch }>();
  for (const { destination, path } of joined) {
    for (const [index, step] of path.entries()) {
      if (step.type !== 'source') continue;
      const plan = plans.get(step.node) ?? { source: step, root: { branches: [], destinations: [] } };
      plans.set(step.node, plan);
      grow(plan.root, transformsAfter(path, index), destination);
    }
  }
  return [...plans.values()];
}

/** The tree without the destinations, and the branches to nowhere, that are not live; undefined when none is. */
export function livePart(
  branch: PlanBranch,
  isLive: (destination: string) => boolean,
): PlanBranch | undefined {
  const branches = branch.branches.flatMap((child) => livePart(child, isLive) ?? []);
  const destinations = branch.destinations.filter(isLive);
  if (branches.length === 0 && destinations.length === 0) return undefined;
  return { ...branch, branches, destinations };
}

/** The transforms that apply to the source at that place of the path, in order. */
export function transformsAfter(path: readonly PathStep[], sourceIndex: number): TransformStep[] {
  return path.slice(sourceIndex + 1).filter((step) => step.type === 'transform');
}

/** The same nodes in the same order: then the files are the same, byte by byte. */
export function sameWay(a: readonly PathStep[], b: readonly PathStep[]): boolean {
  return a.length === b.length && a.every((step, index) => step.node === b[index]?.node);
}

function grow(root: GrowingBranch, steps: readonly TransformStep[], destination: string): void {
  let branch = root;
  for (const step of steps) {
    let next = branch.branches.find((candidate) => candidate.step?.node === step.node);
    if (next === undefined) {
      next = { step, branches: [], destinations: [] };
      branch.branches.push(next);
    }
    branch = next;
  }
  branch.destinations.push(destination);
}
