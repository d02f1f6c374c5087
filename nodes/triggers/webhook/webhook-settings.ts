import { z } from 'zod';
import { RUN_PARAMETERS } from '../../../lib/plan/run-parameters.ts';
import { MAX_TOLERANCE } from '../../../lib/webhooks/used-signatures.ts';
import { nodeName } from '../../forms/common-fields.ts';

const secret = z.string().min(16).max(1000).meta({ icon: 'fa-key', secret: true });
const first = { name: nodeName };
const rest = {
  secret,
  parameters: z
    .array(z.enum(RUN_PARAMETERS as [string, ...string[]]))
    .default([...RUN_PARAMETERS])
    .meta({ icon: 'fa-sliders', control: 'choices' }),
};

/** How a request proves that it may start a backup, and what it may say about it. */
export const webhookSettings = z.discriminatedUnion('check', [
  z.object({ ...first, check: z.literal('bearer').meta({ icon: 'fa-shield' }), ...rest }),
  z.object({
    ...first,
    check: z.literal('signature'),
    ...rest,
    tolerance: z
      .number()
      .int()
      .min(10)
      .max(MAX_TOLERANCE)
      .default(300)
      .meta({ icon: 'fa-clock-o', unit: 's', section: 'advanced' }),
  }),
  z.object({ ...first, check: z.literal('github'), ...rest }),
]);

export type WebhookSettings = z.output<typeof webhookSettings>;
