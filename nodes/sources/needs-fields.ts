import { z } from 'zod';
import { NEEDS_ALL, type RunNeeds } from '../../lib/plan/needs.ts';

/** What the run that a source opens needs of its destinations: the last fields of every source. */
export const needsFields = {
  needs: z
    .enum(['all', 'any', 'copies'])
    .default(NEEDS_ALL.destinations)
    .meta({ icon: 'fa-check-square-o', section: 'advanced' }),
  copies: z.number().int().min(1).max(100).default(2).meta({ icon: 'fa-clone', section: 'advanced' }),
};

/** The settings of those fields. */
export interface NeedsSettings {
  readonly needs: RunNeeds['destinations'];
  readonly copies: number;
}

export function needsOf({ needs, copies }: NeedsSettings): RunNeeds {
  return needs === 'copies' ? { destinations: needs, copies } : { destinations: needs };
}
