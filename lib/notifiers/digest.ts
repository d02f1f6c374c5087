import { hostname } from 'node:os';
import { SEVERITIES, type Severity } from '../events/run-event.ts';
import { type ContentLink, createContent, type NotificationContent } from './content.ts';
import type { DigestEntry } from './memory.ts';

const WORDS: Readonly<Record<string, string>> = {
  succeeded: 'succeeded',
  partial: 'incomplete',
  failed: 'failed',
  cancelled: 'cancelled',
  skipped: 'skipped',
};

/** What happened since the last digest, by job, the worst first. A day without any backup is told, too. */
export function digestOf(
  entries: readonly DigestEntry[],
  at: Date,
  links: readonly ContentLink[] = [],
): NotificationContent {
  const counts = countsOf(entries);
  const bad = entries.filter(({ severity }) => severity !== 'info');
  const summary =
    counts === '' ? 'No backup has ended since the last digest.' : `Since the last digest: ${counts}.`;
  return createContent({
    event: 'digest',
    severity: entries.length === 0 ? 'warning' : worst(entries),
    at: at.toISOString(),
    host: hostname(),
    title: counts === '' ? 'Backups: nothing has run' : `Backups: ${counts}`,
    summary,
    facts: [...jobFacts(entries), { name: 'Host', value: hostname() }],
    databases: [],
    destinations: [],
    errors: bad.toReversed().map((entry) => `${minute(entry.at)} ${entry.summary}`),
    links,
  });
}

/** `12 succeeded, 1 failed` */
function countsOf(entries: readonly DigestEntry[]): string {
  return Object.entries(WORDS)
    .map(([event, word]) => ({ word, count: entries.filter((entry) => entry.event === event).length }))
    .filter(({ count }) => count > 0)
    .map(({ word, count }) => `${count} ${word}`)
    .join(', ');
}

function jobFacts(entries: readonly DigestEntry[]) {
  const jobs = [...new Set(entries.map(({ job }) => job))].filter((job) => job !== '');
  return jobs
    .map((job) => ({ job, own: entries.filter((entry) => entry.job === job) }))
    .sort((one, other) => rank(worst(other.own)) - rank(worst(one.own)))
    .slice(0, 10)
    .map(({ job, own }) => ({
      name: job,
      value: `${countsOf(own) || 'see below'}, last ${minute(own.at(-1)?.at ?? '')}`,
    }));
}

function worst(entries: readonly DigestEntry[]): Severity {
  return entries.reduce<Severity>(
    (bad, { severity }) => (rank(severity) > rank(bad) ? severity : bad),
    'info',
  );
}

function rank(severity: Severity): number {
  return SEVERITIES.indexOf(severity);
}

/** `2026-11-23 02:30 UTC` */
function minute(at: string): string {
  return `${at.slice(0, 10)} ${at.slice(11, 16)} UTC`;
}
