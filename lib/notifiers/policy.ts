import { z } from 'zod';
import { toBackupError } from '../errors.ts';
import { EVENT_NAMES, type EventName, isAtLeast, SEVERITIES } from '../events/run-event.ts';
import { TimeZone } from '../schedule/time-zone.ts';
import { type ContentEvent, isProgress, type NotificationContent } from './content.ts';
import { recoveryOf } from './own-content.ts';

/**
 * `each`: every event that passes the filter. `changes`: of runs only the first failure and the first success after it.
 * `digest`: once a day, all together. `digest-and-changes`: both.
 */
export const DELIVERIES = ['each', 'changes', 'digest', 'digest-and-changes'] as const;

const USUAL_EVENTS: readonly EventName[] = EVENT_NAMES.filter(
  (name) => name !== 'started' && name !== 'progress',
);

/** Which events are told, and when. */
export const policyOptions = z.object({
  events: z
    .array(z.enum(EVENT_NAMES))
    .max(EVENT_NAMES.length)
    .default([...USUAL_EVENTS])
    .meta({
      title: 'Events',
      description: 'What is told',
    }),
  severity: z
    .enum(SEVERITIES)
    .default('info')
    .meta({ title: 'From', description: 'The least severity that is told' }),
  deliver: z.enum(DELIVERIES).default('each').meta({ title: 'Tells', description: 'When it is told' }),
  reminderHours: z.number().min(0).max(744).default(0).meta({
    title: 'Reminder',
    description: 'A job that goes on failing is told again after so many hours. 0: not',
  }),
  digestTime: z
    .string()
    .regex(/^([01]?\d|2[0-3]):[0-5]\d$/, 'is a time of day, such as 08:00')
    .default('08:00')
    .meta({ title: 'Digest at', description: 'Time of day of the digest' }),
  digestZone: z.string().trim().max(100).optional().meta({
    title: 'Time zone',
    description:
      'Of the digest: a name of the IANA database, such as Europe/Berlin. Empty: that of this host',
  }),
});

export type PolicyOptions = z.output<typeof policyOptions>;

/** The check of what no single field tells: that the zone exists. */
export function policyProblems({
  digestZone,
}: PolicyOptions): { field: keyof PolicyOptions; message: string }[] {
  if (digestZone === undefined || digestZone === '') return [];
  try {
    new TimeZone(digestZone);
    return [];
  } catch (thrown) {
    return [{ field: 'digestZone', message: toBackupError(thrown).message }];
  }
}

/** How a job stands, as far as a notifier has to know it. */
export interface Standing {
  /** How bad: see `levelOf`. */
  readonly level: number;
  /** When it began to fail, ISO 8601 in UTC. */
  readonly since: string;
  /** Somebody has been told. */
  readonly told: boolean;
  /** When that was last, ISO 8601 in UTC; while nobody has been, when it was tried. */
  readonly remindedAt: string;
  /** What was to be told last. */
  readonly last: NotificationContent;
}

/** What becomes of an event. */
export interface Verdict {
  /** What is told now. */
  readonly tell: NotificationContent | undefined;
  /** It stands in the next digest. */
  readonly collect: boolean;
  /** How the job stands from now on; `same`: as before; undefined: nothing is wrong with it. */
  readonly standing: Standing | undefined | 'same';
}

/** How badly a run has ended; undefined for events that say nothing about that. */
export function levelOf(event: ContentEvent): number | undefined {
  switch (event) {
    case 'succeeded':
    case 'recovered':
      return 0;
    case 'partial':
      return 1;
    case 'failed':
      return 2;
    case 'dead-lettered':
      return 3;
    default:
      return undefined;
  }
}

/** Whether standings are needed at all. */
export function remembersJobs({ deliver, reminderHours }: PolicyOptions): boolean {
  return reminderHours > 0 || deliver === 'changes' || deliver === 'digest-and-changes';
}

/**
 * Decides about an event.
 * @param known how the job stood before
 */
export function judge(
  options: PolicyOptions,
  content: NotificationContent,
  known: Standing | undefined,
): Verdict {
  const wanted = passes(options, content);
  const level = levelOf(content.event);
  // A day later progress says nothing, and would push out what does.
  const collect = wanted && options.deliver.startsWith('digest') && !isProgress(content);
  const now = newStanding(content, level, known);
  if (options.deliver === 'each') return { tell: wanted ? content : undefined, collect, standing: now };
  if (options.deliver === 'digest') {
    return {
      tell: isOfRun(content) ? undefined : content,
      collect: collect && isOfRun(content),
      standing: now,
    };
  }
  return { tell: changeIn(options, content, { level, known, wanted }), collect, standing: now };
}

/** Whether people are reminded of a job: they know of its failure, or should, and could not be told. */
export function isToBeReminded(options: PolicyOptions, { told, last }: Standing): boolean {
  return told || (options.deliver !== 'digest' && passes(options, last));
}

function changeIn(
  options: PolicyOptions,
  content: NotificationContent,
  { level, known, wanted }: { level: number | undefined; known: Standing | undefined; wanted: boolean },
): NotificationContent | undefined {
  if (level === undefined) return wanted ? content : undefined;
  if (level > 0) return wanted && (level !== known?.level || !known.told) ? content : undefined;
  if (known === undefined) return undefined;
  // Who was told of the failure is told that it is over, however little that matters otherwise.
  const asked = options.events.includes('recovered') || options.events.includes('succeeded');
  return asked && (known.told || wanted) ? recoveryOf(content) : undefined;
}

function newStanding(
  content: NotificationContent,
  level: number | undefined,
  known: Standing | undefined,
): Standing | undefined | 'same' {
  if (level === undefined || content.job === undefined) return 'same';
  if (level === 0) return undefined;
  return {
    level,
    since: known?.since ?? content.at,
    told: known?.told === true && known.level === level,
    remindedAt: known?.remindedAt ?? content.at,
    last: content,
  };
}

/** What people wire by hand (errors, texts, tests) is told in any case. */
function passes({ events, severity }: PolicyOptions, content: NotificationContent): boolean {
  if (!isOfRun(content)) return true;
  return (events as readonly string[]).includes(content.event) && isAtLeast(content.severity, severity);
}

function isOfRun({ event }: NotificationContent): boolean {
  return (EVENT_NAMES as readonly string[]).includes(event);
}
