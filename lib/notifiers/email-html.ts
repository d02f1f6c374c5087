import type { ContentFact, NotificationContent } from './content.ts';
import { type ContentSection, sectionsOf } from './content-lines.ts';
import { HTML } from './text-format.ts';

const COLORS = { info: '#2e9e5b', warning: '#b98900', error: '#c62f33' } as const;

/** Readers of mail know few elements, and styles only where they are used. */
const FONT =
  'font-family:-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif;font-size:14px;line-height:1.5';
const MONO = 'font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px';

/**
 * A whole HTML document.
 * @param body HTML in place of the built-in text
 * @param notes plain text that stands below it
 */
export function htmlLetter(
  content: NotificationContent,
  title: string,
  body: string | undefined,
  notes: readonly string[],
): string {
  const color = COLORS[content.severity];
  return [
    '<!DOCTYPE html>',
    `<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>${HTML.escape(title)}</title></head>`,
    `<body style="margin:0;padding:16px;${FONT}">`,
    `<div style="max-width:640px;border-left:4px solid ${color};padding:4px 0 4px 16px">`,
    `<h1 style="font-size:18px;margin:0 0 8px">${HTML.escape(title)}</h1>`,
    body ?? builtIn(content),
    ...notes.map((note) => `<p style="opacity:.75"><i>${HTML.escape(note)}</i></p>`),
    '</div></body></html>',
  ].join('\n');
}

function builtIn(content: NotificationContent): string {
  return [
    `<p style="margin:0 0 12px">${HTML.escape(content.summary)}</p>`,
    ...(content.facts.length === 0 ? [] : [factTable(content.facts)]),
    ...sectionsOf(content, HTML).map(sectionHtml),
    ...content.links.map(
      ({ title, url }) => `<p><a href="${HTML.escape(url)}">${HTML.escape(title)}</a></p>`,
    ),
  ].join('\n');
}

function factTable(facts: readonly ContentFact[]): string {
  const rows = facts.map(
    ({ name, value }) =>
      `<tr><td style="padding:0 16px 0 0;opacity:.75;vertical-align:top">${HTML.escape(name)}</td><td>${HTML.escape(value)}</td></tr>`,
  );
  return `<table style="border-collapse:collapse;${FONT}">${rows.join('')}</table>`;
}

function sectionHtml({ heading, lines, more }: ContentSection): string {
  const all = more > 0 ? [...lines, `… and ${more} more`] : lines;
  return `<h2 style="font-size:14px;margin:16px 0 4px">${HTML.escape(heading)}</h2>\n<div style="${MONO}">${all.join('<br>')}</div>`;
}
