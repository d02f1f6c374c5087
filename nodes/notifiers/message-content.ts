import { inspect } from 'node:util';
import { z } from 'zod';
import type { ContentLink, NotificationContent } from '../../lib/notifiers/content.ts';
import { contentOfEvent } from '../../lib/notifiers/event-content.ts';
import { contentOfError, contentOfText } from '../../lib/notifiers/own-content.ts';
import { type EventFacts, readEvent } from '../../lib/notifiers/read-event.ts';
import { plainText } from '../../lib/plan/plain-text.ts';
import type { Recipe } from '../../lib/plan/recipe.ts';
import type { BackupMessage } from '../define-node.ts';

/** What a Catch node puts into a message. */
const caughtError = z.object({
  message: z.unknown(),
  source: z.object({ id: z.string(), type: z.string(), name: z.string().optional().catch(undefined) }),
});

export type CaughtError = z.output<typeof caughtError>;

/** The error that a message brings from a Catch node; undefined when it brings none. */
export function caughtErrorOf(message: BackupMessage): CaughtError | undefined {
  const parsed = caughtError.safeParse((message as { error?: unknown }).error);
  return parsed.success ? parsed.data : undefined;
}

/** What a destination puts into the payload, as far as it is told. */
const setSummary = z.object({
  status: z.enum(['complete', 'partial']),
  set: z.string(),
  storage: z.string().optional(),
  bytes: z.number().nonnegative().optional(),
  durationMs: z.number().nonnegative().optional(),
  databases: z.array(
    z.object({
      name: z.string(),
      status: z.enum(['ok', 'failed']),
      rawBytes: z.number().nonnegative().optional(),
      error: z.string().optional(),
    }),
  ),
});

/** What a verify node puts there. */
const verification = z.object({ set: z.string(), level: z.string(), ok: z.literal(true) });

/**
 * What a message asks a notifier to tell: an error from a Catch node, an event, the set that a destination has stored, the
 * beginning of a backup, or just its text.
 * @param recipe `msg.backup`, when it has one
 * @param label what the notifier is called
 */
export function contentOfMessage(
  message: BackupMessage,
  recipe: Recipe | undefined,
  {
    now,
    label,
    links,
  }: { readonly now: Date; readonly label: string; readonly links: readonly ContentLink[] },
): NotificationContent {
  const caught = caughtErrorOf(message);
  if (caught !== undefined) return contentOfCaught(caught, recipe, now);
  const event = readEvent(message.payload);
  if (event !== undefined) return contentOfEvent(event, links);
  if (recipe !== undefined) return contentOfEvent(factsOfRecipe(recipe, message.payload, now), links);
  const { topic, payload } = message;
  const title = typeof topic === 'string' && topic.trim() !== '' ? topic : label;
  return contentOfText({ at: now, title, summary: payload === undefined ? '' : textOf(payload) });
}

function contentOfCaught({ message, source }: CaughtError, recipe: Recipe | undefined, at: Date) {
  return contentOfError({
    at,
    message: textOf(message),
    source: source.name || source.type,
    ...(recipe === undefined ? {} : { job: recipe.job, runId: recipe.runId }),
  });
}

/** Whatever a message brings, somebody is told: also of what JSON cannot say, such as an object that holds itself. */
function textOf(value: unknown): string {
  try {
    return plainText(value);
  } catch {
    return inspect(value, { depth: 1 });
  }
}

/** The same as an event: what a destination hands on says how its part of the run has ended. */
function factsOfRecipe(recipe: Recipe, payload: unknown, now: Date): EventFacts {
  const { job, runId, set } = recipe;
  const head = { at: now.toISOString(), job, runId };
  if (set === undefined) {
    return facts({ ...head, event: 'started', severity: 'info', summary: `${job}: a backup begins` });
  }
  const whole = set.status === 'complete';
  const stored = setSummary.safeParse(payload);
  const verified = verification.safeParse(payload);
  const what = verified.success ? `has passed its verification (${verified.data.level})` : 'is stored';
  return facts({
    ...head,
    event: whole ? 'succeeded' : 'partial',
    severity: whole ? 'info' : 'warning',
    summary: whole
      ? `${job}: the backup ${what} in ${set.storage}`
      : `${job}: the backup in ${set.storage} is incomplete, some databases are missing`,
    ...(stored.success ? factsOfSummary(stored.data) : {}),
    destinations: [
      {
        label: set.storage,
        status: set.status,
        path: set.path,
        storedBytes: stored.success ? stored.data.bytes : undefined,
      },
    ],
  });
}

function factsOfSummary({ durationMs, databases }: z.output<typeof setSummary>) {
  return {
    durationSeconds: durationMs === undefined ? undefined : durationMs / 1000,
    rawBytes: databases.reduce((sum, { rawBytes = 0 }) => sum + rawBytes, 0),
    databases: databases.map(({ name, status, rawBytes, error }) => ({
      name,
      status,
      rawBytes,
      error: error === undefined ? undefined : { message: error },
    })),
  };
}

function facts(given: unknown): EventFacts {
  const read = readEvent(given);
  if (read === undefined) throw new TypeError('An event of our own cannot be read');
  return read;
}
