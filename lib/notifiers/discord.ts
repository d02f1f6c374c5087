import { z } from 'zod';
import { shorten } from './clean-text.ts';
import type { NotificationContent } from './content.ts';
import { sectionsOf } from './content-lines.ts';
import { fitLines } from './fit.ts';
import { jsonObject, retryHint, unexpectedAnswer } from './http.ts';
import { hostOf, secureAddress } from './http-address.ts';
import { jsonRequest, preparedRequest, receiptOf } from './json-channel.ts';
import type { Channel } from './notifier.ts';
import { secretsOfUrl } from './redact.ts';
import { renderTexts, templateOptions } from './templates.ts';
import { DISCORD } from './text-format.ts';

export const discordOptions = z.object({
  url: secureAddress.meta({
    title: 'Webhook URL',
    description: 'As Discord shows it in Channel settings, Integrations, Webhooks',
  }),
  username: z.string().max(80).default('').meta({
    title: 'User name',
    description: 'Name that the messages appear under; empty for that of the webhook',
  }),
  ...templateOptions.shape,
});

export type DiscordOptions = z.output<typeof discordOptions>;

/** https://discord.com/developers/docs/resources/message#embed-object-embed-limits */
export const DISCORD_LIMITS = {
  title: 256,
  description: 4096,
  fields: 25,
  name: 256,
  value: 1024,
  total: 6000,
};

const COLORS = { info: 0x2e9e5b, warning: 0xe0a800, error: 0xd13438 } as const;

interface Field {
  readonly name: string;
  readonly value: string;
  readonly inline?: true;
}

/** Messages with an embed by a Discord webhook: https://discord.com/developers/docs/resources/webhook#execute-webhook */
export function createDiscordChannel(options: DiscordOptions): Channel {
  const { url } = options;
  return {
    name: 'discord',
    describe: () => `Discord (${hostOf(url)})`,
    secrets: secretsOfUrl(url),
    prepare(content) {
      const { payload, notes } = discordPayload(content, options);
      const address = new URL(url);
      // Without it Discord answers before it has looked at the message.
      address.searchParams.set('wait', 'true');
      return preparedRequest({
        request: jsonRequest(address.href, payload),
        notes,
        retryHint: (answer) => retryHint(answer, 'retry_after'),
        check(answer) {
          const message = jsonObject(answer);
          if (message?.id === undefined) throw unexpectedAnswer(answer);
          return receiptOf(message.id);
        },
      });
    },
  };
}

/** What Discord is sent, within its limits; it mentions nobody. */
export function discordPayload(content: NotificationContent, options: Omit<DiscordOptions, 'url'>) {
  const { title, body, notes } = renderTexts(options, content, DISCORD, DISCORD_LIMITS.description);
  const link = content.links[0];
  const embed = {
    title: fitting(title),
    description: [...(body === undefined ? [DISCORD.escape(content.summary)] : [body]), ...notes].join(
      '\n\n',
    ),
    color: COLORS[content.severity],
    timestamp: content.at,
    footer: { text: 'DBackup' },
    ...(link === undefined ? {} : { url: link.url }),
  };
  embed.description = shorten(embed.description, DISCORD_LIMITS.description);
  const used = embed.title.length + embed.description.length + embed.footer.text.length;
  const fields = body === undefined ? fieldsOf(content, DISCORD_LIMITS.total - used) : [];
  const payload = {
    ...(options.username === '' ? {} : { username: options.username }),
    embeds: [{ ...embed, ...(fields.length === 0 ? {} : { fields }) }],
    allowed_mentions: { parse: [] },
  };
  return { payload, notes };
}

/** A title whose escaped form fits: marks are escaped by one more character each. */
function fitting(title: string): string {
  let text = title;
  while (DISCORD.escape(text).length > DISCORD_LIMITS.title) text = shorten(text, text.length - 10);
  return DISCORD.escape(text);
}

/** Sections first: what has failed is worth more than the facts. */
function fieldsOf(content: NotificationContent, room: number): Field[] {
  let left = room;
  const within = (fields: readonly Field[]) =>
    fields.filter(({ name, value }) => {
      const fits = value !== '' && name.length + value.length <= left;
      if (fits) left -= name.length + value.length;
      return fits;
    });
  const sections = within(
    sectionsOf(content, DISCORD).map(({ heading, lines, more }) => ({
      name: heading,
      value: fitLines(lines, DISCORD_LIMITS.value, { more }),
    })),
  );
  const facts = within(
    content.facts.map(({ name, value }) => ({
      name: DISCORD.escape(name),
      value: DISCORD.escape(value),
      inline: true as const,
    })),
  );
  return [...facts, ...sections].slice(0, DISCORD_LIMITS.fields);
}
