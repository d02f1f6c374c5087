import { BackupError } from '../errors.ts';
import type { DestinationBinding, SourceBinding, TransformBinding } from '../plan/bindings.ts';
import { NEEDS_ALL, needsField, type RunNeeds } from '../plan/needs.ts';
import { buildPlan, type SourcePlan } from '../plan/plan-tree.ts';
import type { PathStep, Recipe, SourceStep } from '../plan/recipe.ts';
import { annotationsField, type RunAnnotations } from '../plan/run-annotations.ts';
import type { CommittedSet } from '../runs/outcome.ts';

/** A destination that waits for the run, with the recipe that reached it. */
export interface Joined {
  readonly recipe: Recipe;
  readonly binding: DestinationBinding;
  settle(outcome: CommittedSet | BackupError): void;
}

/** Everything that the engine needs to run a plan: complete, checked, and cut off from the editor. */
export interface SealedRun {
  readonly id: string;
  readonly job: string;
  readonly openedAt: Date;
  readonly needs: RunNeeds;
  /** What the sets of the run begin with. */
  readonly annotations?: RunAnnotations;
  /** Why it cannot succeed, when that was known before it began. */
  readonly refusal?: BackupError;
  readonly plans: readonly SourcePlan[];
  readonly joined: readonly Joined[];
  readonly sources: ReadonlyMap<string, SourceBinding>;
  readonly transforms: ReadonlyMap<string, TransformBinding>;
}

export interface RunIdentity {
  readonly id: string;
  readonly job: string;
  readonly openedAt: Date;
  /** All destinations when absent. */
  readonly needs?: RunNeeds;
  readonly annotations?: RunAnnotations;
}

/**
 * A run while its messages still travel: collects what they pass and which destinations they reach.
 * Sealed exactly once, after which nothing can join.
 */
export class PlanningRun {
  readonly id: string;
  readonly job: string;
  readonly openedAt: Date;
  readonly needs: RunNeeds;
  readonly annotations: RunAnnotations | undefined;
  readonly #onSeal: (run: SealedRun) => void;
  readonly #sources = new Map<string, SourceBinding>();
  readonly #transforms = new Map<string, TransformBinding>();
  readonly #joined: Joined[] = [];
  #sealed = false;
  #refusal: BackupError | undefined;

  constructor({ id, job, openedAt, needs, annotations }: RunIdentity, onSeal: (run: SealedRun) => void) {
    this.id = id;
    this.job = job;
    this.openedAt = openedAt;
    this.needs = needs ?? NEEDS_ALL;
    this.annotations = annotations;
    this.#onSeal = onSeal;
  }

  get sealed(): boolean {
    return this.#sealed;
  }

  /** Ids of all nodes that the run has met so far. */
  get nodes(): string[] {
    return [
      ...this.#sources.keys(),
      ...this.#transforms.keys(),
      ...this.#joined.map((joined) => joined.binding.node),
    ];
  }

  /** The database servers that its sources read from. */
  get servers(): string[] {
    const servers = [...this.#sources.values()].flatMap(({ driver }) => driver.lane?.key ?? []);
    return [...new Set(servers)];
  }

  /** What the source that opens the run writes into `msg.backup`. */
  initialRecipe(source: SourceStep): Recipe {
    return {
      version: 1,
      runId: this.id,
      job: this.job,
      openedAt: this.openedAt.toISOString(),
      path: [source],
      ...needsField(this.needs),
      ...annotationsField(this.annotations),
    };
  }

  /** Hands over the live source behind a step. The first binding of a node stays. */
  bindSource(binding: SourceBinding): void {
    this.#refuseWhenSealed(binding.label);
    if (!this.#sources.has(binding.node)) this.#sources.set(binding.node, binding);
  }

  bindTransform(binding: TransformBinding): void {
    this.#refuseWhenSealed(binding.label);
    if (!this.#transforms.has(binding.node)) this.#transforms.set(binding.node, binding);
  }

  /**
   * Adds a destination with the recipe that reached it. Resolves with what was stored there, after its
   * sink has committed; rejects with why it was not.
   */
  join(recipe: Recipe, binding: DestinationBinding): Promise<CommittedSet> {
    const { promise, resolve, reject } = Promise.withResolvers<CommittedSet>();
    // A caller that has gone (its node was removed) must not turn a failed run into a crash.
    promise.catch(() => undefined);
    try {
      this.#refuseWhenSealed(binding.label);
      this.#checkRecipe(recipe, binding);
    } catch (error) {
      reject(error);
      return promise;
    }
    this.#joined.push({
      recipe,
      binding,
      settle: (outcome) => (outcome instanceof BackupError ? reject(outcome) : resolve(outcome)),
    });
    return promise;
  }

  /** Ends planning: every message has joined or ended. A second call does nothing. */
  seal(): void {
    if (this.#sealed) return;
    this.#sealed = true;
    this.#onSeal({
      id: this.id,
      job: this.job,
      openedAt: this.openedAt,
      needs: this.needs,
      ...annotationsField(this.annotations),
      ...(this.#refusal === undefined ? {} : { refusal: this.#refusal }),
      plans: buildPlan(
        this.#joined.map(({ recipe, binding }) => ({ destination: binding.node, path: recipe.path })),
      ),
      joined: this.#joined,
      sources: this.#sources,
      transforms: this.#transforms,
    });
  }

  /** Ends planning, and the run with it: it could not succeed. */
  refuse(error: BackupError): void {
    this.#refusal ??= error;
    this.seal();
  }

  #refuseWhenSealed(label: string): void {
    if (!this.#sealed) return;
    throw new BackupError(
      'invalid-config',
      `Run ${this.id} had already begun when its message reached ${label}: a node on the way took longer than the planning deadline, or sent the message after calling done()`,
    );
  }

  #checkRecipe(recipe: Recipe, binding: DestinationBinding): void {
    if (recipe.runId !== this.id) {
      throw new BackupError('internal', `The recipe of run ${recipe.runId} was joined to run ${this.id}`);
    }
    for (const step of recipe.path) this.#checkStep(step);
    if (!recipe.path.some((step) => step.type === 'source')) {
      throw new BackupError('invalid-config', `The message that reached ${binding.label} names no source`);
    }
    for (const other of this.#joined) this.#checkPlace(binding, other.binding);
  }

  #checkStep(step: PathStep): void {
    const bound = step.type === 'source' ? this.#sources.has(step.node) : this.#transforms.has(step.node);
    if (bound) return;
    throw new BackupError(
      'invalid-config',
      `msg.backup names the ${step.kind} node ${step.node}, which the message did not pass: let only backup nodes change msg.backup`,
    );
  }

  #checkPlace(binding: DestinationBinding, other: DestinationBinding): void {
    if (other.node === binding.node) {
      throw new BackupError(
        'invalid-config',
        `${binding.label} is reached twice in one run: use one destination node for each branch, with different folders`,
      );
    }
    if (placeOf(other) === placeOf(binding)) {
      throw new BackupError(
        'invalid-config',
        `${binding.label} and ${other.label} store into the same folder ${placeOf(binding)}: give them different folders`,
      );
    }
  }
}

/** Where the destination's jobs lie: a folder of a storage may as well be the root of another one. */
function placeOf({ driver, prefix }: DestinationBinding): string {
  const root = driver.describe().replace(/\/+$/, '');
  return prefix === '' ? root : `${root}/${encodeURI(prefix)}`;
}
