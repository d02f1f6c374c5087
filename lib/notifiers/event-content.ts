import { hostname } from 'node:os';
import { formatBytes, formatDuration } from '../quantities.ts';
import {
  type ContentDatabase,
  type ContentDestination,
  type ContentFact,
  type ContentLink,
  createContent,
  type NotificationContent,
} from './content.ts';
import type { EventFacts } from './read-event.ts';

/** What a notification says about an event, in plain English. */
export function contentOfEvent(facts: EventFacts, links: readonly ContentLink[] = []): NotificationContent {
  const { event, severity, at, job, runId, summary, durationSeconds, rawBytes } = facts;
  return createContent({
    event,
    severity,
    at,
    ...(job === undefined ? {} : { job }),
    ...(runId === undefined ? {} : { runId }),
    host: hostname(),
    title: titleOf(facts),
    summary,
    ...(durationSeconds === undefined ? {} : { durationSeconds }),
    ...(rawBytes === undefined ? {} : { rawBytes }),
    facts: factsOf(facts),
    databases: (facts.databases ?? []).map(databaseOf),
    destinations: (facts.destinations ?? []).map(destinationOf),
    errors: errorsOf(facts),
    links,
  });
}

function titleOf({ event, job = 'DBackup', storage = job, crossed }: EventFacts): string {
  switch (event) {
    case 'started':
      return `${job}: backup started`;
    case 'progress':
      return `${job}: backup goes on`;
    case 'succeeded':
      return `${job}: backup succeeded`;
    case 'partial':
      return `${job}: backup is incomplete`;
    case 'failed':
      return `${job}: backup failed`;
    case 'cancelled':
      return `${job}: backup was cancelled`;
    case 'recovered':
      return `${job}: backups work again`;
    case 'dead-lettered':
      return `${job}: failed too often, it is run no more`;
    case 'skipped':
      return `${job}: backup was skipped`;
    case 'verification-failed':
      return `${job}: a stored backup does not hold`;
    case 'anomaly':
      return `${job}: backup is unusual`;
    case 'storage-threshold':
      return crossed === 'above'
        ? `${storage}: enough free space again`
        : `${storage}: little free space left`;
    case 'prune-refused':
      return `${job}: old backups were not removed`;
    case 'schedule-missed':
      return `${job}: the schedule has missed backups`;
  }
}

function factsOf(facts: EventFacts): ContentFact[] {
  const { databases = [], durationSeconds, rawBytes, trigger, failures, previous, lastSuccessAt } = facts;
  const ok = databases.filter(({ status }) => status === 'ok').length;
  return [
    ...fact('Job', facts.job),
    ...fact('Databases', databases.length === 0 ? undefined : `${ok} of ${databases.length} stored`),
    ...fact('Size', rawBytes === undefined ? undefined : formatBytes(rawBytes)),
    ...fact('Duration', durationSeconds === undefined ? undefined : formatDuration(durationSeconds * 1000)),
    ...fact('Started by', trigger),
    ...fact('Reason', facts.reason),
    ...fact('Failures in a row', failures?.toString()),
    ...fact('Last run before', previous?.state),
    ...fact('Last success before', lastSuccessAt),
    ...fact('Storage', facts.storage),
    ...fact('Set', facts.path),
    ...fact('Level', facts.level),
    ...fact('Free space', facts.freeBytes === undefined ? undefined : formatBytes(facts.freeBytes)),
    ...fact('Asked for', facts.thresholdBytes === undefined ? undefined : formatBytes(facts.thresholdBytes)),
    ...fact('Planned for', facts.plannedFor),
    ...fact('Missed', facts.count?.toString()),
    ...fact('Host', hostname()),
    ...fact('Run', facts.runId),
  ];
}

function fact(name: string, value: string | undefined): ContentFact[] {
  return value === undefined || value === '' ? [] : [{ name, value }];
}

function databaseOf({ name, status, rawBytes, error }: NonNullable<EventFacts['databases']>[number]) {
  const database: ContentDatabase = {
    name,
    status,
    ...(rawBytes === undefined ? {} : { bytes: rawBytes }),
    ...(error === undefined ? {} : { error: error.message }),
  };
  return database;
}

function destinationOf(given: NonNullable<EventFacts['destinations']>[number]): ContentDestination {
  const { label, status, storage, path, storedBytes, verified, error } = given;
  return {
    name: label,
    status,
    ...(storage === undefined ? {} : { storage }),
    ...(path === undefined ? {} : { path }),
    ...(storedBytes === undefined ? {} : { bytes: storedBytes }),
    ...(verified === undefined ? {} : { verified }),
    ...(error === undefined ? {} : { error: error.message }),
  };
}

/** Errors of databases and destinations stand with these. */
function errorsOf(facts: EventFacts): string[] {
  const told = [...(facts.databases ?? []), ...(facts.destinations ?? [])].flatMap(
    ({ error }) => error ?? [],
  );
  const own = facts.error?.message;
  const isTold = told.some(({ message }) => own?.includes(message));
  return [
    ...(own === undefined || isTold ? [] : [own]),
    ...(facts.errors ?? []).map(({ at, error }) => `${at}: ${error.message}`),
    ...(facts.problems ?? []),
    ...(facts.findings ?? []).map(({ message }) => message),
    ...(facts.sets ?? []).map((path) => `kept: ${path}`),
  ];
}
