import { formatBytes } from '../quantities.ts';
import type { ContentDatabase, ContentDestination, NotificationContent } from './content.ts';
import { PLAIN, type TextFormat } from './text-format.ts';

/** A part of a notification: lines in the markup of a channel below a heading, which is plain text. */
export interface ContentSection {
  readonly heading: string;
  readonly lines: readonly string[];
  /** Lines that were left out. */
  readonly more: number;
}

/** Databases, destinations, errors and links, as far as there are any. */
export function sectionsOf(content: NotificationContent, format: TextFormat): ContentSection[] {
  const { databases, destinations, errors, more } = content;
  const sections: ContentSection[] = [
    { heading: 'Databases', lines: databases.map((one) => databaseLine(one, format)), more: more.databases },
    {
      heading: 'Destinations',
      lines: destinations.map((one) => destinationLine(one, format)),
      more: more.destinations,
    },
    { heading: 'Details', lines: errors.map((error) => format.escape(error)), more: more.errors },
  ];
  return sections.filter(({ lines }) => lines.length > 0);
}

/** `Duration: 1 min 23 s` for each fact. */
export function factLines(content: NotificationContent, format: TextFormat): string[] {
  return content.facts.map(
    ({ name, value }) => `${format.bold(format.escape(name))}${format.escape(`: ${value}`)}`,
  );
}

/** All of a notification but its title, as lines in the markup of a channel. */
export function bodyLines(content: NotificationContent, format: TextFormat): string[] {
  const { summary, links } = content;
  const sections = sectionsOf(content, format).flatMap(({ heading, lines, more }) => [
    '',
    format.bold(format.escape(heading)),
    ...lines,
    ...(more > 0 ? [format.escape(`… and ${more} more`)] : []),
  ]);
  return [
    format.escape(summary),
    '',
    ...factLines(content, format),
    ...sections,
    ...(links.length > 0 ? ['', ...links.map(({ title, url }) => format.escape(`${title}: ${url}`))] : []),
  ];
}

/** The same as plain text, of at most so many characters. */
export function plainBody(content: NotificationContent): string {
  return bodyLines(content, PLAIN).join('\n');
}

/** What is shown before a title, where people look at a list of them. */
export function symbolOf({ severity }: Pick<NotificationContent, 'severity'>): string {
  if (severity === 'error') return '🔴';
  return severity === 'warning' ? '🟡' : '🟢';
}

function databaseLine({ name, status, bytes, error }: ContentDatabase, format: TextFormat): string {
  const size = bytes === undefined ? '' : ` · ${formatBytes(bytes)}`;
  const mark = status === 'ok' ? '✓' : '✗';
  const reason = error === undefined ? '' : ` · ${error}`;
  return format.escape(`${mark} ${name}${size}${reason}`);
}

function destinationLine(destination: ContentDestination, format: TextFormat): string {
  const { name, status, path, bytes, verified, error } = destination;
  const marks = { complete: '✓', partial: '◐', failed: '✗' } as const;
  const parts = [
    ...(bytes === undefined ? [] : [formatBytes(bytes)]),
    ...(path === undefined ? [] : [path]),
    ...(verified === true ? ['verified'] : []),
    ...(error === undefined ? [] : [error]),
  ];
  return format.escape([`${marks[status]} ${name}`, ...parts].join(' · '));
}
