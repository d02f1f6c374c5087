import { extendRecipe } from '../../lib/plan/extend.ts';
import type { TransformStep } from '../../lib/plan/recipe.ts';
import type { Transform } from '../../lib/transforms/transform.ts';
import type { BackupMessage, Deliver, NodeContext } from '../define-node.ts';
import { openedRun, requireRecipe } from '../message-recipe.ts';

/** What every transform node does with a message: adds its step to the recipe and sends it on. */
export function passTransform(
  context: NodeContext<unknown>,
  transform: Transform,
  options: TransformStep['options'],
  message: BackupMessage,
  deliver: Deliver,
): void {
  const recipe = requireRecipe(context, message);
  const step: TransformStep = { type: 'transform', node: context.id, kind: transform.kind, options };
  const extended = extendRecipe(recipe, step);
  openedRun(context, recipe).bindTransform({ node: context.id, label: context.label, transform });
  deliver({ ...message, backup: extended });
}
