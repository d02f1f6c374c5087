import { z } from 'zod';
import { shorten } from '../clean-text.ts';
import type { NotificationContent } from '../content.ts';
import { bodyLines, symbolOf } from '../content-lines.ts';
import { DeliveryError } from '../delivery-error.ts';
import { fitLines } from '../fit.ts';
import { jsonObject, requireSuccess, retryHint, sendHttp, unexpectedAnswer } from '../http.ts';
import { hostOf, secureAddress } from '../http-address.ts';
import { jsonRequest, receiptOf } from '../json-channel.ts';
import type { Channel, Receipt } from '../notifier.ts';
import { builtInNote, renderTexts, type TemplateOptions, templateOptions } from '../templates.ts';
import { TELEGRAM_HTML, TELEGRAM_MARKDOWN } from '../text-format.ts';

export const telegramOptions = z.object({
  preset: z.literal('telegram'),
  token: z
    .string()
    .regex(/^\d+:[A-Za-z0-9_-]+$/, 'is no token of a bot, as 123456:ABC…')
    .meta({ title: 'Bot token', description: 'As @BotFather gives it' }),
  chat: z
    .string()
    .regex(/^(-?\d+|@\w+)$/, 'is the number of a chat, or @name of a channel')
    .meta({
      title: 'Chat',
      description: 'Number of the chat, or @name of a public channel',
    }),
  parseMode: z.enum(['HTML', 'MarkdownV2']).default('HTML').meta({
    title: 'Markup',
    description: 'That the template of the text is written in',
  }),
  endpoint: secureAddress.default('https://api.telegram.org').meta({
    title: 'Server',
    description: 'Address of a Bot API server',
  }),
  ...templateOptions.shape,
});

export type TelegramOptions = z.output<typeof telegramOptions>;

/** https://core.telegram.org/bots/api#sendmessage */
export const TELEGRAM_LIMIT = 4096;

/** Messages by a bot of Telegram. */
export function createTelegramChannel(options: TelegramOptions): Channel {
  const { endpoint, token, chat } = options;
  return {
    name: 'telegram',
    describe: () => `Telegram (${hostOf(endpoint)}, ${chat})`,
    secrets: [token],
    prepare(content) {
      const url = new URL(`/bot${token}/sendMessage`, endpoint).href;
      const made = telegramPayload(content, options);
      let { payload } = made;
      const notes = [...made.notes];
      return {
        notes,
        async attempt(signal) {
          const answer = await sendHttp(jsonRequest(url, { chat_id: chat, ...payload }), signal);
          if (answer.status === 400 && /can't parse entities/i.test(answer.text) && options.body !== '') {
            // Telegram alone knows whether markup is right. Better another text than none.
            const note = builtInNote('text', 'Telegram cannot read its markup');
            notes.push(note);
            payload = telegramPayload(content, { ...options, body: '' }, note).payload;
            const second = await sendHttp(jsonRequest(url, { chat_id: chat, ...payload }), signal);
            return checked(second);
          }
          return checked(answer);
        },
      };
    },
  };
}

function checked(answer: Awaited<ReturnType<typeof sendHttp>>): Receipt {
  const result = jsonObject(answer);
  const retryAfterMs = retryHint(answer, 'parameters', 'retry_after') ?? answer.retryAfterMs;
  requireSuccess({ ...answer, retryAfterMs });
  if (result?.ok === false) {
    throw new DeliveryError(`Telegram says ${shorten(String(result.description), 200)}`, {
      transient: false,
    });
  }
  const message = result?.ok === true ? result.result : undefined;
  if (typeof message !== 'object' || message === null) throw unexpectedAnswer(answer);
  return receiptOf('message_id' in message ? message.message_id : undefined);
}

/** What Telegram is sent without its chat. */
export function telegramPayload(
  content: NotificationContent,
  options: TemplateOptions & Pick<TelegramOptions, 'parseMode'>,
  note?: string,
) {
  const format = options.parseMode === 'HTML' ? TELEGRAM_HTML : TELEGRAM_MARKDOWN;
  const { title, body, notes } = renderTexts(options, content, format, TELEGRAM_LIMIT - 1000);
  const head = format.bold(format.escape(`${symbolOf(content)} ${title}`));
  const told = note === undefined ? notes : [...notes, note];
  const lines = [
    head,
    ...(body === undefined ? ['', ...bodyLines(content, format)] : ['', body]),
    ...told.map((text) => format.escape(shorten(text, 300))),
  ];
  const payload = {
    text: fitLines(lines, TELEGRAM_LIMIT) || head,
    parse_mode: options.parseMode,
    link_preview_options: { is_disabled: true },
    disable_notification: content.severity === 'info',
  };
  return { payload, notes };
}
