import { z } from 'zod';
import { shorten } from '../clean-text.ts';
import type { NotificationContent } from '../content.ts';
import { bodyLines } from '../content-lines.ts';
import { bytes, fitLines } from '../fit.ts';
import { jsonObject, unexpectedAnswer } from '../http.ts';
import { hostOf, webAddress } from '../http-address.ts';
import { jsonRequest, preparedRequest, receiptOf } from '../json-channel.ts';
import type { Channel } from '../notifier.ts';
import { renderTexts, type TemplateOptions, templateOptions } from '../templates.ts';
import { PLAIN } from '../text-format.ts';

export const ntfyOptions = z.object({
  preset: z.literal('ntfy'),
  server: webAddress
    .default('https://ntfy.sh')
    .meta({ title: 'Server', description: 'Address of the ntfy server' }),
  topic: z
    .string()
    .regex(/^[-_A-Za-z0-9]{1,64}$/, 'must have at most 64 letters, digits, - and _')
    .meta({
      title: 'Topic',
      description: 'Whoever knows it can read along, unless the server asks for a token',
    }),
  accessToken: z
    .string()
    .optional()
    .meta({ title: 'Access token', description: 'For a protected topic: tk_…' }),
  caFile: z.string().max(1000).default('').meta({
    title: 'CA file',
    description: 'File with certificates of authorities to trust, beside those that the host trusts',
  }),
  ...templateOptions.shape,
});

export type NtfyOptions = z.output<typeof ntfyOptions>;

/** Longer ones become attachments. In bytes: https://docs.ntfy.sh/publish/#limitations */
export const NTFY_LIMITS = { message: 4000, title: 250 };

const PRIORITIES = { info: 3, warning: 4, error: 5 } as const;
const TAGS = { info: 'white_check_mark', warning: 'warning', error: 'rotating_light' } as const;

/** Push messages by ntfy: https://docs.ntfy.sh/publish/#publish-as-json */
export function createNtfyChannel(options: NtfyOptions): Channel {
  const { server, topic, accessToken, caFile } = options;
  return {
    name: 'ntfy',
    describe: () => `ntfy (${hostOf(server)})`,
    secrets: [topic, ...(accessToken === undefined ? [] : [accessToken])],
    prepare(content) {
      const { payload, notes } = ntfyPayload(content, options);
      const authorization = accessToken === undefined ? {} : { Authorization: `Bearer ${accessToken}` };
      return preparedRequest({
        request: { ...jsonRequest(server, { topic, ...payload }, authorization), caFile },
        notes,
        check(answer) {
          const published = jsonObject(answer);
          if (published?.event !== 'message') throw unexpectedAnswer(answer);
          return receiptOf(published.id);
        },
      });
    },
  };
}

/** What ntfy is sent without its topic. */
export function ntfyPayload(content: NotificationContent, templates: TemplateOptions) {
  const { title, body, notes } = renderTexts(templates, content, PLAIN, NTFY_LIMITS.message);
  const lines = [...notes, ...(body?.split('\n') ?? bodyLines(content, PLAIN))];
  const [link] = content.links;
  const payload = {
    title: shorten(title, NTFY_LIMITS.title / 2),
    message: fitLines(lines, NTFY_LIMITS.message, { measure: bytes }) || content.summary,
    priority: PRIORITIES[content.severity],
    tags: [TAGS[content.severity], 'dbackup'],
    ...(link === undefined ? {} : { click: link.url }),
  };
  return { payload, notes };
}
