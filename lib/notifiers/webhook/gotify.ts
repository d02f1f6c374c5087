import { z } from 'zod';
import { shorten } from '../clean-text.ts';
import type { NotificationContent } from '../content.ts';
import { plainBody } from '../content-lines.ts';
import { jsonObject, unexpectedAnswer } from '../http.ts';
import { addressBelow, hostOf, webAddress } from '../http-address.ts';
import { jsonRequest, preparedRequest, receiptOf } from '../json-channel.ts';
import type { Channel } from '../notifier.ts';
import { renderTexts, type TemplateOptions, templateOptions } from '../templates.ts';
import { PLAIN } from '../text-format.ts';

export const gotifyOptions = z.object({
  preset: z.literal('gotify'),
  server: webAddress.meta({ title: 'Server', description: 'Address of the Gotify server' }),
  token: z.string().min(1).meta({ title: 'Application token', description: 'Of an application in Gotify' }),
  caFile: z.string().max(1000).default('').meta({
    title: 'CA file',
    description: 'File with certificates of authorities to trust, beside those that the host trusts',
  }),
  ...templateOptions.shape,
});

export type GotifyOptions = z.output<typeof gotifyOptions>;

const LONGEST_BODY = 20_000;
const PRIORITIES = { info: 3, warning: 6, error: 9 } as const;

/** Push messages by Gotify: https://gotify.net/api-docs#/message/createMessage */
export function createGotifyChannel(options: GotifyOptions): Channel {
  const { server, token, caFile } = options;
  return {
    name: 'gotify',
    describe: () => `Gotify (${hostOf(server)})`,
    secrets: [token],
    prepare(content) {
      const { payload, notes } = gotifyPayload(content, options);
      return preparedRequest({
        request: {
          ...jsonRequest(addressBelow(server, 'message'), payload, { 'X-Gotify-Key': token }),
          caFile,
        },
        notes,
        check(answer) {
          const created = jsonObject(answer);
          if (typeof created?.id !== 'number') throw unexpectedAnswer(answer);
          return receiptOf(created.id);
        },
      });
    },
  };
}

/** What Gotify is sent. */
export function gotifyPayload(content: NotificationContent, templates: TemplateOptions) {
  const { title, body, notes } = renderTexts(templates, content, PLAIN, LONGEST_BODY);
  const text = [...notes, body ?? plainBody(content)].join('\n\n');
  const [link] = content.links;
  const extras = {
    'client::display': { contentType: 'text/plain' },
    ...(link === undefined ? {} : { 'client::notification': { click: { url: link.url } } }),
  };
  const payload = {
    title,
    message: shorten(text, LONGEST_BODY),
    priority: PRIORITIES[content.severity],
    extras,
  };
  return { payload, notes };
}
