import { BackupError } from '../errors.ts';
import type { PathStep, Recipe } from './recipe.ts';

/**
 * The recipe after the message has passed one more node. The given recipe is left unchanged.
 * @throws BackupError `invalid-config` when the message comes through the same node again, or when its
 *   backup is already stored, so that nothing can be added to it
 */
export function extendRecipe(recipe: Recipe, step: PathStep): Recipe {
  if (recipe.set !== undefined) {
    throw new BackupError(
      'invalid-config',
      `This message stands for the stored backup set ${recipe.set.path}: a ${step.kind} step cannot follow a destination. Wire it before the destination`,
    );
  }
  if (recipe.path.some((passed) => passed.node === step.node)) {
    throw new BackupError(
      'invalid-config',
      `The message of run ${recipe.runId} comes through the ${step.kind} node ${step.node} a second time: remove the loop from the flow`,
    );
  }
  return { ...recipe, path: [...recipe.path, step] };
}
