import { BackupError } from '../../lib/errors.ts';
import type { DestinationBinding } from '../../lib/plan/bindings.ts';
import type { Recipe } from '../../lib/plan/recipe.ts';
import { type CommittedSet, SpareDestinationError } from '../../lib/runs/outcome.ts';
import type { BackupMessage, Deliver, NodeContext } from '../define-node.ts';
import { openedRun, requireRecipe, type StoredRecipe } from '../message-recipe.ts';
import { PLACE } from '../services.ts';
import { summarise } from '../set-summary.ts';
import { setStored } from '../status/status-text.ts';

/**
 * What every destination node does with a message: joins the run and holds the message until its set is
 * committed; or, when the message stands for a set that another destination holds, copies it from there.
 */
export async function passDestination(
  context: NodeContext<unknown>,
  binding: DestinationBinding,
  message: BackupMessage,
  deliver: Deliver,
): Promise<void> {
  const recipe = requireRecipe(context, message);
  const { set } = recipe;
  const stored =
    set === undefined
      ? await unlessSpare(store(context, binding, message, recipe))
      : await copy(context, binding, { ...recipe, set });
  if (stored === undefined) return;
  deliver({ ...message, backup: { ...recipe, set: stored.reference }, payload: summarise(stored) });
}

/** Undefined where the run has succeeded without this destination: then there is nothing to send on, and no error. */
async function unlessSpare(storing: Promise<CommittedSet>): Promise<CommittedSet | undefined> {
  try {
    return await storing;
  } catch (error) {
    if (error instanceof SpareDestinationError) return undefined;
    throw error;
  }
}

function store(
  context: NodeContext<unknown>,
  binding: DestinationBinding,
  message: BackupMessage,
  recipe: Recipe,
): Promise<CommittedSet> {
  const stored = openedRun(context, recipe).join(recipe, binding);
  context.runtime.tracker.joined(recipe.runId, context.self, message);
  context.status({ fill: 'grey', shape: 'ring', text: context.text('status.waiting') });
  return stored;
}

async function copy(
  context: NodeContext<unknown>,
  to: DestinationBinding,
  recipe: StoredRecipe,
): Promise<CommittedSet> {
  const { engine, closing } = context.runtime;
  const from = holderOf(context, recipe);
  context.status({ fill: 'blue', shape: 'dot', text: context.text('status.copying') });
  const stored = await engine.copySet({ from, to, path: recipe.set.path, signal: closing });
  context.status(setStored(stored, new Date(), context.text));
  return stored;
}

/**
 * Where the set of a message lies: as the engine remembers it, else as the destination node is set up now.
 * @throws BackupError `invalid-config` when that node is gone
 */
export function holderOf(context: NodeContext<unknown>, { runId, set }: StoredRecipe): DestinationBinding {
  const holder =
    context.runtime.engine.destinationOf(runId, set.node) ?? context.find(PLACE, set.node)?.binding();
  if (holder !== undefined) return holder;
  throw new BackupError(
    'invalid-config',
    `Set ${set.path} was stored by the destination ${set.node}, which is not in the flow any more: keep that node, or name a storage`,
  );
}
