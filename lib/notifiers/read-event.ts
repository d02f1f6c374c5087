import { z } from 'zod';
import { EVENT_NAMES, SEVERITIES } from '../events/run-event.ts';

const text = z.string().optional().catch(undefined);
const amount = z.number().finite().nonnegative().optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);
const error = z.looseObject({ message: z.string(), code: text }).optional().catch(undefined);

/** Drops what is no such thing, rather than losing the rest. */
function listOf<Item extends z.ZodType>(item: Item) {
  return z
    .array(z.unknown())
    .transform((items): z.output<Item>[] =>
      items.flatMap((entry) => {
        const parsed = item.safeParse(entry);
        return parsed.success ? [parsed.data] : [];
      }),
    )
    .optional()
    .catch(undefined);
}

/**
 * An event as a notifier reads it from a message. Flows may have changed it: what does not fit is left out, as long
 * as it says what happened and how bad that is.
 */
const eventFacts = z.object({
  event: z.enum(EVENT_NAMES),
  at: z.iso.datetime(),
  severity: z.enum(SEVERITIES),
  summary: z.string(),
  job: text,
  runId: text,
  trigger: text,
  durationSeconds: amount,
  rawBytes: amount,
  databases: listOf(
    z.object({ name: z.string(), status: z.enum(['ok', 'failed']), rawBytes: amount, error }),
  ),
  destinations: listOf(
    z.object({
      label: z.string(),
      status: z.enum(['complete', 'partial', 'failed']),
      storage: text,
      path: text,
      storedBytes: amount,
      attempts: amount,
      verified: flag,
      error,
    }),
  ),
  error,
  errors: listOf(z.object({ at: z.string(), error: z.object({ message: z.string() }) })),
  previous: z.object({ state: z.string(), finishedAt: z.string() }).optional().catch(undefined),
  lastSuccessAt: text,
  failures: amount,
  reason: text,
  storage: text,
  path: text,
  level: text,
  problems: listOf(z.string()),
  findings: listOf(z.object({ message: z.string() })),
  crossed: text,
  freeBytes: amount,
  thresholdBytes: amount,
  sets: listOf(z.string()),
  plannedFor: text,
  count: amount,
  stage: text,
  percent: amount,
});

export type EventFacts = z.output<typeof eventFacts>;

/** The event that a value is, undefined when it is none. */
export function readEvent(value: unknown): EventFacts | undefined {
  const parsed = eventFacts.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
