import type { PlanningRun } from '../lib/engine/planning-run.ts';
import { BackupError } from '../lib/errors.ts';
import { type Recipe, readRecipe, type SetReference } from '../lib/plan/recipe.ts';
import type { BackupMessage, NodeContext } from './define-node.ts';

/**
 * The recipe that a message must bring to a transform or destination.
 * @throws BackupError `invalid-config` when it brings none
 */
export function requireRecipe(context: NodeContext<unknown>, message: BackupMessage): Recipe {
  const recipe = readRecipe(message.backup);
  if (recipe !== undefined) return recipe;
  throw new BackupError(
    'invalid-config',
    `The message that reached ${context.label} belongs to no backup (msg.backup is missing): wire a source node before it`,
  );
}

/** The recipe of a message that comes from a destination: its backup is stored. */
export type StoredRecipe = Recipe & { readonly set: SetReference };

/**
 * The recipe that a message must bring to a node behind a destination.
 * @throws BackupError `invalid-config` when it brings none, or its backup is not stored yet
 */
export function requireStoredRecipe(context: NodeContext<unknown>, message: BackupMessage): StoredRecipe {
  const recipe = requireRecipe(context, message);
  const { set } = recipe;
  if (set !== undefined) return { ...recipe, set };
  throw new BackupError(
    'invalid-config',
    `The backup of the message that reached ${context.label} is not stored yet: wire this node after a destination`,
  );
}

/**
 * The run that a recipe belongs to, while it can still be added to.
 * @throws BackupError `invalid-config` when it has begun or ended
 */
export function openedRun(context: NodeContext<unknown>, recipe: Recipe): PlanningRun {
  const run = context.runtime.engine.planningRun(recipe.runId);
  if (run !== undefined) return run;
  throw new BackupError(
    'invalid-config',
    `Run ${recipe.runId} had begun or ended before its message reached ${context.label}: send messages on before calling done(), and do not keep them for later`,
  );
}
