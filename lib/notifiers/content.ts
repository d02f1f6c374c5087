import { randomUUID } from 'node:crypto';
import type { EventName, Severity } from '../events/run-event.ts';
import { redact } from '../logs/redact.ts';
import { cleanLine } from './clean-text.ts';

/** What a notification is about: an event of a backup, or one of what notifiers themselves tell. */
export type ContentEvent = EventName | 'message' | 'error' | 'reminder' | 'digest' | 'test';

const ENDS: readonly ContentEvent[] = ['succeeded', 'partial', 'failed', 'cancelled', 'recovered'];

export interface ContentFact {
  readonly name: string;
  readonly value: string;
}

export interface ContentDatabase {
  readonly name: string;
  readonly status: 'ok' | 'failed';
  readonly bytes?: number;
  readonly error?: string;
}

export interface ContentDestination {
  readonly name: string;
  readonly status: 'complete' | 'partial' | 'failed';
  readonly storage?: string;
  readonly path?: string;
  readonly bytes?: number;
  readonly verified?: boolean;
  readonly error?: string;
}

export interface ContentLink {
  readonly title: string;
  readonly url: string;
}

/**
 * What a notification says, whatever channel it goes through: plain texts of one line each, without secrets, of bounded
 * length and number. Templates see the same fields (docs/notifications.md).
 */
export interface NotificationContent {
  /** Names this notification: a service that gets it twice may know it by that. */
  readonly id: string;
  readonly event: ContentEvent;
  readonly severity: Severity;
  /** When it happened, ISO 8601 in UTC. */
  readonly at: string;
  readonly job?: string;
  readonly runId?: string;
  /** The host that tells it. */
  readonly host: string;
  readonly title: string;
  readonly summary: string;
  readonly durationSeconds?: number;
  readonly rawBytes?: number;
  readonly facts: readonly ContentFact[];
  readonly databases: readonly ContentDatabase[];
  readonly destinations: readonly ContentDestination[];
  readonly errors: readonly string[];
  readonly links: readonly ContentLink[];
  /** How many of them there are beyond those that are told. */
  readonly more: { readonly databases: number; readonly destinations: number; readonly errors: number };
}

/** The same before it is made safe and short. */
export type ContentDraft = Omit<NotificationContent, 'id' | 'more' | 'links'> & {
  readonly links?: readonly ContentLink[];
};

/** Whether it says how far a run is: the next one says the same and more, and the end of the run makes it wrong. */
export function isProgress({ event }: Pick<NotificationContent, 'event'>): boolean {
  return event === 'progress';
}

/** Whether it says how a run has ended, or what a destination of it has stored. */
export function isEndOfRun({ event }: Pick<NotificationContent, 'event'>): boolean {
  return ENDS.includes(event);
}

/** Most characters and entries, so that each channel can show all of it. */
const LIMITS = {
  title: 160,
  summary: 400,
  name: 100,
  value: 200,
  error: 300,
  facts: 12,
  databases: 40,
  destinations: 15,
  errors: 8,
  links: 3,
  url: 500,
} as const;

/** Makes a content of what is to be told. Failed databases and destinations come first. */
export function createContent(draft: ContentDraft): NotificationContent {
  const databases = failedFirst(draft.databases);
  const destinations = failedFirst(draft.destinations);
  const errors = draft.errors.map((error) => line(error, LIMITS.error)).filter((error) => error !== '');
  const title = line(draft.title, LIMITS.title) || 'DBackup';
  const links = (draft.links ?? []).filter(({ url }) => isWebAddress(url)).slice(0, LIMITS.links);
  return {
    ...draft,
    id: randomUUID(),
    ...(draft.job === undefined ? {} : { job: line(draft.job, LIMITS.name) }),
    ...(draft.runId === undefined ? {} : { runId: line(draft.runId, LIMITS.name) }),
    host: line(draft.host, LIMITS.name),
    title,
    // Services refuse empty texts.
    summary: line(draft.summary, LIMITS.summary) || title,
    facts: draft.facts.slice(0, LIMITS.facts).map(cleanFact),
    databases: databases.slice(0, LIMITS.databases).map(cleanDatabase),
    destinations: destinations.slice(0, LIMITS.destinations).map(cleanDestination),
    errors: errors.slice(0, LIMITS.errors),
    links: links.map(({ title, url }) => ({ title: line(title, LIMITS.name), url: new URL(url).href })),
    more: {
      databases: Math.max(0, databases.length - LIMITS.databases),
      destinations: Math.max(0, destinations.length - LIMITS.destinations),
      errors: Math.max(0, errors.length - LIMITS.errors),
    },
  };
}

/** An address that links may lead to. */
export function isWebAddress(url: string): boolean {
  return url.length <= LIMITS.url && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
}

function failedFirst<Item extends { readonly status: string }>(items: readonly Item[]): Item[] {
  const failed = items.filter(({ status }) => status === 'failed');
  return [...failed, ...items.filter(({ status }) => status !== 'failed')];
}

function cleanFact({ name, value }: ContentFact): ContentFact {
  return { name: line(name, LIMITS.name) || '–', value: line(value, LIMITS.value) || '–' };
}

function cleanDatabase({ name, status, bytes, error }: ContentDatabase): ContentDatabase {
  return {
    name: line(name, LIMITS.name) || '–',
    status,
    ...(bytes === undefined ? {} : { bytes }),
    ...(error === undefined ? {} : { error: line(error, LIMITS.error) }),
  };
}

function cleanDestination(destination: ContentDestination): ContentDestination {
  const { name, status, storage, path, bytes, verified, error } = destination;
  return {
    name: line(name, LIMITS.name) || '–',
    status,
    ...(storage === undefined ? {} : { storage: line(storage, LIMITS.value) }),
    ...(path === undefined ? {} : { path: line(path, LIMITS.value) }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(verified === undefined ? {} : { verified }),
    ...(error === undefined ? {} : { error: line(error, LIMITS.error) }),
  };
}

function line(text: string, longest: number): string {
  return cleanLine(redact(text), longest);
}
