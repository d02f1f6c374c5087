import { z } from 'zod';
import { createTeamsChannel, teamsOptions } from '../../lib/notifiers/teams.ts';
import { templateProblems } from '../../lib/notifiers/templates.ts';
import { TEAMS } from '../../lib/notifiers/text-format.ts';
import { firstFields, policyFields, refuseWrongPolicy, templateFields } from './notifier-fields.ts';
import { notifierNode } from './notifier-node.ts';

const { url } = teamsOptions.shape;

/** Tells a channel or chat of Microsoft Teams. */
export const teamsNode = notifierNode({
  kind: 'teams',
  schema: z
    .object({
      ...firstFields,
      url: url.meta({ icon: 'fa-link', secret: true }),
      ...policyFields,
      ...templateFields,
    })
    .superRefine(refuseWrongPolicy),
  channel: createTeamsChannel,
  faults: (settings) => templateProblems(settings, TEAMS),
});
