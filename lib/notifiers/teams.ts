import { z } from 'zod';
import { shorten } from './clean-text.ts';
import type { NotificationContent } from './content.ts';
import { sectionsOf, symbolOf } from './content-lines.ts';
import { DeliveryError } from './delivery-error.ts';
import { bytes, fitLines } from './fit.ts';
import { type HttpAnswer, quote } from './http.ts';
import { hostOf, secureAddress } from './http-address.ts';
import { jsonRequest, preparedRequest } from './json-channel.ts';
import type { Channel, Receipt } from './notifier.ts';
import { secretsOfUrl } from './redact.ts';
import { renderTexts, type TemplateOptions, templateOptions } from './templates.ts';
import { TEAMS } from './text-format.ts';

export const teamsOptions = z.object({
  url: secureAddress.meta({
    title: 'Workflow URL',
    description: 'Of a workflow with the trigger "When a Teams webhook request is received"',
  }),
  ...templateOptions.shape,
});

export type TeamsOptions = z.output<typeof teamsOptions>;

/** Teams takes 28 KB; some of that is for what it adds itself. In bytes of UTF-8. */
export const TEAMS_LIMIT = 24_000;
/** Of a template's text, in characters: each takes at most 4 bytes. */
const LONGEST_BODY = 5000;

const COLORS = { info: 'good', warning: 'warning', error: 'attention' } as const;

/**
 * Adaptive cards by the webhook of a workflow:
 * https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
 */
export function createTeamsChannel(options: TeamsOptions): Channel {
  const { url } = options;
  return {
    name: 'teams',
    describe: () => `Microsoft Teams (${hostOf(url)})`,
    secrets: secretsOfUrl(url),
    prepare(content) {
      const { payload, notes } = teamsPayload(content, options);
      return preparedRequest({ request: jsonRequest(url, payload), notes, check: checkWorkflow });
    },
  };
}

/** What Teams is sent, within its limit. */
export function teamsPayload(content: NotificationContent, templates: TemplateOptions) {
  const { title, body, notes } = renderTexts(templates, content, TEAMS, LONGEST_BODY);
  // Fewer lines, until all of it fits.
  for (let room = 6000; ; room /= 2) {
    const payload = message(content, title, body, notes, room);
    if (bytes(JSON.stringify(payload)) <= TEAMS_LIMIT || room < 100) return { payload, notes };
  }
}

function message(
  content: NotificationContent,
  title: string,
  body: string | undefined,
  notes: readonly string[],
  room: number,
) {
  const card = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    // What Teams knows on every device.
    version: '1.4',
    msteams: { width: 'Full' },
    fallbackText: TEAMS.escape(`${title}: ${content.summary}`),
    body: [
      {
        ...text(`${symbolOf(content)} ${TEAMS.escape(title)}`),
        size: 'large',
        weight: 'bolder',
        color: COLORS[content.severity],
      },
      text(body ?? TEAMS.escape(content.summary)),
      ...(body === undefined ? details(content, room) : []),
      ...notes.map((note) => ({ ...text(TEAMS.escape(shorten(note, 500))), isSubtle: true })),
    ],
    ...(content.links.length === 0
      ? {}
      : {
          actions: content.links.map(({ title: name, url }) => ({
            type: 'Action.OpenUrl',
            title: name,
            url,
          })),
        }),
  };
  const attachment = {
    contentType: 'application/vnd.microsoft.card.adaptive',
    contentUrl: null,
    content: card,
  };
  return { type: 'message', attachments: [attachment] };
}

function details(content: NotificationContent, room: number) {
  const facts = content.facts.map(({ name, value }) => ({
    title: TEAMS.escape(name),
    value: TEAMS.escape(value),
  }));
  return [
    ...(facts.length === 0 ? [] : [{ type: 'FactSet', facts }]),
    ...sectionsOf(content, TEAMS).flatMap(({ heading, lines, more }) => [
      { ...text(heading), weight: 'bolder', separator: true },
      // Two line ends: one alone is no line end in a card.
      { ...text(fitLines(lines, room, { more, measure: bytes }).replaceAll('\n', '\n\n')), spacing: 'small' },
    ]),
  ];
}

function text(value: string) {
  return { type: 'TextBlock', text: value, wrap: true };
}

/** Some answer 200 and tell in the body that the message was not delivered. */
function checkWorkflow(answer: HttpAnswer): Receipt {
  if (!/delivery failed|returned HTTP error|"error"\s*:/i.test(answer.text)) return {};
  const transient = /\b(429|5\d\d)\b/.test(answer.text);
  throw new DeliveryError(`the message was not delivered${quote(answer.text)}`, { transient });
}
