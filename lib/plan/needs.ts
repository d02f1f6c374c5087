import { z } from 'zod';

/**
 * What a run needs of its destinations to have succeeded. `all`: each of them holds the set. `any`: one does.
 * `copies`: so many hold it, and have given back every byte of it as it was stored.
 */
export const runNeeds = z.discriminatedUnion('destinations', [
  z.object({ destinations: z.literal('all') }),
  z.object({ destinations: z.literal('any') }),
  z.object({ destinations: z.literal('copies'), copies: z.number().int().min(1) }),
]);

export type RunNeeds = z.infer<typeof runNeeds>;

export const NEEDS_ALL: RunNeeds = { destinations: 'all' };

/** As a recipe has it, which says nothing of what goes without saying. */
export function needsField(needs: RunNeeds): { needs?: RunNeeds } {
  return needs.destinations === 'all' ? {} : { needs };
}
